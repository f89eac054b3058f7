"""A process that decodes strangers' images, and how it is spoken to: calls in, answers out, in order.

A message is its length and JSON, in which the few types below keep their kind; a body of bytes follows a
call as it is. What comes out of a process that a hostile image may have taken over is data, never code.
"""

import importlib
import json
import os
import signal
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from eufcc_cli.core.download.origins import Origin
from eufcc_cli.core.download.store import Rejected, Stored, Storing
from eufcc_cli.core.errors import EufccError

_YIELDS = 5  # niceness: an event loop that has to wait for its turn keeps all the processes waiting
LENGTH = 8  # bytes before each part of a message

_KINDS: dict[str, Callable[..., Any]] = {kind.__name__: kind for kind in (Origin, Rejected, Stored, Storing)}


def pack(value: object) -> bytes:
    """A value as a part of a message."""
    text = json.dumps(value, default=_plain).encode()
    return len(text).to_bytes(LENGTH) + text


def unpack(text: bytes) -> Any:
    """The value that `pack` was given, with lists for tuples.

    >>> unpack(pack([Rejected("not-image", "empty"), Path("a.jpg"), None])[LENGTH:])
    [Rejected(status='not-image', reason='empty'), PosixPath('a.jpg'), None]
    """
    return json.loads(text, object_hook=_revived)


def _plain(value: object) -> dict[str, Any]:
    return {"Path": str(value)} if isinstance(value, Path) else {type(value).__name__: vars(value)}


def _revived(found: dict[str, Any]) -> Any:
    if len(found) == 1:
        name, value = next(iter(found.items()))
        if name == "Path":
            return Path(value)
        if name in _KINDS:
            return _KINDS[name](**value)
    return found


def pack_call(function: Callable[..., object], arguments: Sequence[object]) -> bytes:
    """A call of a function that lies in a module; its first argument may be bytes."""
    body = arguments[0] if arguments and isinstance(arguments[0], bytes) else None
    others = arguments if body is None else arguments[1:]
    head = pack([function.__module__, function.__qualname__, body is not None, others])
    return head if body is None else head + len(body).to_bytes(LENGTH) + body


def serve(calls: BinaryIO, answers: BinaryIO) -> None:
    """Answer calls until there are no more, as happens too when the parent dies.

    An answer is [True, result], or [False, …] with the message and hint of a EufccError, or a traceback.
    """
    while length := calls.read(LENGTH):
        module, name, has_body, arguments = unpack(calls.read(int.from_bytes(length)))
        if has_body:
            arguments.insert(0, calls.read(int.from_bytes(calls.read(LENGTH))))
        try:
            answer = [True, getattr(importlib.import_module(module), name)(*arguments)]
        except EufccError as error:
            answer = [False, str(error), error.hint]
        except Exception:
            answer = [False, traceback.format_exc()]
        answers.write(pack(answer))
        answers.flush()


def main() -> None:
    """Serve on standard input and output."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent alone hears Ctrl-C
    if hasattr(os, "nice"):
        os.nice(_YIELDS)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is no answer
    serve(os.fdopen(0, "rb"), answers)


if __name__ == "__main__":
    main()
