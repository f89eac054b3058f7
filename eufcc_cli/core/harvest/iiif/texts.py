"""Texts of IIIF Presentation documents: labels and values in several languages."""

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from eufcc_cli.core.files import visible

_TAG = re.compile(r"<[^<>]*>")
_ANY = ("none", "@none", "")


@dataclass(frozen=True)
class Texts:
    """A text in several languages: {language, "" where it has none: values}."""

    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.values)

    def within(self, language: str | None) -> tuple[str, ...]:
        """The values in a language, else those without one, else English, else the first there are.

        >>> Texts({"de": ("Vase",), "en": ("vase",)}).within("de")
        ('Vase',)
        """
        for code in (language or "", "", "en"):
            for found, values in self.values.items():
                if found == code or (code and found.split("-")[0] == code):
                    return values
        return next(iter(self.values.values()), ())

    def text(self, language: str | None = None) -> str:
        return "; ".join(self.within(language))


def texts(value: object) -> Texts:
    """A label or value of either version: a text, a value with its language, a language map, or a list.

    >>> texts([{"@value": "Gefäß", "@language": "de"}, "x"]).values
    {'de': ('Gefäß',), '': ('x',)}
    >>> texts({"none": ["1"], "en": ["<b>a</b> &amp; b"]}).values
    {'': ('1',), 'en': ('a & b',)}
    """
    found: dict[str, dict[str, None]] = {}

    def add(language: str, text: object) -> None:
        if isinstance(text, int | float) and not isinstance(text, bool):
            text = str(text)
        if isinstance(text, str) and (plain := _plain(text)):
            key = "" if language in _ANY else language.lower()
            found.setdefault(key, {})[plain] = None

    for each in as_list(value):
        if not isinstance(each, Mapping):
            add("", each)
        elif "@value" in each:
            language = each.get("@language")
            for text in as_list(each["@value"]):
                add(language if isinstance(language, str) else "", text)
        else:
            for language, several in each.items():
                for text in as_list(several):
                    add(str(language), text)
    return Texts({language: tuple(several) for language, several in found.items()})


def _plain(text: str) -> str:
    """A text without the markup that the API allows in it, on one line."""
    if "<" in text:
        text = _TAG.sub(" ", text)
    return visible(" ".join(html.unescape(text).split()))


def as_list(value: object) -> list[Any]:
    """A list, or a value that may stand without one, as a list."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
