"""What all forms of suggestions have in common: text, result after result."""

from abc import ABC, abstractmethod
from pathlib import Path

from eufcc_cli.core.errors import EufccError
from eufcc_cli.core.tagging.inputs import Input
from eufcc_cli.core.tagging.tagger import Result


class Writer(ABC):
    """A form of suggestions: head, then the texts of results with a separator between them, then tail."""

    head = ""
    separator = ""
    tail = ""
    tells_all = True
    """Whether `text` says why an image has no suggestions, and which catalogued tags are contradicted."""

    @abstractmethod
    def text(self, result: Result) -> str:
        """The text of one result; empty where this form has nothing to say of it."""

    def unwritten(self, result: Result) -> list[str]:
        """What this form has no place for among a result's suggestions, and why."""
        return []

    def key(self, item: Input) -> str:
        """By what an input's result is found again in a file."""
        return item.name

    def existing(self, path: Path) -> set[str]:
        """The keys of the results that a finished file holds; raises EufccError where it is no such file."""
        raise EufccError(
            f"`skip_existing`: {path} is for reading, it does not say what it holds",
            hint="choose jsonl, json, csv, webannotation or sidecar as `format`",
        )


def other_format(path: Path, form: str, reason: object) -> EufccError:
    """The error for a file that was to be continued and is not in this form."""
    return EufccError(f"`output` {path}: not {form}: {reason}", hint="choose another `output`, or delete it")
