"""The errors a user can cause or meet, each with a message that names the thing and a hint.

::

    EufccError
    ├── DataError        invalid annotation tables, label files, predictions
    │   └── ImageError   one image that cannot be used
    ├── CollectError     servers, downloads, harvests
    └── ModelError       weights, configurations, training
        └── HubError     a model or weights on the Hugging Face hub, which cannot be reached

Anything else that is raised is a bug and keeps its traceback.
"""

import difflib
import errno
from collections.abc import Callable, Iterable, Sequence
from typing import Any


class EufccError(Exception):
    """An error for one line: what is wrong (naming file, row, URL or option), and what to do.

    >>> error = EufccError("data/train.csv: no such file", hint="run `eufcc fetch` first")
    >>> print(error, "/", error.hint)
    data/train.csv: no such file / run `eufcc fetch` first
    """

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class DataError(EufccError):
    """A file has invalid content."""


class ImageError(DataError):
    """One image cannot be used; the message is only the reason: the caller knows which image."""


class TooManyPixelsError(ImageError):
    """An image is too large to decode."""


class CollectError(EufccError):
    """A server, a download or a harvest failed."""


class ModelError(EufccError):
    """A model, its weights or its training cannot be used."""


class HubError(ModelError):
    """A model or weights must be downloaded from the Hugging Face hub, which cannot be reached."""


def cannot_write(path: object, error: OSError) -> EufccError:
    """The error for a file or folder that cannot be written, with a hint for the reason.

    >>> cannot_write("a.csv", PermissionError(errno.EACCES, "Permission denied")).hint
    'choose a folder you may write to'
    """
    hints = {
        errno.ENOSPC: "free some space and run the same command again to resume",
        errno.EACCES: "choose a folder you may write to",
        errno.EROFS: "choose a folder you may write to",
    }
    return EufccError(f"{path}: cannot write: {error.strerror or error}", hints.get(error.errno or 0))


def first_line(error: BaseException) -> str:
    """The first line of a library's error message, or the error's type if the message is empty.

    >>> first_line(ValueError("no\\nsuch thing")), first_line(KeyError())
    ('no', 'KeyError')
    """
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def first_of(
    things: Sequence[Any], most: int = 5, shown: Callable[[Any], str] = str, between: str = ", "
) -> str:
    """The first of many things for a message, and how many more there are.

    >>> first_of(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    more = f" and {len(things) - most:,} more" if len(things) > most else ""
    return between.join(map(shown, things[:most])) + more


def number_of(count: int, thing: str) -> str:
    """A number of things for a message.

    >>> number_of(1, "image"), number_of(2000, "image")
    ('1 image', '2,000 images')
    """
    return f"{count:,} {thing}" + "s" * (count != 1)


def did_you_mean(name: str, known: Iterable[str], otherwise: str | None, cutoff: float = 0.6) -> str | None:
    """The hint for an unknown name: up to three known ones that are similar, or `otherwise`.

    >>> did_you_mean("bronce", ["bronze", "glass"], "choose another")
    'did you mean bronze?'
    """
    near = difflib.get_close_matches(name, list(known), n=3, cutoff=cutoff)
    return f"did you mean {', '.join(near)}?" if near else otherwise
