"""Threads beside a busy neighbour: a small network is trained with one thread and with one per core, alone
and beside a process that keeps a core busy, with threads that wait busily and with threads that wait idly.

What counts is the last column: what a neighbour costs.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from eufcc_cli.core.demo import draw_collection
from eufcc_cli.core.files import Root
from eufcc_cli.core.machine import cores

EPOCHS = 2


@contextmanager
def neighbour(there: bool) -> Iterator[None]:
    """A process that computes and computes."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if there else None
    try:
        yield
    finally:
        if process is not None:
            process.kill()
            process.wait()


def seconds(root: Path, threads: int | None, busily: bool) -> float:
    """Seconds of a training, from its first step to the last validation."""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    if busily:
        environment |= {"OMP_WAIT_POLICY": "active"}
    command = [
        Path(sys.executable).with_name("eufcc"), "--quiet", "--root", root, "train", "--name", "bench",
        "--overwrite",
        "--backbone", "convnext_mini", "--no-pretrained", "--image-size", "32", "--batch-size", "16",
        "--epochs", str(EPOCHS), "--device", "cpu", "--precision", "fp32",
    ]  # fmt: skip
    if threads is not None:
        command += ["--threads", str(threads)]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    rows = pd.read_csv(root / "runs" / "bench" / "history.csv")["seconds"]
    return float(rows.iloc[-1] - rows.iloc[0])


def main() -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        draw_collection(Root(folder), images=160, seed=7)
        print(f"{cores()} cores; seconds of an epoch of convnext_mini, 32 pixels, batches of 16")
        print(f"{'threads':>12} {'waiting':>8} {'alone':>8} {'beside':>8} {'ratio':>6}")
        for threads, busily in ((1, False), (cores(), True), (cores(), False), (None, False)):
            figures = []
            for there in (False, True):
                with neighbour(there):
                    figures.append(seconds(folder, threads, busily))
            alone, beside = figures
            name, waiting = threads or "ours", "busy" if busily else "idle"
            print(f"{name:>12} {waiting:>8} {alone:8.2f} {beside:8.2f} {beside / alone:6.2f}", flush=True)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
