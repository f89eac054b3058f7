"""One process at a time, where two would write into one another."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from eufcc_cli.core.errors import CollectError


@contextmanager
def alone(lock: Path, busy: str) -> Iterator[None]:
    """Hold a lock file, made with its folder; CollectError `busy` where another process holds it."""
    held = FileLock(lock)
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        held.acquire(timeout=0)
    except Timeout:
        raise CollectError(busy, hint="let it finish, or end it") from None
    except OSError as error:
        reason = error.strerror or error
        raise CollectError(f"{lock.parent}: cannot write: {reason}", hint="choose another folder") from error
    try:
        yield
    finally:
        held.release()
