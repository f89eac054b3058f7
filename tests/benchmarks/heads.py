"""Heads on features: seconds for all methods at a museum's size, and softmax at the size of EUFCC-340K.

    python -m tests.benchmarks.heads [--large]

The large one writes 0.7 GB of synthetic float16 features into a memory-mapped file, and may take 1.3 GB of
memory besides (Linux): less than twice the features.
"""

import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

from eufcc_cli.core.model.features import FeatureTable
from eufcc_cli.core.model.methods import METHODS
from eufcc_cli.core.taxonomy.vocabulary import Targets, Vocabulary
from eufcc_cli.core.training.heads.head import fit_heads
from eufcc_cli.core.training.heads.head_scores import Part
from tests.benchmarks.training import vocabulary

_BLOCK = 8192
_MEMORY = 1_300_000_000  # bytes that the large one may allocate


def part(images: int, width: int, words: Vocabulary, folder: Path, seed: int) -> Part:
    """Features of images that have one path in each facet, memory-mapped."""
    random = np.random.default_rng(seed)
    path = folder / f"features-{seed}.npy"
    array = np.lib.format.open_memmap(path, "w+", np.float16, (images, 1, width))
    targets, signal = {}, {}
    for facet, tags in words.facets.items():
        tag = random.integers(0, len(tags), images)
        signal[facet] = (tag, np.random.default_rng(7).normal(size=(len(tags), width)).astype(np.float32))
        annotated = np.ones(images, bool)
        plain = Targets(np.arange(images + 1), tag, annotated, Counter(), len(tags))
        targets[facet] = plain.closed(tags)
    for start in range(0, images, _BLOCK):
        block = random.normal(size=(min(_BLOCK, images - start), width)).astype(np.float32)
        for tag, centres in signal.values():
            block += centres[tag[start : start + len(block)]]
        array[start : start + len(block), 0] = block
    array.flush()
    where = np.stack([np.zeros(images, np.int64), np.arange(images)], 1)
    return Part(FeatureTable([np.load(path, mmap_mode="r")], where), targets)


def timed(method: str, train: Part, validation: Part, words: Vocabulary) -> None:
    counts = {facet: t.counts() for facet, t in train.targets.items()}
    methods = {f: METHODS[method].for_facet(tags, counts[f]) for f, tags in words.facets.items()}
    priors = {facet: made.prior_bias(counts[facet], len(train.features)) for facet, made in methods.items()}
    began, busy = time.perf_counter(), time.process_time()
    fitted = fit_heads(train, validation, methods, priors)
    took, busy = time.perf_counter() - began, time.process_time() - busy
    best = max(row["r_precision"] for row in fitted.history)
    print(f"{method:22} {took:7.1f} s ({busy:.1f} s of processor)  val R-Precision {best:.3f}", flush=True)


def main() -> None:
    words = vocabulary()
    small = Vocabulary({facet: tags for facet, tags in words.facets.items() if len(tags) < 100})
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        train, validation = (part(n, 1280, small, folder, seed) for n, seed in ((1600, 0), (400, 1)))
        print("1,600 x 1,280 features, 141 tags in two facets")
        for name, method in METHODS.items():
            if not method.reads_texts:
                timed(name, train, validation, small)
        if "--large" in sys.argv:
            train, validation = (part(n, 1024, words, folder, seed) for n, seed in ((346_324, 2), (5000, 3)))
            resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
            print("346,324 x 1,024 features, 1,203 tags in four facets")
            timed("softmax", train, validation, words)


if __name__ == "__main__":
    main()
