"""A model and many images -> scores, in order, batch by batch, decoding while the network computes."""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from eufcc_cli.core.errors import ImageError
from eufcc_cli.core.model.checkpoint import TaggingModel
from eufcc_cli.core.model.dataset import as_images


@dataclass(frozen=True)
class Prediction:
    """One image's log-scores per facet, or the reason why it has none."""

    key: str
    path: Path
    scores: dict[str, np.ndarray] | None
    """{facet: float32 [tags]}, logarithms of scores in [0, 1]."""
    error: str | None = None


def predict(
    model: TaggingModel,
    items: Iterable[tuple[str, Path]],
    *,
    batch_size: int = 64,
    workers: int | None = None,
) -> Iterator[Prediction]:
    """Score images as they come: one Prediction for each (key, path), in the order given.

    At most three batches are decoded ahead, so that memory does not grow with the number of images. An
    image that cannot be read gives a Prediction with its error, and the others go on.
    """
    stream = iter(items)
    with ThreadPoolExecutor(workers or os.cpu_count(), thread_name_prefix="decode") as pool:
        ahead: deque[tuple[str, Path, Future[np.ndarray | str]]] = deque()

        def submit(count: int) -> None:
            for key, path in islice(stream, count):
                ahead.append((key, path, pool.submit(_load, model, path)))

        submit(3 * batch_size)
        try:
            while ahead:
                window = [ahead.popleft() for _ in range(min(batch_size, len(ahead)))]
                loaded = [(key, path, future.result()) for key, path, future in window]
                submit(len(window))
                yield from _score(model, loaded)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _load(model: TaggingModel, path: Path) -> np.ndarray | str:
    try:
        return model.preprocessing.load(path)
    except ImageError as error:
        return str(error)


def _score(model: TaggingModel, loaded: list[tuple[str, Path, np.ndarray | str]]) -> Iterator[Prediction]:
    squares = [square for _, _, square in loaded if isinstance(square, np.ndarray)]
    rows: Iterator[dict[str, np.ndarray]] = iter(())
    if squares:
        scores = model.log_scores(as_images(np.stack(squares)))
        tables = {facet: table.cpu().numpy() for facet, table in scores.items()}
        rows = ({facet: table[i] for facet, table in tables.items()} for i in range(len(squares)))
    for key, path, square in loaded:
        if isinstance(square, str):
            yield Prediction(key, path, None, square)
        else:
            yield Prediction(key, path, next(rows))
