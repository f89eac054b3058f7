"""What worker processes are asked in tests; a small module of its own, since they have to import it."""

import os
import signal
import time
from pathlib import Path

from eufcc_cli.core.download.origins import Origin
from eufcc_cli.core.download.store import Rejected, Stored, Storing, store
from eufcc_cli.core.errors import EufccError


def store_or_die(body: bytes | Path, origin: Origin, how: Storing) -> Stored | Rejected:
    """Stands for a decoder that one image kills."""
    if origin.id == "deadly":
        _die()
    return store(body, origin, how)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def double(number: int) -> int:
    return 2 * number


def told(body: bytes, how: Storing, rejected: Rejected, nothing: None) -> list[object]:
    return [len(body), how, rejected, nothing, "Path" if isinstance(how.folder, Path) else "no Path"]


def fail(message: str, hint: str) -> None:
    raise EufccError(message, hint)


def divide(one: int, other: int) -> float:
    return one / other


def die_if(deadly: bool, number: int) -> int:
    if deadly:
        _die()
    return number


def die_at_13(number: int) -> int:
    if number == 13:
        _die()
    return number


def sleep(seconds: float) -> None:
    time.sleep(seconds)
