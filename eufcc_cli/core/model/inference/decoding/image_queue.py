"""Images that are read ahead of a network, a limited number, in the order of their items."""

import queue
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from eufcc_cli.core.machine import cores
from eufcc_cli.core.model.features import FeatureStore
from eufcc_cli.core.model.inference.batching import BatchSize
from eufcc_cli.core.model.inference.decoding.decoder_processes import DecoderProcesses
from eufcc_cli.core.model.inference.decoding.read_images import ReadImage, Source, decode_images, read_images
from eufcc_cli.core.model.preprocessing import Preprocessing

Key = TypeVar("Key")

_AHEAD_BYTES = 128 << 20  # of decoded images that wait for the network
_PATIENCE = 0.02  # seconds that an eager prediction waits for one more image
_TOGETHER = 16  # images that a thread reads at once
_GROUPS = 6  # of images that are read ahead, at least
_FETCHED = 32  # images that are got at once where their source is a function: it waits for a server


@dataclass(slots=True)
class Item(Generic[Key]):
    """An image that is being read."""

    key: Key
    source: Source
    _together: "Future[list[ReadImage | str]]"
    _number: int

    def read(self) -> ReadImage | str:
        """Wait until it is read; the reason where it cannot be."""
        return self._together.result()[self._number]


class ImageQueue(Generic[Key]):
    """Takes items from their source in a separate thread, and reads a limited number of them ahead."""

    def __init__(
        self,
        models: Sequence[tuple[Preprocessing, FeatureStore | None]],
        items: Iterable[tuple[Key, Source]],
        batch: int,
        *,
        workers: int | None = None,
        processes: DecoderProcesses | None = None,
        eager: bool = False,
    ) -> None:
        """batch: the most items that are used at once; eager: an item is worth having before the next one."""
        self._models = models
        self._items = items
        self._eager = eager
        threads = processes.threads if processes else workers or cores()
        self._decode = processes.decode if processes else decode_images
        self._decoders = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        self._fetchers = ThreadPoolExecutor(_FETCHED, thread_name_prefix="fetch")
        self._room = threading.Semaphore(_FETCHED)
        each = sum(3 * p.crop_count * p.size**2 for p in {p for p, _ in models})
        together = processes.together if processes else _TOGETHER
        groups = max(_GROUPS, threads) if processes else _GROUPS  # so that each process has its next one
        enough = max(3 * batch, groups * together) if processes else 3 * batch
        ahead = min(enough, max(batch + 1, _AHEAD_BYTES // each))
        self._together = max(1, min(together, ahead // groups))
        # The first calls are of one image, which is there soon; none is a large share of a short list.
        self._shares = 2 * threads
        self._queue: queue.Queue[list[Item[Key]] | BaseException | None] = queue.Queue(
            ahead // self._together
        )
        self._taken: deque[Item[Key]] = deque()
        self._stopped = threading.Event()
        # A daemon: where items come from a pipe, the end of the program need not wait for the next one.
        threading.Thread(target=self._read, name="reader", daemon=True).start()

    def _read(self) -> None:
        last: BaseException | None = None
        some: list[tuple[Key, Source]] = []
        count = 0
        try:
            for key, source in self._items:
                some.append((key, self._fetched(source)))
                count += 1
                # A group is read when it is whole: it must not need more images than are got at once.
                most = _FETCHED // 2 if callable(source) else self._together
                if self._eager or len(some) >= min(most, self._together, 1 + count // self._shares):
                    self._submit(some)
                    some = []
                if self._stopped.is_set():
                    return
        except BaseException as error:
            last = error
        if some:
            self._submit(some)
        self._put(last)

    def _fetched(self, source: Source) -> Source:
        """A source that is being got already, where it is a function."""
        if not callable(source):
            return source
        while not self._room.acquire(timeout=0.2):
            if self._stopped.is_set():
                return source
        begun = self._fetchers.submit(source)

        def get() -> Path | bytes:
            try:
                return begun.result()
            finally:
                self._room.release()

        return get

    def _submit(self, some: list[tuple[Key, Source]]) -> None:
        sources = [source for _, source in some]
        read = self._decoders.submit(read_images, self._models, sources, self._decode)
        self._put([Item(key, source, read, number) for number, (key, source) in enumerate(some)])

    def _put(self, items: "list[Item[Key]] | BaseException | None") -> None:
        while not self._stopped.is_set():
            try:
                return self._queue.put(items, timeout=0.2)
            except queue.Full:
                continue

    def batches(self, size: BatchSize) -> Iterator[list[Item[Key]]]:
        """The items in batches of `size.now`; what their source raises comes after those before it."""
        taken = self._taken
        last: BaseException | None = None
        ended = False
        while taken or not ended:
            while not ended and len(taken) < size.now:
                try:
                    some = self._queue.get(timeout=_PATIENCE if self._eager and taken else None)
                except queue.Empty:
                    break
                if isinstance(some, list):
                    taken.extend(some)
                else:
                    ended, last = True, some
            if taken:
                yield [taken.popleft() for _ in range(min(size.now, len(taken)))]
        if last is not None:
            raise last

    def empty(self) -> bool:
        """Whether the next item is not there yet."""
        return not self._taken and self._queue.empty()

    def stop(self) -> None:
        """Read nothing more; returns at once."""
        self._stopped.set()
        for pool in (self._decoders, self._fetchers):
            pool.shutdown(wait=False, cancel_futures=True)
