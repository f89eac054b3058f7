"""A decoder that some images kill; a small module of its own, since processes have to import it."""

import os
import signal
from pathlib import Path

from eufcc_cli.core.model.inference.decoding import decoder_processes
from eufcc_cli.core.model.inference.decoding.read_images import Order, Seen

really_decode_into = decoder_processes.decode_into


def decode_into(name: str | None, place: int | None, orders: list[Order]) -> list[Seen | str | None]:
    for order in orders:
        content = Path(order.file).read_bytes() if isinstance(order.file, str) else order.file
        if b"deadly" in content:
            os.kill(os.getpid(), signal.SIGKILL)
    return really_decode_into(name, place, orders)
