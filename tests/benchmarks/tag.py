"""Tagging from JPEG files to JSON lines: against bare timm inference, from a cold start, on many images.

Bare inference is a timm model with one classifier of 1,203 outputs on normalised tensors in memory, at the
same backbone, batch and precision, in a process of its own; of what `tag` does, decoding alone has
a column. A cold start is measured against a process that imports torch and timm.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import chain
from pathlib import Path

import numpy as np
import psutil
import timm
import torch
from PIL import Image

from eufcc_cli.core.devices import select_precision
from eufcc_cli.core.files import Root
from eufcc_cli.core.machine import cores
from eufcc_cli.core.model.backbone.network import Network, create_backbone
from eufcc_cli.core.model.checkpoint import load_model, save_weights
from eufcc_cli.core.model.inference.batching import BatchSize
from eufcc_cli.core.model.inference.decoding.decoder_processes import decoder_processes
from eufcc_cli.core.model.model_files import save_config
from eufcc_cli.core.model.preprocessing import Preprocessing
from eufcc_cli.core.model.tagging_model import build_methods
from eufcc_cli.core.tagging.inputs import listed
from eufcc_cli.core.tagging.selection import Choice
from eufcc_cli.core.tagging.tagger import Tagger, compile_network
from eufcc_cli.core.tagging.writers.lines import JsonLines
from tests.benchmarks.peer import Peer
from tests.benchmarks.training import vocabulary

EUFCC = str(Path(sys.executable).with_name("eufcc"))


def make_run(
    root: Root, backbone: str, size: int, method: str = "multilabel", *, all_stages: bool = False
) -> str:
    """A model with random weights: how fast it is does not depend on what it has learned."""
    words = vocabulary()
    torch.manual_seed(0)
    outputs = {facet: made.outputs for facet, made in build_methods(method, words).items()}
    save_weights(root.run(backbone), Network(create_backbone(backbone), outputs, all_stages=all_stages))
    config = {"name": backbone, "method": method, "backbone": backbone, "all_stages": all_stages}
    parts = {"preprocessing": Preprocessing(size).to_json(), "vocabulary": words.to_json()}
    save_config(root.run(backbone), {**config, **parts})
    return backbone


def make_pictures(folder: Path, count: int, size: tuple[int, int] = (400, 300)) -> Path:
    """Pictures as Europeana's thumbnails are: 400 pixels wide, some 20 to 40 KB; 64 of them, linked."""
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(min(count, 64)):
        coarse = Image.fromarray(random.integers(0, 255, (24, 32, 3), dtype=np.uint8))
        noise = random.normal(0, 6, (size[1], size[0], 3))
        picture = np.asarray(coarse.resize(size, Image.Resampling.BICUBIC), dtype=np.float32) + noise
        path = folder / f"{number:05d}.jpg"
        Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(path, quality=85)
    for number in range(64, count):
        os.link(folder / f"{number % 64:05d}.jpg", folder / f"{number:05d}.jpg")
    return folder


def tagging(root: Root, name: str, pictures: Path, batch: int | None, device: str, compiled: bool) -> float:
    """Images a second of everything from the files to the text of the results."""
    tagger = Tagger([load_model(name, root, device)], Choice(), root)
    if compiled:
        compile_network(tagger.models[0])
    writer = JsonLines(name)
    with decoder_processes(tagger.models) as processes:
        batches = tagger.batches(listed([str(pictures)]), batch_size=batch, processes=processes)
        results = chain.from_iterable(batches)
        warm = 2 * (batch or BatchSize(tagger.models[0].device, None).most)
        for _ in range(warm):
            writer.text(next(results))
        began = time.perf_counter()
        count = sum(1 for result in results if writer.text(result))
        return count / (time.perf_counter() - began)


def bare(
    backbone: str, size: int, batch: int, batches: int, device: str, compiled: bool
) -> Callable[[], float]:
    """Images a second of timm alone, in the precision that `tag` chooses by itself."""
    model = timm.create_model(backbone, num_classes=1203).eval().to(device, memory_format=torch.channels_last)
    images = torch.rand(batch, 3, size, size, device=device).contiguous(memory_format=torch.channels_last)
    network = torch.compile(model) if compiled else model
    precision = select_precision("auto", torch.device(device), inference=True)

    def run() -> float:
        with (
            torch.inference_mode(),
            torch.autocast(device, precision, enabled=precision != torch.float32),
        ):
            for _ in range(2):
                network(images)
            if device == "cuda":
                torch.cuda.synchronize()
            began = time.perf_counter()
            for _ in range(batches):
                network(images)
            if device == "cuda":
                torch.cuda.synchronize()
        return batch * batches / (time.perf_counter() - began)

    return run


