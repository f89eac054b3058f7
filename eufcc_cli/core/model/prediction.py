"""Models and many images -> scores, in order, batch by batch, decoding while the network computes."""

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from eufcc_cli.core.errors import ImageError, ModelError
from eufcc_cli.core.images.decode import open_pixels
from eufcc_cli.core.machine import cores, keep_freed_memory
from eufcc_cli.core.model.batching import BatchSize
from eufcc_cli.core.model.network import Network
from eufcc_cli.core.model.preprocessing import Preprocessing, as_images
from eufcc_cli.core.model.tagging_model import TaggingModel

log = logging.getLogger("eufcc")

Source = Path | Callable[[], Path | bytes]
"""An image file, or a function that gets one (its bytes, say) and raises ImageError where it cannot."""

_AHEAD_BYTES = 128 << 20  # of decoded images that wait for the network
_PATIENCE = 0.02  # seconds that an eager prediction waits for one more image
_MOST_LANES = 4  # batches that a processor computes at once: each takes its own memory


@dataclass(frozen=True)
class Prediction:
    """One image's log-scores per facet, or the reason why it has none."""

    key: str
    path: Source
    scores: dict[str, np.ndarray] | None
    """{facet: float32 [tags]}, logarithms of scores in [0, 1]."""
    error: str | None = None


def predict(
    model: TaggingModel,
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
    models: Sequence[TaggingModel],
    items: Iterable[tuple[str, Source]],
    *,
    batch_size: int | None = 64,
    workers: int | None = None,
    eager: bool = False,
    smallest_batch: int = 1,
) -> Iterator[tuple[Prediction, ...]]:
    """As `predict`, with several models: each image is read once and scored by all of them.

    A processor computes several batches at once, each on its share of the threads: the threads of one batch
    wait for each other after every layer, those of several do not.

    batch_size None: as large as makes it faster. eager: where the next item lets itself be waited for (a
    pipe), go on with those that are there; the batches then depend on timing. smallest_batch: smaller
    ones are filled up (to `batching.STEADY`, an image has the same scores whatever stands beside it).
    """
    device = models[0].device
    lanes, threads = 1, torch.get_num_threads()
    if device.type == "cpu":
        keep_freed_memory()
        # Compiled networks, and CLIP's, whose texts are encoded first, are better off with all threads.
        if all(isinstance(model.network, Network) for model in models):
            lanes = max(count for count in range(1, _MOST_LANES + 1) if threads % count == 0)
    size = BatchSize(device, batch_size, lanes)
    decoders = ThreadPoolExecutor(workers or cores(), thread_name_prefix="decode")
    network = ThreadPoolExecutor(lanes, thread_name_prefix="network")
    waiting = _Waiting(models, items, decoders, lanes * size.most)
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
            except Exception as error:  # told after all that came before it
                batch, failure = None, error
            if batch is None:
                break
            # The last batch has few others beside it, or none: all threads are its own.
            last = len(batch) < size.now or (not scored and waiting.ended())
            share = threads if last else threads // lanes
            scored.append(network.submit(_score, models, batch, size, smallest_batch, share))
            # The network works on the next batches while whoever asked looks at the one before.
            while len(scored) > lanes or (eager and scored and waiting.empty()):
                yield from next_scored()
        while scored:
            yield from next_scored()
        if failure is not None:
            raise failure
    finally:
        waiting.stop()
        for pool in (decoders, network):
            pool.shutdown(wait=False, cancel_futures=True)
        if lanes > 1:  # new threads take over what was set last
            torch.set_num_threads(threads)


Squares = dict[Preprocessing, np.ndarray]


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
    squares: Future[Squares | str]
    """A stored square for each preprocessing, or the reason why there is none."""


class _Waiting:
    """Takes items from their source in a thread of its own, and has them decoded, not too far ahead."""

    def __init__(
        self,
        models: Sequence[TaggingModel],
        items: Iterable[tuple[str, Source]],
        decoders: ThreadPoolExecutor,
        batch: int,
    ) -> None:
        self._preprocessings = {model.preprocessing for model in models}
        each = sum(3 * preprocessing.stored**2 for preprocessing in self._preprocessings)
        self._queue: queue.Queue[_Item | BaseException | None] = queue.Queue(
            min(3 * batch, max(batch + 1, _AHEAD_BYTES // each))
        )
        self._items = items
        self._decoders = decoders
        self._stopped = threading.Event()
        self._ended = False
        # A daemon: where items come from a pipe, the end of the program need not wait for the next one.
        threading.Thread(target=self._read, name="reader", daemon=True).start()

    def _read(self) -> None:
        last: BaseException | None = None
        try:
            for key, source in self._items:
                squares = self._decoders.submit(_load, self._preprocessings, source)
                self._put(_Item(key, source, squares))
                if self._stopped.is_set():
                    return
        except BaseException as error:
            last = error
        self._ended = True
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

    def ended(self) -> bool:
        """True where it is known that no item follows; what tells the end may still be in the queue."""
        return self._ended and self._queue.qsize() <= 1

    def stop(self) -> None:
        self._stopped.set()


def _load(preprocessings: Iterable[Preprocessing], source: Source) -> Squares | str:
    try:
        file = source() if callable(source) else source
        return {p: p.square(open_pixels(file, short_side=p.stored)) for p in preprocessings}
    except ImageError as error:
        return str(error)
    except MemoryError:
        return "too many pixels for this machine's memory"


def _score(
    models: Sequence[TaggingModel], batch: list[_Item], size: BatchSize, smallest: int, threads: int
) -> _Scored:
    if torch.get_num_threads() != threads:  # the calling thread's own number
        torch.set_num_threads(threads)
    loaded = [item.squares.result() for item in batch]
    squares = [squares for squares in loaded if not isinstance(squares, str)]
    began = time.perf_counter()
    tables = [_scores(model, squares, size, smallest) for model in models] if squares else []
    seconds = time.perf_counter() - began
    predictions = []
    row = 0
    for item, result in zip(batch, loaded, strict=True):
        if isinstance(result, str):
            failed = Prediction(item.key, item.source, None, result)
            predictions.append((failed,) * len(models))
        else:
            rows = [{facet: table[row] for facet, table in scores.items()} for scores in tables]
            predictions.append(tuple(Prediction(item.key, item.source, scores) for scores in rows))
            row += 1
    return _Scored(predictions, len(squares), seconds)


def _scores(
    model: TaggingModel, squares: list[Squares], size: BatchSize, smallest: int
) -> dict[str, np.ndarray]:
    """Log-scores {facet: [B, tags]} of some squares; in parts where the device has too little memory."""
    filled = [*squares, *[squares[0]] * (smallest - len(squares))]
    images = as_images(np.stack([square[model.preprocessing] for square in filled]))
    if model.device.type == "cuda":
        images = images.pin_memory()
    try:
        scores = model.log_scores(images)
        return {facet: table[: len(squares)].cpu().numpy() for facet, table in scores.items()}
    except torch.OutOfMemoryError as error:
        if len(squares) == 1:
            raise ModelError(
                "the device has too little memory for one image", hint="choose `device=cpu`"
            ) from error
    size.too_large(len(squares))
    torch.cuda.empty_cache()
    half = (len(squares) + 1) // 2
    first, second = (_scores(model, part, size, smallest) for part in (squares[:half], squares[half:]))
    return {facet: np.concatenate([first[facet], second[facet]]) for facet in first}
