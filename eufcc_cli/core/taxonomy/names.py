"""The names of tags in other languages: labels/names.csv, and the glossary of EUFCC-340K's tags."""

import csv
import io
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path

from eufcc_cli.core.files import Root, csv_text, read_rows, write_text
from eufcc_cli.core.taxonomy.hierarchy import Hierarchy
from eufcc_cli.core.taxonomy.tables.annotations import canonical

log = logging.getLogger("eufcc")

LANGUAGES = ("en", "es", "fr", "de", "ca")
"""The languages of the glossary; `ca` (Catalan) is that of the published tags themselves."""
_COLUMNS = ["facet", "tag", "language", "name"]

ByLanguage = dict[str, list[str]]
"""{language: names of one tag, the preferred one first}."""


@dataclass
class Names:
    """The names of tags, by facet and tag."""

    facets: dict[str, dict[str, ByLanguage]] = field(default_factory=dict)

    def add(self, facet: str, tag: str, language: str, name: str) -> None:
        """Add a name after the tag's other names in the language."""
        known = self.facets.setdefault(facet, {}).setdefault(tag, {}).setdefault(language, [])
        if name not in known:
            known.append(name)

    def of(self, facet: str, tag: str, language: str) -> str | None:
        """The preferred name of a tag, None if it has none in the language."""
        return next(iter(self.facets.get(facet, {}).get(tag, {}).get(language, ())), None)

    def shown(self, facet: str, language: str | None) -> Callable[[str], str]:
        """A function from a tag of the facet to the name to show: the tag itself if it has no name."""
        return lambda tag: (language and self.of(facet, tag, language)) or tag

    def warn_without(self, language: str | None) -> None:
        """Log a warning if no tag has a name in the chosen language."""
        tags = (names for facet in self.facets.values() for names in facet.values())
        if language is not None and not any(language in names for names in tags):
            log.warning("no tag has a name in the language %s: the tags themselves are shown", language)

    def every(self, facet: str, tag: str) -> Iterator[tuple[str, str]]:
        """All names of a tag as (language, name)."""
        for language, names in self.facets.get(facet, {}).get(tag, {}).items():
            for name in names:
                yield language, name


def read_names(path: Path) -> Names:
    """The names in a file with the columns facet, tag, language, name; empty without such a file.

    Raises DataError for a file with other columns.
    """
    names = Names()
    for _, row in read_rows(path, _COLUMNS) if path.is_file() else ():
        facet, tag, language, name = (canonical(row[column]) for column in _COLUMNS)
        if tag and language and name:
            names.add(facet, tag, language.lower(), name)
    return names


def write_names(path: Path, names: Names) -> None:
    """Write names to a file that `read_names` reads."""
    rows = (
        {"facet": facet, "tag": tag, "language": language, "name": name}
        for facet, tags in names.facets.items()
        for tag in sorted(tags)
        for language, name in names.every(facet, tag)
    )
    write_text(path, csv_text(_COLUMNS, rows))


@cache
def _glossary_rows() -> list[dict[str, str]]:
    text = (files(__package__) / "glossary.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(io.StringIO(text)))


@cache
def glossary_paths(facet: str, language: str = "ca") -> Mapping[str, tuple[str, ...]]:
    """{published tag: its whole path in a language} of a facet of EUFCC-340K; `ca` are the tags themselves.

    >>> glossary_paths("materials", "en")["bronze"]
    ('metal', 'nonferrous metal', 'copper alloy', 'bronze')
    """
    column = "tag" if language == "ca" else language
    name = {row["tag"]: row[column] for row in _glossary_rows() if row["facet"] == facet}
    return {
        row["tag"]: tuple(name[tag] for tag in row["path"].split(" | "))
        for row in _glossary_rows()
        if row["facet"] == facet
    }


@cache
def glossary() -> Mapping[str, Mapping[str, ByLanguage]]:
    """{facet: {tag: names}} of every published tag of EUFCC-340K, in the languages of LANGUAGES.

    >>> glossary()["materials"]["fusta"]["en"][0], glossary()["materials"]["fusta"]["de"]
    ('wood', ['Holz'])
    """
    found: dict[str, dict[str, ByLanguage]] = {}
    for row in _glossary_rows():
        names = {language: [row[language]] for language in ("en", "es", "fr", "de")} | {"ca": [row["tag"]]}
        if row["en_plural"] and row["en_plural"] != row["en"]:
            names["en"].append(row["en_plural"])
        found.setdefault(row["facet"], {})[row["tag"]] = names
    return found


def glossary_trees() -> dict[str, Hierarchy]:
    """The published label trees of EUFCC-340K, for roots without label files.

    >>> glossary_trees()["materials"].path("fusta")
    ('material vegetal', 'fusta')
    """
    trees: dict[str, Hierarchy] = {}
    for row in _glossary_rows():
        *above, tag = row["path"].split(" | ")
        tree = trees.setdefault(row["facet"], Hierarchy(row["facet"]))
        tree.add(tag, above[-1] if above else None)
    return trees


def names_of(root: Root, trees: Mapping[str, Hierarchy]) -> Names:
    """The names of the tags of some trees: those of labels/names.csv, then those of the glossary."""
    return names_of_paths(root, {facet: [tree.path(tag) for tag in tree] for facet, tree in trees.items()})


def names_of_paths(root: Root, paths: Mapping[str, Iterable[tuple[str, ...]]]) -> Names:
    """The same for tags that are given by their paths, general to specific.

    The glossary is used if every name on a tag's path is a published tag of the facet: a word of another
    language that is spelled like a Catalan tag is then not mistaken for it.
    """
    names = read_names(root.names)
    for facet, found in paths.items():
        known = glossary().get(facet, {})
        for path in found:
            if all(name in known for name in path):
                for language, texts in known[path[-1]].items():
                    for text in texts:
                        names.add(facet, path[-1], language, text)
    return names
