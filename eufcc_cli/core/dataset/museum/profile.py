"""The mapping of a museum's export to the collection, kept in data/profile.toml for the next export."""

import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from eufcc_cli.core.errors import DataError
from eufcc_cli.core.files import Root, write_text
from eufcc_cli.core.taxonomy.spelling import near_misses
from eufcc_cli.core.taxonomy.tables.annotations import FACETS, check_facets

SEPARATORS = (";", "|")
_HEAD = "# How this museum's export becomes the collection: `eufcc fetch table` reads it, and writes it.\n"


@dataclass(frozen=True)
class Profile:
    """The meaning of an export's columns.

    facets: {facet: columns}; separators: what separates the terms in a cell, if not `;` or `|`;
    single: the facets with one value per record; language: that of the terms; min_count: how many records
    a term outside the vocabulary needs (0: the default); photos: the folders of the photographs.
    """

    id: str = ""
    photo: str = ""
    provider: str = ""
    title: str = ""
    facets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    separators: tuple[str, ...] = ()
    single: tuple[str, ...] = ()
    sheet: str = ""
    language: str = ""
    min_count: int = 0
    photos: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a profile; raises DataError for an invalid one."""
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise DataError(f"{path}: no such file", hint="`eufcc fetch table EXPORT` writes one") from None
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise DataError(f"{path}: cannot be read: {error}", hint="correct it, or remove it") from error
        return cls(**{name: _value(path, name, value) for name, value in content.items()})

    def write(self, path: Path) -> None:
        """Write the profile: every setting that has a value."""
        lines = [_HEAD]
        for each in fields(self):
            value = getattr(self, each.name)
            if value and each.name != "facets":
                lines.append(f"{each.name} = {_toml(value)}\n")
        lines.append("\n[facets]\n")
        lines += [f"{facet} = {_toml(columns)}\n" for facet, columns in self.facets.items()]
        write_text(path, "".join(lines))

    def columns(self) -> dict[str, str]:
        """All columns in the profile: {column: setting}."""
        named = {self.id: "id", self.photo: "photo", self.provider: "provider", self.title: "title"}
        named |= {column: f"facet {facet}" for facet, columns in self.facets.items() for column in columns}
        named.pop("", None)
        return named

    def check(self, columns: Iterable[str], export: Path) -> None:
        """Raise DataError if the export lacks a column of the profile."""
        there = list(columns)
        missing = {column: of for column, of in self.columns().items() if column not in there}
        if not missing:
            return
        if len(missing) == len(self.columns()) > 1:
            raise DataError(
                f"{export}: has none of the named columns ({', '.join(missing)})",
                hint=f"its columns are {', '.join(there[:20])}; give another museum a `root` of its own",
            )
        column, of = next(iter(missing.items()))
        near = near_misses(column, there) or there[:20]
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise DataError(f"{export}: has no column {column!r} ({of}){more}", hint=f"perhaps {', '.join(near)}")


def profile_file(root: Root) -> Path:
    """The path of a root's profile."""
    return root.data / "profile.toml"


def parse_facets(values: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The facets' columns from `materials=Medium` or `objectTypes=ObjectName,Title`; DataError for others.

    >>> parse_facets(["materials=Medium", "objectTypes=ObjectName,Title"])
    {'materials': ('Medium',), 'objectTypes': ('ObjectName', 'Title')}
    """
    facets: dict[str, tuple[str, ...]] = {}
    for text in values:
        facet, equals, names = text.partition("=")
        facet = facet.strip()
        columns = tuple(name for part in names.split(",") if (name := " ".join(part.split())))
        if not equals or not columns:
            raise DataError(f"facet {text!r}: names no column", hint="write materials=Medium")
        if facet not in FACETS:
            near = near_misses(facet, FACETS) or FACETS
            raise DataError(f"facet {facet!r}: not known", hint=f"perhaps {', '.join(near)}")
        facets[facet] = (*facets.get(facet, ()), *columns)
    return facets


_KNOWN: dict[str, type] = {
    "id": str, "photo": str, "provider": str, "title": str, "sheet": str, "language": str,
    "min_count": int, "facets": dict, "separators": list, "single": list, "photos": list,
}  # fmt: skip


def _value(path: Path, name: str, value: Any) -> Any:
    kind = _KNOWN.get(name)
    if kind is None:
        near = near_misses(name, _KNOWN) or _KNOWN
        raise DataError(f"{path}: {name} is not known", hint=f"perhaps {', '.join(near)}")
    if kind is list and isinstance(value, list) and all(isinstance(each, str) for each in value):
        return tuple(value)
    if kind is dict and isinstance(value, dict):
        check_facets(value, f"{path}: ")
        columns = {facet: [of] if isinstance(of, str) else of for facet, of in value.items()}
        if all(isinstance(of, list) and all(isinstance(each, str) for each in of) for of in columns.values()):
            return {facet: tuple(of) for facet, of in columns.items()}
    elif (kind is str and isinstance(value, str)) or (kind is int and type(value) is int and value >= 0):
        return value
    raise DataError(
        f"{path}: {name} = {value!r} has the wrong type", hint="see docs/how-to/own-collection.md"
    )


def _toml(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
