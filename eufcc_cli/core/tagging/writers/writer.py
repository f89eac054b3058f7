"""The base of all formats of suggestions: they write text, one result after the other."""

from abc import ABC, abstractmethod
from pathlib import Path

from eufcc_cli.core.errors import EufccError
from eufcc_cli.core.tagging.inputs import Input
from eufcc_cli.core.tagging.tagger import Result


class Writer(ABC):
    """A format of suggestions: head, then the texts of results with a separator between them, then tail."""

    head = ""
    separator = ""
    tail = ""
    is_complete = True
    """Whether `text` contains the reasons of failures, and the contradictions of the record."""

    @abstractmethod
    def text(self, result: Result) -> str:
        """The text of one result; empty if the format has no entry for it."""

    def unwritten(self, result: Result) -> list[str]:
        """The suggestions that this format cannot hold, with the reasons."""
        return []

    def key(self, item: Input) -> str:
        """The key by which an input's result is found in a file."""
        return item.name

    def existing(self, path: Path) -> set[str]:
        """The keys of the results in a finished file; raises EufccError for a file of another format."""
        raise EufccError(
            f"`skip_existing`: {path} is a text for people: its images cannot be recognised",
            hint="choose jsonl, json, csv, webannotation or sidecar as `format`",
        )


def other_format(path: Path, form: str, reason: object) -> EufccError:
    """The error for a file to be continued that has another format."""
    return EufccError(f"`output` {path}: not {form}: {reason}", hint="choose another `output`, or delete it")
