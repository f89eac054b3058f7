"""Tagging against the slower of decoding and network, on the same cores, in turns.

With a network that costs nothing what is left is all that `tag` does besides: reading, resizing, choosing
suggestions and writing them. Its scores are drawn once, like those of a trained model: few tags are likely.
Decoding alone reads and resizes the same files in as many threads as there are cores.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eufcc_cli.core.files import Root
from eufcc_cli.core.model.converted_model import Processor
from eufcc_cli.core.model.preprocessing import Preprocessing
from eufcc_cli.core.tagging.inputs import listed
from eufcc_cli.core.tagging.selection import Choice
from eufcc_cli.core.tagging.tagger import Tagger
from eufcc_cli.core.tagging.writers.lines import JsonLines
from eufcc_cli.core.tagging.writers.result_file import ResultFile
from eufcc_cli.core.taxonomy.vocabulary import FacetVocabulary
from tests.benchmarks.tag import decoding, make_pictures
from tests.benchmarks.training import vocabulary

_IMAGES = 4096
_ROUNDS = 5
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


def tagging(model: Any, root: Root, pictures: Path, batch: int | None = None) -> Callable[[], float]:
    """Images a second from files to a file of results."""
    tagger = Tagger([model], Choice(), root)
    output = root.path / "tags.jsonl"

    def run() -> float:
        began, count = time.perf_counter(), 0
        output.unlink(missing_ok=True)
        with ResultFile(output, JsonLines(tagger.name), {}) as file:
            for result in tagger.tag(
                listed([str(pictures)]), batch_size=batch, eager=False, smallest_batch=16
            ):
                file.write(result)
                count += 1
        return count / (time.perf_counter() - began)

    return run


def in_turns(*runs: Callable[[], float]) -> list[list[float]]:
    """What every run reached in each round; the first round warms up."""
    return [
        list(column)
        for column in zip(*[[run() for run in runs] for _ in range(_ROUNDS + 1)][1:], strict=True)
    ]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Root(Path(folder))
        pictures = make_pictures(root.path / "pictures", _IMAGES)
        files = sorted(pictures.iterdir())
        for size in (64, 224):
            alone, ours = in_turns(lambda: decoding(size, files), tagging(Free(size), root, pictures))
            ratios = [b / a for a, b in zip(alone, ours, strict=True)]
            print(
                f"free network, {size} px: decoding {statistics.median(alone):,.0f}, tag {statistics.median(ours):,.0f}, ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
                flush=True,
            )


if __name__ == "__main__":
    main()
