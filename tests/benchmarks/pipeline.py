"""Tagging against the slower of decoding and network, on the same cores, in turns.

With a network that costs nothing what is left is all that `tag` does besides: reading, resizing, choosing
suggestions and writing them. Its scores are drawn once, like those of a trained model: few tags are likely.
Decoding alone reads and resizes the same files in as many threads as there are cores.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import psutil
import simplejpeg

from eufcc_cli.core.allocation import collect_rarely
from eufcc_cli.core.files import Root
from eufcc_cli.core.images import resize
from eufcc_cli.core.machine import cores
from eufcc_cli.core.model.checkpoint import load_model
from eufcc_cli.core.model.converted_model import Processor
from eufcc_cli.core.model.inference.batching import STEADY
from eufcc_cli.core.model.inference.decoding.decoder_processes import DecoderProcesses
from eufcc_cli.core.model.preprocessing import Preprocessing
from eufcc_cli.core.tagging.inputs import listed
from eufcc_cli.core.tagging.selection import Choice
from eufcc_cli.core.tagging.tagger import Tagger
from eufcc_cli.core.tagging.writers.lines import JsonLines
from eufcc_cli.core.tagging.writers.result_file import ResultFile
from eufcc_cli.core.taxonomy.vocabulary import FacetVocabulary
from tests.benchmarks.tag import decoding, make_pictures, make_run
from tests.benchmarks.training import vocabulary

_IMAGES = 4096
_FEW = 512
_ROUNDS = 3
_DRAWN = 64  # different images' scores


class Free:
    """A model whose network costs nothing."""

    name = "free"
    folder = None
    digest = "0" * 64
    precision = "torch.float32"
    store = None
    device = Processor()

    def __init__(self, size: int) -> None:
        self.config: dict[str, Any] = {}
        self.preprocessing = Preprocessing(size)
        self.vocabulary = vocabulary()
        self._scores = {facet: _scores(tags) for facet, tags in self.vocabulary.facets.items()}

    def engine(self) -> "Free":
        return self

    def features(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        return np.zeros((len(pictures), 1, 1), np.float32)

    def scores_of_arrays(self, features: np.ndarray) -> dict[str, np.ndarray]:
        rows = np.arange(len(features)) % _DRAWN
        return {facet: table[rows] for facet, table in self._scores.items()}


def _scores(tags: FacetVocabulary) -> np.ndarray:
    """Log-scores [_DRAWN, tags]: two tags of every image are likely, with those above them."""
    random = np.random.default_rng(len(tags))
    logits = random.normal(-6, 1.5, (_DRAWN, len(tags)))
    for row in logits:
        for tag in random.integers(0, len(tags), 2):
            row[[i for i in tags.ancestors[tag] if i >= 0]] = random.normal(1, 1)
    return -np.logaddexp(0, -logits).astype(np.float32)


def tagging(
    model: Any, root: Root, pictures: Path, processes: DecoderProcesses | None = None
) -> Callable[[], float]:
    """Images a second from files to a file of results."""
    tagger = Tagger([model], Choice(), root)
    output = root.path / "tags.jsonl"

    def run() -> float:
        began, count = time.perf_counter(), 0
        output.unlink(missing_ok=True)
        with ResultFile(output, JsonLines(tagger.name), {}) as file:
            inputs = listed([str(pictures)])
            for results in tagger.batches(inputs, processes=processes, smallest_batch=STEADY):
                file.write(*results)
                count += len(results)
        return count / (time.perf_counter() - began)

    return run


def network(model: Any, files: list[Path]) -> Callable[[], float]:
    """Images a second of the network that `tag` uses, on images in memory."""
    pictures = [model.preprocessing.load(file)[None] for file in files]
    model.scores_of_arrays(model.engine().features(pictures[:STEADY]))

    def run() -> float:
        began = time.perf_counter()
        for start in range(0, len(pictures), 4 * STEADY):
            model.scores_of_arrays(model.engine().features(pictures[start : start + 4 * STEADY]))
        return len(pictures) / (time.perf_counter() - began)

    return run


def print_lock_share(size: int, files: list[Path]) -> None:
    """How much of reading and resizing holds the interpreter's lock: so many threads can be of use.

    The JPEG decoder and the resizer release it; what is left is counted as holding it, reading included.
    """
    load = Preprocessing(size).load
    for file in files[:_FEW]:
        load(file)
    free = 0.0

    def timed(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*arguments: Any, **options: Any) -> Any:
            nonlocal free
            began = time.thread_time()
            try:
                return call(*arguments, **options)
            finally:
                free += time.thread_time() - began

        return wrapper

    resizer = resize.Resizer
    with (
        mock.patch.object(simplejpeg, "decode_jpeg", timed(simplejpeg.decode_jpeg)),
        mock.patch.object(resize, "Resizer", lambda: SimpleNamespace(resize=timed(resizer().resize))),
    ):
        began = time.thread_time()
        for file in files:
            load(file)
        whole = time.thread_time() - began
    held = 1000 * (whole - free) / len(files)
    each = 1000 * whole / len(files)
    print(f"  {size} px: {held:.2f} of {each:.2f} ms with the lock: at most {each / held:.1f} threads of use")


@dataclass(frozen=True)
class Round:
    """One run: images a second, and the processor's milliseconds for each, those of processes included."""

    rate: float
    cpu: float


