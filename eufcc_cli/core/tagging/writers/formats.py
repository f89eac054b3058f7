"""The formats of suggestions and of decisions, by their names on the command line."""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True)
class Format:
    """A format: its purpose, and where it can be chosen."""

    about: str
    suggestions: bool = True
    decisions: bool = False
    """Whether decisions can be written in it."""
    endings: tuple[str, ...] = ()
    """The endings of file names that choose it."""


FORMATS = {
    "table": Format("to read", endings=(".txt",)),
    "tree": Format("to read"),
    "jsonl": Format("for programs", endings=("", ".jsonl", ".ndjson")),
    "json": Format("for programs", endings=(".json",)),
    "csv": Format("for spreadsheets", decisions=True, endings=(".csv",)),
    "webannotation": Format("W3C, Europeana", decisions=True, endings=(".jsonld",)),
    "crowdheritage": Format("a campaign's votes"),
    "sidecar": Format("XMP beside the image", decisions=True),
    "lido": Format("museum records", suggestions=False, decisions=True),
    "edm": Format("Europeana's records", suggestions=False, decisions=True),
}
SUGGESTIONS = tuple(name for name, format in FORMATS.items() if format.suggestions)
DECISIONS = tuple(name for name, format in FORMATS.items() if format.decisions)
OF_ENDING = {ending: name for name, format in FORMATS.items() for ending in format.endings}
EMBEDDED = "embed"
"""Instead of a format: terms in the images themselves."""
KEYWORDS = ("sidecar", EMBEDDED)
"""What is written as keywords of each image, instead of one result for all."""


class SidecarName(StrEnum):
    """How a sidecar is called."""

    full = "photo.jpg.xmp"
    """As darktable and digiKam call it."""
    stem = "photo.xmp"
    """As Adobe's programs call it."""
