"""Images that are read ahead: in order, in groups, from files and from servers."""

import threading
from pathlib import Path
from typing import Any

import pytest

from eufcc_cli.core.model.converted_model import Processor
from eufcc_cli.core.model.inference.batching import BatchSize
from eufcc_cli.core.model.inference.decoding.image_queue import ImageQueue
from eufcc_cli.core.model.inference.decoding.read_images import Order, Source
from eufcc_cli.core.model.preprocessing import Preprocessing


class Decoder:
    """Notes how many images each call has, and gives each image's content as its error."""

    def __init__(self, threads: int, together: int) -> None:
        self.threads, self.together = threads, together
        self.calls: list[int] = []

    def decode(self, orders: list[Order]) -> list[str]:
        self.calls.append(len(orders))
        return [str(order.file) for order in orders]


def read(sources: list[Source], decoder: Decoder) -> list[Any]:
    """What is read of each, in order; ends after 60 seconds."""
    models = [(Preprocessing(8), None)]
    images = ImageQueue(models, enumerate(sources), 100, processes=decoder)  # type: ignore[arg-type]
    found: list[Any] = []

    def take() -> None:
        for batch in images.batches(BatchSize(Processor(), 100)):
            found.extend(item.read() for item in batch)

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    thread.join(60)
    images.stop()
    assert not thread.is_alive()
    return found


@pytest.mark.parametrize("every", [1, 2, 3])
def test_groups_may_be_larger_than_what_is_got_at_once(every: int) -> None:
    def source(number: int) -> Source:
        return (lambda: Path(str(number))) if number % every == 0 else Path(str(number))

    decoder = Decoder(threads=2, together=1000)
    assert read([source(number) for number in range(600)], decoder) == [str(n) for n in range(600)]


def test_the_first_calls_are_small_and_none_is_a_large_share() -> None:
    decoder = Decoder(threads=4, together=64)
    read([Path(str(number)) for number in range(1000)], decoder)
    assert sum(decoder.calls) == 1000
    assert sorted(decoder.calls)[:4] == [1] * 4  # one for each thread
    assert max(decoder.calls) == 64
    decoder.calls.clear()
    read([Path(str(number)) for number in range(80)], decoder)
    assert max(decoder.calls) <= 80 // 8 + 1