def in_turns(images: int, *runs: Callable[[], float]) -> list[list[Round]]:
    """What every run reached in each round; a round before them warms up."""

    def measured(run: Callable[[], float]) -> Round:
        began = _cpu_seconds()
        return Round(run(), 1000 * (_cpu_seconds() - began) / images)

    rounds = [[measured(run) for run in runs] for _ in range(_ROUNDS + 1)]
    return [list(column) for column in zip(*rounds[1:], strict=True)]


def _cpu_seconds() -> float:
    own = psutil.Process()
    times = [process.cpu_times() for process in (own, *own.children(recursive=True))]
    return sum(one.user + one.system for one in times)


def _print(what: str, ours: list[Round], floors: Sequence[list[Round]]) -> None:
    """The medians of ours and of the others, and of the ratio to the slowest of them in the same round.

    On a machine that does other things, too, the processor's time says more than the ratio of the rates.
    """
    ratios = [own.rate / min(one.rate for one in others) for own, *others in zip(ours, *floors, strict=True)]
    alone = " and ".join(f"{statistics.median(one.rate for one in floor):,.0f}" for floor in floors)
    spent = " and ".join(f"{statistics.median(one.cpu for one in floor):.2f}" for floor in floors)
    rate, cpu = (statistics.median(getattr(one, name) for one in ours) for name in ("rate", "cpu"))
    spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    print(f"  {what:<38}{alone:>14}{rate:>8,.0f}  {spread:<22}{spent:>14}{cpu:>7.2f}", flush=True)


def main() -> None:
    collect_rarely()  # as the command does
    head = f"{'alone':>14}{'tag':>8}  {'ratio':<22}{'CPU ms alone':>14}{'tag':>7}"
    print(f"  {'images/s, ' + str(cores()) + ' cores':<38}{head}")
    with tempfile.TemporaryDirectory() as folder:
        root = Root(Path(folder))
        pictures = make_pictures(root.path / "pictures", _IMAGES)
        files = sorted(pictures.iterdir())
        for size in (64, 224):
            model = Free(size)
            print_lock_share(size, files)
            alone = partial(decoding, size, files)
            with DecoderProcesses(cores(), [model.preprocessing]) as processes:
                floor, threads, apart = in_turns(
                    _IMAGES, alone, tagging(model, root, pictures), tagging(model, root, pictures, processes)
                )
            _print(f"decoding {size} px, free network", threads, [floor])
            _print("  the same, decoding in processes", apart, [floor])
        few = make_pictures(root.path / "few", _FEW)
        files = sorted(few.iterdir())
        make_run(root, "convnext_atto", 224)
        atto = load_model("convnext_atto", root, "cpu")
        columns = in_turns(
            _FEW, partial(decoding, 224, files), network(atto, files), tagging(atto, root, few)
        )
        _print("decoding 224 px and convnext_atto", columns[2], columns[:2])


if __name__ == "__main__":
    main()
