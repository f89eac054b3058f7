"""File locks between processes that would write the same files."""

import errno
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from eufcc_cli.core.errors import CollectError

log = logging.getLogger("eufcc")

_NO_LOCKS = frozenset((errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL))


@contextmanager
def hold_lock(lock: Path, busy: str, *, wait: bool = False) -> Iterator[None]:
    """Hold a lock file, made with its folder.

    If another process holds it: CollectError `busy`, or with `wait` a warning `busy`, then wait for it. On a
    file system without locks, a second file beside it exists while the lock is held. Raises CollectError if
    the folder cannot be written.
    """
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        try:
            held = _acquire(lock, 0)
        except Timeout as taken:
            if not wait:
                hint = f"let it finish, or end it{_or_delete(taken.lock_file, lock)}"
                raise CollectError(busy, hint=hint) from None
            log.warning("%s: waiting for it to finish%s", busy, _or_delete(taken.lock_file, lock))
            held = _acquire(lock, -1)
    except OSError as error:
        reason = error.strerror or error
        raise CollectError(f"{lock.parent}: cannot write: {reason}", hint="choose another folder") from error
    try:
        yield
    finally:
        held.release()


def is_held(lock: Path) -> bool:
    """True for a lock file that some process holds."""
    try:
        _acquire(lock, 0).release()
    except Timeout:
        return True
    return False


def _acquire(lock: Path, timeout: float) -> BaseFileLock:
    try:
        held: BaseFileLock = FileLock(lock, timeout, fallback_to_soft=False)
        held.acquire()
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        held = SoftFileLock(_soft(lock), timeout)  # that of a process that has ended is replaced
        held.acquire()
    return held


def _soft(lock: Path) -> Path:
    """Not the name of the lock file, which is never deleted where locks work."""
    return lock.with_name(f"{lock.name}.held")


def _or_delete(taken: str, lock: Path) -> str:
    """A hint where it is unknown whether the process that holds a soft lock still runs."""
    soft = _soft(lock)
    return f"; if it does not run, on another machine either, delete {soft}" if taken == str(soft) else ""
