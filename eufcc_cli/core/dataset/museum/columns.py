"""What the columns of an export hold, guessed from their names and contents."""

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import PurePosixPath
from typing import Any

import pandas as pd

from eufcc_cli.core.dataset.museum.profile import Profile
from eufcc_cli.core.dataset.museum.readers.export import Export
from eufcc_cli.core.images.image_formats import FILE_ENDINGS
from eufcc_cli.core.taxonomy.spelling import fold

ROLES = ("id", "photo", "provider", "title")
_SAMPLE = 2000
_EXAMPLES = 3
_NAMESPACE = re.compile(r"(?:dc|dcterms|dublin core|edm|lido|ca_objects|o)[:.]", re.IGNORECASE)
_NUMBER = re.compile(r"[\s_.(#-]*\d+\)?$")
_PAGE = re.compile(r"/(?:search|objects?|collections?|art|artworks?|items?|records?)/[\w-]*/?$")
_BETWEEN_WORDS = re.compile(r"[\W_]+|(?<=[a-z])(?=[A-Z])")


@dataclass(frozen=True)
class Guess:
    """A guess: a column, what it seems to hold, and three of its values."""

    role: str
    """id, photo, provider, title, or a facet."""
    column: str
    examples: tuple[str, ...]


def complete(profile: Profile, export: Export, skip: Iterable[str] = ()) -> tuple[Profile, list[Guess]]:
    """Guess the columns that a profile does not name; returns the profile and the guesses.

    Roles in `skip` are not guessed, and facets only where the profile names none.
    """
    taken = set(profile.columns()) | set(export.uris.values())
    guesses: list[Guess] = []
    chosen: dict[str, str] = {}
    facets = dict(profile.facets)
    for role in ROLES:
        if not getattr(profile, role) and role not in skip:
            # A file's name may be the id as well.
            column = _find(_names()[role], export, taken - {profile.id} if role == "photo" else taken, role)
            if column:
                chosen[role] = column
                several = numbered(column, export.columns) if role == "photo" else [column]
                taken.update(several)
                guesses += [Guess(role, name, _examples(export.frame[name])) for name in several]
    names = chosen.get("photo")
    if names and not profile.id and "id" not in (*chosen, *skip) and _fits(export.frame[names], "id"):
        chosen["id"] = names
        guesses.insert(0, Guess("id", names, _examples(export.frame[names])))
    if not facets:
        for facet, names in _names()["facets"].items():
            if column := _find(names, export, taken, "facet"):
                facets[facet] = numbered(column, [name for name in export.columns if name not in taken])
                taken.update(facets[facet])
                guesses += [Guess(facet, name, _examples(export.frame[name])) for name in facets[facet]]
    return replace(profile, **chosen, facets=facets), guesses  # type: ignore[arg-type]


def facet_of_column(name: str) -> str | None:
    """The facet that a column's name means; None for other names.

    >>> facet_of_column("Materials"), facet_of_column("Medium"), facet_of_column("Period")
    ('materials', 'materials', None)
    """
    key = fold(name)
    return next((facet for facet, names in _names()["facets"].items() if key in map(fold, names)), None)


@cache
def _names() -> dict[str, Any]:
    return tomllib.loads(files(__package__).joinpath("columns.toml").read_text(encoding="utf-8"))


def _find(names: Iterable[str], export: Export, taken: set[str], role: str) -> str | None:
    """The first column with one of the names whose contents fit; else one whose name contains such a name."""
    free = [column for column in export.columns if column not in taken]
    keys = list(dict.fromkeys(map(fold, names)))
    spelled = {column: {fold(column), fold(_NAMESPACE.sub("", column, count=1))} for column in free}
    if role in ("photo", "facet"):  # "Foto 1", "Foto 2"
        spelled = {column: {*known, fold(_NUMBER.sub("", column))} for column, known in spelled.items()}
    exact = [column for key in keys for column in free if key in spelled[column]]
    one_word = set(map(fold, _names()["one_word"]))
    rest = {column: _from_each_word(column) for column in free}
    inside = [
        column
        for key in keys
        if len(key) > 4 and key not in one_word
        for column in free
        if any(text.startswith(key) for text in rest[column])
    ]
    for column in dict.fromkeys([*exact, *inside]):
        if _fits(export.frame[column], role):
            return column
    # A repeated or missing id is an error to report, not a reason to choose another column.
    return exact[0] if exact and role == "id" else None


def numbered(column: str, columns: Iterable[str]) -> tuple[str, ...]:
    """A column, and those that differ from it in a number only.

    >>> numbered("Material 1", ["Material 1", "Material 2", "material_3", "Materials"])
    ('Material 1', 'Material 2', 'material_3')
    >>> numbered("Material", ["Material", "Technique", "Material (2)"])
    ('Material', 'Material (2)')
    >>> numbered("1", ["1", "2"])
    ('1',)
    """
    name = fold(_NUMBER.sub("", column))
    if not name:
        return (column,)
    return tuple(other for other in columns if fold(_NUMBER.sub("", other)) == name)


def _from_each_word(name: str) -> list[str]:
    """A column's name from each of its words on.

    >>> _from_each_word("Primary materials (all)"), _from_each_word("o:resource_class")
    (['primarymaterialsall', 'materialsall', 'all'], ['oresourceclass', 'resourceclass', 'class'])
    """
    words = [word for word in _BETWEEN_WORDS.split(name) if word]
    return [fold("".join(words[i:])) for i in range(len(words))]


def _fits(column: pd.Series, role: str) -> bool:
    """Whether a column's contents fit the role that its name suggests."""
    values = column[column.str.strip() != ""]
    if values.empty:
        return False
    if role == "id":
        return len(values) == len(column) and bool(values.is_unique)
    if role == "photo":
        return bool(values.head(_SAMPLE).map(_names_image).mean() > 0.5)
    if role == "provider":
        sample = values.head(_SAMPLE)
        return (
            values.nunique() <= max(2, len(column) // 10)
            and not sample.str.contains("://", regex=False).any()
        )
    if role == "facet":
        return values.nunique() < len(column) or len(column) < 10
    return True


def _names_image(text: str) -> bool:
    first = text.split("|")[0].split(";")[0].strip()
    path = first.split("?")[0].replace("\\", "/")
    if PurePosixPath(path).suffix.lower() in FILE_ENDINGS:
        return True
    return first.startswith(("http://", "https://")) and not _PAGE.search(path)


def _examples(column: pd.Series) -> tuple[str, ...]:
    values = column.str.strip()
    return tuple(str(value) for value in values[values != ""].drop_duplicates().head(_EXAMPLES))
