"""Threads beside a busy neighbour: a small network is trained with one thread and with one per core, alone
and beside a process that keeps a core busy, with threads that wait busily and with threads that wait idly.
Then images are scored so, by PyTorch and by OpenVINO.

python -m tests.benchmarks.threads            all of it, on a machine that does nothing else
python -m tests.benchmarks.threads --scoring  only the scoring

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


_SCORING = """
import sys, time
import numpy as np
from eufcc_cli.core.machine import wait_idly
wait_idly()
import torch
from eufcc_cli.core.model.backbone.network import create_backbone
from eufcc_cli.core.model.backbone.openvino_engine import open_engine
from eufcc_cli.core.model.preprocessing import Preprocessing
how, threads = sys.argv[1], int(sys.argv[2])
torch.set_num_threads(threads)
torch.manual_seed(0)
backbone = create_backbone("convnext_atto").eval().to(memory_format=torch.channels_last)
preprocessing = Preprocessing.of_backbone(backbone, 224)
pixels = np.random.default_rng(0).integers(0, 255, (32, 1, 224, 224, 3), dtype=np.uint8)
images = torch.from_numpy(pixels[:, 0]).permute(0, 3, 1, 2).float()
images = images.contiguous(memory_format=torch.channels_last)
engine = open_engine(backbone, preprocessing, threads, torch.float32) if how == "OpenVINO" else None
times = []
with torch.inference_mode():
    for _ in range(6):
        began = time.perf_counter()
        backbone(images) if engine is None else engine.features(list(pixels))
        times.append(time.perf_counter() - began)
print(32 / np.median(times[1:]))
"""


def images_a_second(how: str, threads: int) -> float:
    """Images of 224 pixels a second, through convnext_atto."""
    command = [sys.executable, "-c", _SCORING, how, str(threads)]
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    return float(subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE).stdout)


def scoring() -> None:
    print("images a second, convnext_atto, 224 pixels")
    print(f"{'':>12} {'threads':>8} {'alone':>8} {'beside':>8} {'ratio':>6}")
    for how in ("PyTorch", "OpenVINO"):
        for threads in (1, cores()):
            figures = []
            for there in (False, True):
                with neighbour(there):
                    figures.append(images_a_second(how, threads))
            alone, beside = figures
            print(f"{how:>12} {threads:>8} {alone:8.1f} {beside:8.1f} {alone / beside:6.2f}", flush=True)


def main() -> None:
    if "--scoring" not in sys.argv:
        training()
    scoring()


def training() -> None:
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