def decoding(size: int, files: list[Path]) -> float:
    """Images a second of reading and resizing alone, on all cores: one thread for each, and no queue."""
    squares = Preprocessing(size)

    def load(some: list[Path]) -> None:
        for file in some:
            squares.load(file)

    with ThreadPoolExecutor(cores()) as pool:
        began = time.perf_counter()
        list(pool.map(load, [files[thread :: cores()] for thread in range(cores())]))
        return len(files) / (time.perf_counter() - began)


def throughput(folder: Path) -> None:
    cuda = torch.cuda.is_available()
    settings = [
        # backbone, image size, batch, images, device, compiled
        ("convnext_mini", 64, 64, 2048, "cpu", False),
        ("convnext_atto", 224, 32, 512, "cpu", False),
        ("convnext_tiny", 224, 16, 128, "cpu", False),
    ]
    if cuda:
        settings = [("convnext_base", 224, 256, 12_800, "cuda", compiled) for compiled in (False, True)]
    heads = f"{'bare img/s':>12}{'tag img/s':>11}{'ratio':>7}{'decoding img/s':>15}{'auto img/s':>12}"
    print(f"{'backbone':<15}{'size':>5}{'batch':>6}{heads}")
    for backbone, size, batch, count, device, compiled in settings:
        root = Root(folder / f"{backbone}{compiled}")
        name = make_run(root, backbone, size)
        pictures = make_pictures(root.path / "pictures", count + 2 * batch)
        alone = Peer(bare, backbone, size, batch, max(2, count // batch // 2), device, compiled)
        rounds = []
        for _ in range(3):  # in turns, so that both meet the same machine
            rounds.append((alone(), tagging(root, name, pictures, batch, device, compiled)))
        alone.end()
        floor, ours = (statistics.median(column) for column in zip(*rounds, strict=True))
        auto = tagging(root, name, pictures, None, device, compiled) if count > 1000 else float("nan")
        read = decoding(size, sorted(pictures.iterdir())[:1024])
        label = backbone + (" *" if compiled else "")
        columns = f"{floor:>12.1f}{ours:>11.1f}{ours / floor:>7.2f}{read:>15.1f}{auto:>12.1f}"
        print(f"{label:<15}{size:>5}{batch:>6}{columns}", flush=True)
    if cuda:
        print("* compiled; bf16")


def cold_start(folder: Path) -> None:
    root = Root(folder / "cold")
    picture = next(make_pictures(root.path, 1).iterdir())
    for backbone, size in (("convnext_mini", 64), ("convnext_base", 224)):
        make_run(root, backbone, size)
        command = [EUFCC, "--quiet", "--root", str(root.path), "tag", str(picture), "--model", backbone]
        times: dict[str, list[float]] = {"torch and timm": [], "tag": []}
        for _ in range(5):
            for name, arguments in (
                ("torch and timm", [sys.executable, "-c", "import torch, timm"]),
                ("tag", command),
            ):
                began = time.perf_counter()
                subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                times[name].append(time.perf_counter() - began)
        floor, ours = (statistics.median(values) for values in times.values())
        more = f"importing torch and timm {floor:.2f} s: {ours - floor:+.2f} s"
        print(f"one image, cold, {backbone}: {ours:.2f} s, {more}", flush=True)


def memory(folder: Path) -> None:
    root = Root(folder / "memory")
    make_run(root, "convnext_mini", 64)
    for count in (1, 1000, 2500, 20_000):  # the first has the network converted
        pictures = make_pictures(root.path / str(count), count)
        output = root.path / f"{count}.jsonl"
        command = [EUFCC, "--quiet", "--root", str(root.path), "tag", str(pictures), "--output", str(output)]
        peak = _peak(command)
        assert len(output.read_text().splitlines()) == count
        print(f"peak memory with {count:,} images: {peak >> 20:,} MB", flush=True)


def _peak(command: list[str]) -> int:
    """The most bytes that a command and the processes it starts held at once; what they share counts once."""
    peak = 0
    with psutil.Popen(command) as run:
        while run.poll() is None:
            with suppress(psutil.Error):  # one of them has just ended
                held = [one.memory_full_info().pss for one in (run, *run.children(recursive=True))]
                peak = max(peak, sum(held))
            time.sleep(0.1)
    assert run.returncode == 0
    return peak


def main() -> None:
    """Everything, or only the parts that are named."""
    with tempfile.TemporaryDirectory() as folder:
        for part in (throughput, cold_start, memory):
            if not sys.argv[1:] or part.__name__ in sys.argv[1:]:
                part(Path(folder))


if __name__ == "__main__":
    main()
