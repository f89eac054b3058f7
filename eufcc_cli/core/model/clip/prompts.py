"""Tags put into words: the texts that CLIP scores, and the captions it learns from.

A tag becomes a phrase (its name, its path, or its name with its parent's), in its own language or under
the display names of a table, and the phrase is set into the prompts of its facet. A facet with several
prompts has its tags' embeddings averaged over them (Radford et al. 2021, section 3.1.4).
"""

import logging
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from eufcc_cli.core.errors import DataError, first_of
from eufcc_cli.core.files import Root, read_rows
from eufcc_cli.core.model.methods import ClipMethod
from eufcc_cli.core.taxonomy.names import names_of_paths
from eufcc_cli.core.taxonomy.tables.annotations import FACETS, check_facets
from eufcc_cli.core.taxonomy.vocabulary import FacetVocabulary, Targets, Vocabulary

log = logging.getLogger("eufcc")

TAGS = "tags"
"""As `names`: the tags themselves, in their own language."""
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]+)?")
PLACEHOLDER = "{tag}"
BARE: Mapping[str, tuple[str, ...]] = MappingProxyType(dict.fromkeys(FACETS, (PLACEHOLDER,)))
"""The prompt that adds nothing to the phrase."""
PHRASES: Mapping[str, Callable[[Sequence[str]], str]] = MappingProxyType(
    {
        "name": lambda path: path[-1],
        "path": lambda path: ", ".join(path),
        "parent": lambda path: f"{path[-1]} ({path[-2]})" if len(path) > 1 else path[-1],
    }
)
"""The phrases for a tag, made of the names on its path, general to specific."""


def read_prompts(path: Path) -> dict[str, tuple[str, ...]]:
    """Read prompts from a TOML file: a facet's prompt, or a list of them, each with `{tag}` in it.

    Facets that the file does not name keep theirs. Raises DataError for anything else.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"`prompts` {path}: {error.strerror}", hint="give a TOML file") from error
    except ValueError as error:
        raise DataError(
            f"`prompts` {path}: {error}", hint='write lines like materials = "an object made of {tag}"'
        ) from error
    return _checked(path, content)


def _checked(path: Path, content: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    check_facets(content, f"`prompts` {path}: ")
    found = {}
    for facet, value in content.items():
        prompts = tuple(value) if isinstance(value, list) else (value,)
        for prompt in prompts:
            if not isinstance(prompt, str) or PLACEHOLDER not in prompt:
                raise DataError(
                    f"`prompts` {path}: {facet}: {prompt!r} has no {PLACEHOLDER}",
                    hint=f"write {PLACEHOLDER} where the tag belongs",
                )
        if not prompts:
            raise DataError(f"`prompts` {path}: {facet}: no prompt", hint='"{tag}" is the tag itself')
        found[facet] = prompts
    return found


PROMPTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    read_prompts(Path(__file__).with_name("prompts.toml"))
)
"""The default prompts."""


@cache
def prompts_of(language: str) -> Mapping[str, tuple[str, ...]] | None:
    """The prompts in a language of the glossary, None for any other.

    >>> prompts_of("fr")["objectTypes"], prompts_of("nl")
    (('une image de {tag}',), None)
    """
    if language == "en":
        return PROMPTS
    path = Path(__file__).with_name("prompts_by_language.toml")
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    return _checked(path, content[language]) if language in content else None


@dataclass(frozen=True)
class Wording:
    """The wording of a vocabulary's tags: names, phrase and prompts.

    >>> metals = FacetVocabulary(("metal", "bronze"), (-1, 0))
    >>> Wording(phrase="parent").texts(Vocabulary({"materials": metals}))["materials"][1]
    ('an image of an object made of bronze (metal)',)
    """

    prompts: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: PROMPTS)
    phrase: str = "name"
    """A key of PHRASES."""
    names: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """{facet: {tag: display name}}; a tag without one is its own name."""

    def phrases(self, facet: str, tags: FacetVocabulary) -> list[str]:
        """The phrase of each tag of a facet."""
        names, put = self.names.get(facet, {}), PHRASES[self.phrase]
        return [put([names.get(tag, tag) for tag in tags.path(i)]) for i in range(len(tags))]

    def texts(self, vocabulary: Vocabulary) -> dict[str, list[tuple[str, ...]]]:
        """For every tag of every facet the texts it is scored by: one for each prompt of the facet."""
        return {
            facet: [self.prompted(facet, phrase) for phrase in self.phrases(facet, tags)]
            for facet, tags in vocabulary.facets.items()
        }

    def prompted(self, facet: str, phrase: str) -> tuple[str, ...]:
        """A phrase in each prompt of its facet."""
        prompts = self.prompts.get(facet, (PLACEHOLDER,))
        return tuple(prompt.replace(PLACEHOLDER, phrase) for prompt in prompts)

    def to_json(self) -> dict[str, Any]:
        return {
            "prompts": {facet: list(prompts) for facet, prompts in self.prompts.items()},
            "phrase": self.phrase,
            "names": {facet: dict(names) for facet, names in self.names.items()},
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Wording":
        """The wording of a model's config.json; raises KeyError or TypeError where it is incomplete."""
        prompts = {facet: tuple(prompts) for facet, prompts in values["prompts"].items()}
        return cls(prompts, values["phrase"], values["names"])


