"""Models and many images -> scores, in order, batch by batch, decoding while the network computes."""

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from eufcc_cli.core.machine import cores, give_memory_back, keep_freed_memory
from eufcc_cli.core.model.batching import BatchSize
from eufcc_cli.core.model.feature_source import FeatureSource, ReadImage, Source, read_image

if TYPE_CHECKING:
    from eufcc_cli.core.model.converted_model import ConvertedModel
    from eufcc_cli.core.model.tagging_model import TaggingModel

log = logging.getLogger("eufcc")

_AHEAD_BYTES = 128 << 20  # of decoded images that wait for the network
_PATIENCE = 0.02  # seconds that an eager prediction waits for one more image


@dataclass(frozen=True)
class Prediction:
    """One image's log-scores per facet, or the reason why it has none."""

    key: str
    path: Source
    scores: dict[str, np.ndarray] | None
    """{facet: float32 [tags]}, logarithms of scores in [0, 1]."""
    error: str | None = None


def predict(
    model: "TaggingModel | ConvertedModel",
    items: Iterable[tuple[str, Source]],
    *,
    batch_size: int | None = 64,
    workers: int | None = None,
) -> Iterator[Prediction]:
    """Score images as they come: one Prediction for each (key, source), in the order given.

    At most a few batches are decoded ahead, so that memory does not grow with the number of images. An
    image that cannot be read gives a Prediction with its error, and the others go on.
    """
    return (single for (single,) in predict_together([model], items, batch_size=batch_size, workers=workers))


def predict_together(
    models: "Sequence[TaggingModel | ConvertedModel]",
    items: Iterable[tuple[str, Source]],
    *,
    batch_size: int | None = 64,
    workers: int | None = None,
    eager: bool = False,
    smallest_batch: int = 1,
) -> Iterator[tuple[Prediction, ...]]:
    """As `predict`, with several models: each image is read once and scored by all of them.

    Features that a model's store holds are not computed again, and new ones are added to it.

    batch_size None: as large as makes it faster. eager: where the next item lets itself be waited for (a
    pipe), go on with those that are there; the batches then depend on timing. smallest_batch: smaller
    ones are filled up (to `batching.STEADY`, an image has the same scores whatever stands beside it).
    """
    device = models[0].device
    networks = [cast("TaggingModel", model) for model in models if hasattr(model, "network")]
    if networks and device.type == "cpu":
        from eufcc_cli.core.model.inference_memory import check_memory, images_that_fit  # imports PyTorch

        check_memory(networks)
    sources = [FeatureSource(model) for model in models]
    if device.type == "cpu" and not all(one.engine for one in sources):
        keep_freed_memory()
    size = BatchSize(device, batch_size)
    by_pytorch = [cast("TaggingModel", one.model) for one in sources if one.engine is None]
    if by_pytorch and device.type == "cpu":
        size.limit(images_that_fit(by_pytorch, size.most))
    decoders = ThreadPoolExecutor(workers or cores(), thread_name_prefix="decode")
    network = ThreadPoolExecutor(1, thread_name_prefix="network")
    waiting = _Waiting(sources, items, decoders, size.most)
    scored: deque[Future[_Scored]] = deque()
    batches = waiting.batches(size, eager)
    failure: Exception | None = None

    def next_scored() -> list[tuple[Prediction, ...]]:
        done = scored.popleft().result()
        size.measured(done.images, done.seconds)
        return done.predictions

    try:
        while True:
            try:
                batch = next(batches, None)
            except Exception as error:  # raised after all results before it
                batch, failure = None, error
            if batch is None:
                break
            scored.append(network.submit(_score, sources, batch, size, smallest_batch))
            # The network computes the next batch while the caller uses the one before.
            while len(scored) > 1 or (eager and scored and waiting.empty()):
                yield from next_scored()
        while scored:
            yield from next_scored()
        if failure is not None:
            raise failure
    finally:
        waiting.stop()
        for pool in (decoders, network):
            pool.shutdown(wait=False, cancel_futures=True)
        for one in sources:
            one.close()
        give_memory_back()


@dataclass(frozen=True, slots=True)
class _Scored:
    """A batch's predictions, and how many images the network looked at in how many seconds."""

    predictions: list[tuple[Prediction, ...]]
    images: int
    seconds: float


@dataclass(frozen=True, slots=True)
class _Item:
    key: str
    source: Source
    read: Future["ReadImage | str"]
    """What was read, or the reason why it cannot be."""


class _Waiting:
    """Takes items from their source in a thread of its own, and has them decoded, not too far ahead."""

    def __init__(
        self,
        sources: Sequence[FeatureSource],
        items: Iterable[tuple[str, Source]],
        decoders: ThreadPoolExecutor,
        batch: int,
    ) -> None:
        self._sources = sources
        each = sum(3 * p.squares * p.size**2 for p in {one.model.preprocessing for one in sources})
        self._queue: queue.Queue[_Item | BaseException | None] = queue.Queue(
            min(3 * batch, max(batch + 1, _AHEAD_BYTES // each))
        )
        self._items = items
        self._decoders = decoders
        self._stopped = threading.Event()
        # A daemon: where items come from a pipe, the end of the program need not wait for the next one.
        threading.Thread(target=self._read, name="reader", daemon=True).start()

    def _read(self) -> None:
        last: BaseException | None = None
        try:
            for key, source in self._items:
                self._put(_Item(key, source, self._decoders.submit(read_image, self._sources, source)))
                if self._stopped.is_set():
                    return
        except BaseException as error:
            last = error
        self._put(last)

    def _put(self, item: _Item | BaseException | None) -> None:
        while not self._stopped.is_set():
            try:
                return self._queue.put(item, timeout=0.2)
            except queue.Full:
                continue

    def batches(self, size: BatchSize, eager: bool) -> Iterator[list[_Item]]:
        """The items in batches of `size.now`; what their source raises comes after those before it."""
        while True:
            batch: list[_Item] = []
            while len(batch) < size.now:
                try:
                    item = self._queue.get(timeout=_PATIENCE if eager and batch else None)
                except queue.Empty:
                    break
                if not isinstance(item, _Item):
                    if batch:
                        yield batch
                    if item is not None:
                        raise item
                    return
                batch.append(item)
            yield batch

    def empty(self) -> bool:
        """True where the next item is not there yet."""
        return self._queue.empty()

    def stop(self) -> None:
        self._stopped.set()


def _score(sources: Sequence[FeatureSource], batch: list[_Item], size: BatchSize, smallest: int) -> _Scored:
    loaded = [item.read.result() for item in batch]
    images = [image for image in loaded if isinstance(image, ReadImage)]
    began = time.perf_counter()
    tables = (
        [one.scores(number, images, size, smallest) for number, one in enumerate(sources)] if images else []
    )
    seconds = time.perf_counter() - began
    predictions = []
    row = 0
    for item, result in zip(batch, loaded, strict=True):
        if isinstance(result, str):
            failed = Prediction(item.key, item.source, None, result)
            predictions.append((failed,) * len(sources))
        else:
            rows = [{facet: table[row] for facet, table in scores.items()} for scores in tables]
            predictions.append(tuple(Prediction(item.key, item.source, scores) for scores in rows))
            row += 1
    return _Scored(predictions, len(images), seconds)
