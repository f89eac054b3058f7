"""Features of the default backbone from JPEG files, against plain PyTorch in turns; one image from the shell.

Plain PyTorch is the network alone: eager mode, fp32, batches of 32 tensors that are there already, in a
process of its own. Ours reads, decodes and resizes photographs, and keeps what it computes, statistics of all
stages included. Then the same beside a process that keeps one core busy.

    python -m tests.benchmarks.features [--images 256] [--data ../shared/data]
"""

import argparse
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from eufcc_cli.core.files import Root
from eufcc_cli.core.machine import cores
from eufcc_cli.core.model.backbone.bundled_weights import BUNDLED
from eufcc_cli.core.model.backbone.network import create_backbone
from eufcc_cli.core.model.checkpoint import load_model
from eufcc_cli.core.model.features import FeatureStore
from eufcc_cli.core.progress import SILENT
from eufcc_cli.core.training.heads.head_run import collect_features
from tests.benchmarks.peer import Peer
from tests.benchmarks.tag import EUFCC, make_run
from tests.benchmarks.threads import neighbour

_SIZE, _BATCH, _ROUNDS = 224, 32, 3


def plain(images: int) -> Callable[[], float]:
    """Images a second of the network alone."""
    network = create_backbone(BUNDLED).eval().to(memory_format=torch.channels_last)
    batch = torch.rand(_BATCH, 3, _SIZE, _SIZE).contiguous(memory_format=torch.channels_last)
    batches = max(2, images // _BATCH // 4)

    def run() -> float:
        with torch.inference_mode():
            network(batch)
            began = time.perf_counter()
            for _ in range(batches):
                network(batch)
        return batches * _BATCH / (time.perf_counter() - began)

    return run


def ours(root: Root, files: list[Path]) -> float:
    """Images a second from files to stored features."""
    model = load_model(BUNDLED, root, "cpu", "fp32")
    shutil.rmtree(root.data / "features", ignore_errors=True)
    model.store = FeatureStore.of(root, model.network, model.preprocessing, model.precision, limit=20)
    model.engines = root.runs / ".engines"
    model.engine()  # converted once for all commands
    began = time.perf_counter()
    collect_features(model, files, "bench", SILENT, None)
    return len(files) / (time.perf_counter() - began)


def from_the_shell(root: Root, picture: Path) -> float:
    command = [EUFCC, "--quiet", "--root", str(root.path), "tag", str(picture), "--model", BUNDLED]
    times = []
    for _ in range(1 + _ROUNDS):  # the first saves what the others start from
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--images", type=int, default=256)
    options.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[3] / "shared" / "data")
    given = options.parse_args()
    files = sorted((given.data / "museum" / "photos").glob("*.jpg"))[: given.images]
    if not files:
        print(f"no photographs in {given.data}")
        return
    with tempfile.TemporaryDirectory() as folder:
        root = Root(Path(folder) / "root")
        make_run(root, BUNDLED, _SIZE, all_stages=True)
        peer = Peer(plain, len(files))
        print(f"{BUNDLED}, {_SIZE} pixels, {len(files)} photographs, {cores()} cores: images a second")
        print(f"{'':>20} {'PyTorch':>8} {'ours':>8} {'ratio':>6}")
        for name, busy in (("alone", False), ("beside a busy one", True)):
            with neighbour(busy):
                rounds = [(peer(), ours(root, files)) for _ in range(_ROUNDS)]
            bare, stored = (statistics.median(column) for column in zip(*rounds, strict=True))
            print(f"{name:>20} {bare:8.1f} {stored:8.1f} {stored / bare:6.2f}", flush=True)
        peer.end()
        print(f"one image from the shell: {from_the_shell(root, files[0]):.2f} s")


if __name__ == "__main__":
    main()
