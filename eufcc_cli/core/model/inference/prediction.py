"""Models and many images -> scores, in order, batch by batch, decoding while the network computes."""

import time
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import numpy as np

from eufcc_cli.core.allocation import give_memory_back, keep_freed_memory
from eufcc_cli.core.model.inference.batching import BatchSize
from eufcc_cli.core.model.inference.decoding.decoder_processes import DecoderProcesses
from eufcc_cli.core.model.inference.decoding.image_queue import ImageQueue, Item
from eufcc_cli.core.model.inference.decoding.read_images import ReadImage, Source
from eufcc_cli.core.model.inference.feature_source import FeatureSource

if TYPE_CHECKING:
    from torch import Tensor

    from eufcc_cli.core.model.converted_model import ConvertedModel
    from eufcc_cli.core.model.tagging_model import TaggingModel

Key = TypeVar("Key")


@dataclass(frozen=True)
class Prediction:
    """One image's log-scores per facet, or the reason why it has none."""

    key: str
    path: Source
    scores: dict[str, np.ndarray] | None
    """{facet: float32 [tags]}, logarithms of scores in [0, 1]."""
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Scored(Generic[Key]):
    """The scores of a batch of images."""

    items: list[tuple[Key, Source]]
    errors: list[str | None]
    """For each image the reason why it has no scores."""
    tables: list[dict[str, np.ndarray]]
    """For each model {facet: log-scores [images without an error, tags]}; empty where all have errors."""


def predict(
    model: "TaggingModel | ConvertedModel", items: Iterable[tuple[str, Source]], **options: Any
) -> Generator[Prediction, None, None]:
    """Score images as they come: one Prediction for each (key, source), in the order given.

    An image that cannot be read gives a Prediction with its error, and the others go on. The options are
    those of `predict_batches`.
    """
    with closing(predict_batches([model], items, **options)) as batches:
        for batch in batches:
            rows = count()
            for (key, source), error in zip(batch.items, batch.errors, strict=True):
                if error is not None:
                    yield Prediction(key, source, None, error)
                else:
                    row = next(rows)
                    scores = {facet: table[row] for facet, table in batch.tables[0].items()}
                    yield Prediction(key, source, scores)


def predict_batches(
    models: "Sequence[TaggingModel | ConvertedModel]",
    items: Iterable[tuple[Key, Source]],
    *,
    batch_size: int | None = 64,
    workers: int | None = None,
    processes: DecoderProcesses | None = None,
    eager: bool = False,
    smallest_batch: int = 1,
) -> Generator[Scored[Key], None, None]:
    """The scores of images by several models, batch by batch, in the order given.

    Features that a model's store holds are not computed again, and new ones are added to it. At most a few
    batches are decoded ahead, so that memory does not grow with the number of images.

    batch_size None: as large as makes it faster. workers: threads that decode; processes: what decodes
    instead of them. eager: where the next item lets itself be waited for (a pipe), go on with those that are
    there; the batches then depend on timing. smallest_batch: smaller ones are filled up (to
    `batching.STEADY`, an image has the same scores whatever stands beside it).
    """
    device = models[0].device
    networks = [cast("TaggingModel", model) for model in models if hasattr(model, "network")]
    if networks and device.type == "cpu":
        from eufcc_cli.core.model.inference.inference_memory import (  # imports PyTorch
            check_memory,
            images_that_fit,
        )

        check_memory(networks)
    sources = [FeatureSource(model) for model in models]
    if device.type == "cpu" and not all(one.engine for one in sources):
        keep_freed_memory()
    size = BatchSize(device, batch_size)
    by_pytorch = [cast("TaggingModel", one.model) for one in sources if one.engine is None]
    if by_pytorch and device.type == "cpu":
        size.limit(images_that_fit(by_pytorch, size.most))
    wanted = [(model.preprocessing, model.store) for model in models]
    images = ImageQueue(wanted, items, size.most, workers=workers, processes=processes, eager=eager)
    # One puts batches together while the other has the network compute those before.
    joiner, network = (ThreadPoolExecutor(1, thread_name_prefix=name) for name in ("join", "network"))
    scored: deque[Future[tuple[Scored[Key], float]]] = deque()
    batches = images.batches(size)
    failure: Exception | None = None

    def next_scored() -> Scored[Key]:
        done, seconds = scored.popleft().result()
        size.measured(done.errors.count(None), seconds)
        return done

    try:
        while True:
            try:
                batch = next(batches, None)
            except Exception as error:  # raised after all results before it
                batch, failure = None, error
            if batch is None:
                break
            ready = joiner.submit(_ready, sources, batch, smallest_batch)
            scored.append(network.submit(_score, sources, ready, size, smallest_batch))
            # The network computes the next batch while the caller uses the one before.
            while len(scored) > 1 or (eager and scored and images.empty()):
                yield next_scored()
        while scored:
            yield next_scored()
        if failure is not None:
            raise failure
    finally:
        images.stop()
        for thread in (joiner, network):
            thread.shutdown(wait=False, cancel_futures=True)
        for one in sources:
            one.close()
        give_memory_back()


@dataclass(frozen=True, slots=True)
class _Batch(Generic[Key]):
    """A batch that was read: the reasons of failures, the images, and what PyTorch's networks see of them."""

    items: list[Item[Key]]
    errors: list[str | None]
    images: list[ReadImage]
    crops: "list[Tensor | None]"


def _ready(sources: Sequence[FeatureSource], items: list[Item[Key]], smallest: int) -> _Batch[Key]:
    """Wait until a batch is read, and put it together."""
    read = [item.read() for item in items]
    images = [image for image in read if isinstance(image, ReadImage)]
    errors = [result if isinstance(result, str) else None for result in read]
    crops = [one.crops(number, images, smallest) for number, one in enumerate(sources)]
    return _Batch(items, errors, images, crops)


def _score(
    sources: Sequence[FeatureSource], ready: Future[_Batch[Key]], size: BatchSize, smallest: int
) -> tuple[Scored[Key], float]:
    """A batch's scores, and the seconds that the network took."""
    batch = ready.result()
    began = time.perf_counter()
    tables = [
        one.scores(number, batch.images, crops, size, smallest)
        for number, (one, crops) in enumerate(zip(sources, batch.crops, strict=True))
        if batch.images
    ]
    seconds = time.perf_counter() - began
    return Scored([(item.key, item.source) for item in batch.items], batch.errors, tables), seconds
