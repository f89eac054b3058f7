"""Training against a bare timm loop: the same backbone, batch, precision and optimizer, in turns.

The bare loop, in a process of its own, has its normalised float images in memory and one linear head with
binary cross-entropy; ours reads uint8 squares from the cache, varies and normalises them, and learns four
facets of 1,203 tags.
"""

import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import timm
import torch
from accelerate import Accelerator

from eufcc_cli.core.model.backbone.network import Network, create_backbone
from eufcc_cli.core.model.preprocessing import Preprocessing
from eufcc_cli.core.model.tagging_model import TaggingModel, build_methods
from eufcc_cli.core.taxonomy.vocabulary import FacetVocabulary, Targets, Vocabulary
from eufcc_cli.core.training.configuration.config import TrainConfig
from eufcc_cli.core.training.loading.data import Split
from eufcc_cli.core.training.loading.image_cache import CachedImageLoader
from eufcc_cli.core.training.loop.vision_trainer import VisionTrainer
from tests.benchmarks.peer import Peer

TAGS = {"objectTypes": 815, "materials": 247, "classifications": 93, "subjects": 48}
TRUE = 5


def vocabulary() -> Vocabulary:
    """1,203 tags, every one but each facet's first eight below a random earlier one."""
    random = np.random.default_rng(0)
    facets = {}
    for facet, count in TAGS.items():
        parents = [-1 if i < 8 else int(random.integers(0, i)) for i in range(count)]
        facets[facet] = FacetVocabulary(tuple(f"{facet} {i}" for i in range(count)), tuple(parents))
    return Vocabulary(facets)


def split(images: int, words: Vocabulary) -> Split:
    """Random targets, five tags per image and facet."""
    random = np.random.default_rng(1)
    targets = {}
    for facet, tags in words.facets.items():
        indices = np.sort(np.argsort(random.random((images, len(tags))), 1)[:, :TRUE], 1)
        indptr = np.arange(images + 1) * TRUE
        targets[facet] = Targets(indptr, indices.ravel(), np.ones(images, bool), Counter(), len(tags))
    return Split(
        "train", pd.DataFrame(index=range(images)), [Path(str(i)) for i in range(images)], targets, 0
    )


def ours(backbone: str, size: int, batch: int, steps: int, device: str, precision: str, compiled: bool,
         method: str, augment: str, folder: Path) -> Callable[[], float]:  # fmt: skip
    words, preprocessing = vocabulary(), Preprocessing(size)
    part = split(batch * steps, words)
    array = np.random.default_rng(2).integers(0, 255, (len(part), size, size, 3), dtype=np.uint8)
    config = TrainConfig(
        method=method, backbone=backbone, pretrained=False, optimizer="adamw", lr=1e-4, epochs=1000,
        batch_size=batch, augment=augment, device=device, precision=precision, compile=compiled,
    )  # fmt: skip
    methods = build_methods(
        method, words, {f: np.bincount(t.indices, minlength=t.size) for f, t in part.targets.items()}
    )
    network = Network(create_backbone(backbone), {facet: m.outputs for facet, m in methods.items()})
    accelerator = Accelerator(cpu=device == "cpu", mixed_precision={"fp32": "no"}.get(precision, precision))
    network.to(accelerator.device).to(memory_format=torch.channels_last)
    methods = {facet: m.to(accelerator.device) for facet, m in methods.items()}
    model = TaggingModel("bench", method, words, network, methods, preprocessing)
    squares = CachedImageLoader(array, {})
    trainer = VisionTrainer(model, config, folder, (part, squares), (part, squares), accelerator=accelerator)

    def epoch() -> float:
        began = time.perf_counter()
        trainer.train_epoch()
        if device != "cpu":
            torch.cuda.synchronize()
        trainer.at.batch = 0
        return time.perf_counter() - began

    return epoch


def bare(
    backbone: str, size: int, batch: int, steps: int, device: str, precision: str, compiled: bool
) -> Callable[[], float]:
    model = timm.create_model(backbone, num_classes=sum(TAGS.values())).to(
        device, memory_format=torch.channels_last
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    images = torch.randn(batch, 3, size, size, device=device).contiguous(memory_format=torch.channels_last)
    target = torch.rand(batch, sum(TAGS.values()), device=device).lt(0.02).float()
    network = torch.compile(model) if compiled else model
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision, torch.float32)

    def run() -> float:
        began = time.perf_counter()
        for _ in range(steps):
            with torch.autocast(device, dtype, enabled=dtype != torch.float32):
                logits = network(images)
            torch.nn.functional.binary_cross_entropy_with_logits(logits.float(), target).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        if device != "cpu":
            torch.cuda.synchronize()
        return time.perf_counter() - began

    return run


def compare(size: int, batch: int, steps: int, *, backbone: str = "convnext_atto", device: str = "cpu",
            precision: str = "fp32", compiled: bool = False, rounds: int = 3) -> None:  # fmt: skip
    """Print images/s of ours and of the bare loop, the better of several alternating rounds each."""
    shown = f"{backbone} {size} px, batch {batch}, {device} {precision}{' compiled' if compiled else ''}"
    with tempfile.TemporaryDirectory() as folder:
        floor = Peer(bare, backbone, size, batch, steps, device, precision, compiled)
        runs = {
            f"{method}, {augment}": ours(
                backbone, size, batch, steps, device, precision, compiled, method, augment, Path(folder)
            )
            for method, augment in (
                ("multilabel", "none"),
                ("multilabel", "light"),
                ("hsoftmax-nodes", "none"),
            )
        }
        times: dict[str, list[float]] = {name: [] for name in ("bare timm loop", *runs)}
        for number in range(rounds + 1):
            for name, run in (("bare timm loop", floor), *runs.items()):
                seconds = run()
                if number:  # the first round warms up
                    times[name].append(seconds)
        floor.end()
    images, best = batch * steps, min(times["bare timm loop"])
    print(shown)
    for name, seconds in times.items():
        print(
            f"  {name:24} {images / min(seconds):8.1f} images/s  {best / min(seconds):5.2f} of the bare loop"
        )


def main() -> None:
    compare(64, 64, steps=6)
    compare(224, 16, steps=3)
    if torch.cuda.is_available():
        for compiled in (False, True):
            compare(
                224, 256, 20, backbone="convnext_base", device="cuda", precision="bf16", compiled=compiled
            )


if __name__ == "__main__":
    main()