@dataclass(frozen=True)
class TextOptions:
    """A user's options for the texts that are scored; None keeps those of the training."""

    prompts: Path | None = None
    phrase: str | None = None
    names: str | None = None
    """TAGS, a language, or a CSV file; None: English names where the tags have some."""
    added: tuple[str, ...] = ()
    """Further tags, TERM (in every facet) or FACET:TERM."""

    def __bool__(self) -> bool:
        return self != TextOptions()

    def wording(self, wording: Wording, vocabulary: Vocabulary, root: Root) -> Wording:
        """The wording with the user's options; raises DataError for a file that cannot be used.

        `names` are those of the root's labels/names.csv and of the glossary, or of a file. The prompts are in
        their language, if the glossary has it and neither the training nor the user chose others.
        """
        if wording.prompts == PROMPTS and (prompts := prompts_of(self.names or "en")):
            wording = replace(wording, prompts=prompts)
        if self.prompts is not None:
            wording = replace(wording, prompts={**wording.prompts, **read_prompts(self.prompts)})
        if self.phrase is not None:
            if self.phrase not in PHRASES:
                raise DataError(f"`text` {self.phrase}: no such choice", hint=f"choose {', '.join(PHRASES)}")
            wording = replace(wording, phrase=self.phrase)
        if self.names is not None:
            wording = replace(wording, names=text_names(self.names, vocabulary, root))
        return wording

    def vocabulary(self, vocabulary: Vocabulary) -> Vocabulary:
        """The vocabulary and the added tags, at the top level and after all others; raises DataError."""
        facets = dict(vocabulary.facets)
        for term in self.added:
            facet, colon, tag = (part.strip() for part in term.partition(":"))
            wanted, tag = ([facet], tag) if colon and facet in FACETS else (list(facets), term.strip())
            if not tag:
                raise DataError(f"`add_tag` {term!r}: no tag", hint="give a TERM, or FACET:TERM")
            for name in wanted:
                tags = facets.get(name, FacetVocabulary((), ()))
                if tag not in tags.index:
                    facets[name] = FacetVocabulary((*tags.tags, tag), (*tags.parents, -1))
        return Vocabulary(facets)


def text_names(names: str, vocabulary: Vocabulary, root: Root) -> dict[str, dict[str, str]]:
    """{facet: {tag: name}} as the setting `names` says: TAGS for none, a language such as en, or a CSV file.

    Raises DataError where it is no file, and no tag has a name in such a language.
    """
    if names == TAGS:
        return {}
    if not _LANGUAGE.fullmatch(names):
        return read_names(Path(names), vocabulary)
    paths = {facet: [tags.path(i) for i in range(len(tags))] for facet, tags in vocabulary.facets.items()}
    known = names_of_paths(root, paths)
    found = {
        facet: {tag: name for tag in tags.tags if (name := known.of(facet, tag, names)) not in (None, tag)}
        for facet, tags in vocabulary.facets.items()
    }
    if not any(known.of(facet, tag, names) for facet, tags in vocabulary.facets.items() for tag in tags.tags):
        raise DataError(
            f"`names` {names}: no tag has a name in this language",
            hint=f"write names into {root.names}, or give {TAGS} for the tags themselves",
        )
    return {facet: given for facet, given in found.items() if given}


def english_names(vocabulary: Vocabulary, root: Root) -> dict[str, dict[str, str]]:
    """The English names of a vocabulary's tags, none where no tag has any: what CLIP was trained on."""
    try:
        return text_names("en", vocabulary, root)
    except DataError:
        return {}


def read_names(path: Path, vocabulary: Vocabulary) -> dict[str, dict[str, str]]:
    """Read display names from a CSV file with columns tag and name, and optionally facet.

    Only the vocabulary's tags are taken; a warning counts those without a name. Raises
    DataError for a file without these columns, or two names for one tag.
    """
    names: dict[str, dict[str, str]] = {facet: {} for facet in vocabulary.facets}
    for number, row in read_rows(path, ("tag", "name")):
        tag, name = row["tag"], row["name"].strip()
        for facet in [row["facet"]] if row.get("facet") else vocabulary.facets:
            if not name or facet not in names or tag not in vocabulary.facets[facet].index:
                continue
            if (other := names[facet].setdefault(tag, name)) != name:
                raise DataError(
                    f"`names` {path}, line {number}: {tag} has two names, {other} and {name}",
                    hint="leave one of them out, or add a column facet",
                )
    missing = [
        tag for facet, tags in vocabulary.facets.items() for tag in tags.tags if tag not in names[facet]
    ]
    if missing:
        size = sum(map(len, vocabulary.facets.values()))
        kept = first_of(missing, 3)
        log.warning(
            "%s: no name for %d of %d tags, which are used themselves: %s", path, len(missing), size, kept
        )
    return names


class Captions:
    """A caption for every training image, from its tags in all facets, as the method says."""

    def __init__(
        self, method: ClipMethod, wording: Wording, vocabulary: Vocabulary, targets: Mapping[str, Targets]
    ) -> None:
        self.method, self.wording = method, wording
        self._facets = list(vocabulary.facets)
        self._phrases = {facet: wording.phrases(facet, tags) for facet, tags in vocabulary.facets.items()}
        self._depths = {facet: tags.depths for facet, tags in vocabulary.facets.items()}
        self._targets = targets

    def of(self, rows: np.ndarray, draws: np.ndarray) -> list[str]:
        """Captions of some rows, each with a tag; draws [B, 2], uniform in [0, 1), choose tag and prompt."""
        return [self._caption(int(row), *draw) for row, draw in zip(rows, draws.tolist(), strict=True)]

    def _caption(self, row: int, choice: float, prompt: float) -> str:
        found = []
        for facet in self._facets:
            tags = self._targets[facet].row(row)
            general_first = tags[np.argsort(self._depths[facet][tags], kind="stable")]
            found += [(facet, self._phrases[facet][tag]) for tag in general_first]
        return self.method.caption(found, (choice, prompt), self.wording.prompted)
