"""An index of a facet's known terms: their words as keys."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Literal

from eufcc_cli.core.taxonomy.matching.known_terms import TagPath, Term, glossary_terms
from eufcc_cli.core.taxonomy.matching.words import (
    Rules,
    Word,
    accented_keys,
    inflected,
    name_keys,
    plain,
    rules,
    spellings,
)
from eufcc_cli.core.taxonomy.names import LANGUAGES

How = Literal["exact", "word", "synonym", "own", "edited", "none"]
"""exact: the text is the term's name; word: the text contains it; synonym: another name of the term, as in
another language; own: no known term, and frequent enough to become one; edited: by a person; none."""

_LONGEST = 8  # words of a term inside a text
_INFLECTED = 3  # words of a name that are put in the plural one by one; of longer ones only all together


@dataclass(frozen=True, slots=True)
class TermEntry:
    """The entry of a key: the paths of its terms (none: no term), and how they were found."""

    paths: tuple[TagPath, ...]
    how: How


class TermIndex:
    """The keys of one facet: words without accents, sorted and joined. A key keeps its first entry."""

    def __init__(self) -> None:
        self.entries: dict[str, TermEntry] = {}
        self.whole: dict[str, TermEntry] = {}
        """Keys that match whole texts only."""
        self.edits: dict[str, TermEntry] = {}
        """Keys that a person edited."""
        self.words: dict[str, int] = {}
        """{word: number of words in the longest key that contains it}."""
        self._accented: dict[str, dict[str, TermEntry]] = {}
        """{key: {key with accents: entry}}: `placa` (plate) and `plaça` (square) have one key."""

    def copy(self) -> "TermIndex":
        """A copy, to which terms can be added."""
        other = TermIndex()
        other.entries, other.whole, other.edits = self.entries.copy(), self.whole.copy(), self.edits.copy()
        other.words = self.words.copy()
        other._accented = self._accented.copy()
        return other

    def add(self, words: Sequence[str], entry: TermEntry, *, whole_only: bool = False) -> None:
        """Add words with their accents."""
        if not words:
            return
        keys = tuple(map(plain, words))
        key = key_of(keys)
        (self.whole if whole_only else self.entries).setdefault(key, entry)
        if not whole_only:
            accented = key if keys == tuple(words) else key_of(words)
            known = self._accented.get(key, {})
            if accented not in known:
                self._accented[key] = {**known, accented: entry}  # a copy shares the old one
            self._add_words(keys)

    def edit(self, words: Sequence[str], entry: TermEntry) -> None:
        """Replace the entry of a key."""
        if words:
            keys = tuple(map(plain, words))
            self.edits[key_of(keys)] = entry
            self._add_words(keys)

    def _add_words(self, keys: Sequence[str]) -> None:
        length = min(len(keys), _LONGEST)
        for key in keys:
            if self.words.get(key, 0) < length:
                self.words[key] = length

    def get(self, words: Sequence[Word]) -> TermEntry | None:
        """The entry of these words, None if they are no key."""
        key = words[0].key if len(words) == 1 else key_of([word.key for word in words])
        if key in self.edits:
            return self.edits[key]
        accented = self._accented.get(key)
        if accented is None:
            return None
        if len(accented) == 1:
            return self.entries[key]
        return accented.get(key_of([word.accented for word in words])) or self.entries[key]


def key_of(words: Sequence[str]) -> str:
    """Words in any order as one key."""
    return words[0] if len(words) == 1 else " ".join(sorted(words))


def build_index(terms: list[Term], language: str | None, rules: Rules) -> TermIndex:
    """The index of a facet; terms that come first take precedence."""
    index = TermIndex()
    tags = [(accented_keys(term.path[-1]), TermEntry((term.path,), "exact")) for term in terms]
    in_plural = {term.path: set(plurals(name_keys(term.path[-1]), language)) for term in terms}

    def names(code: str | None, rank: slice) -> Iterator[tuple[tuple[str, ...], TermEntry]]:
        """The names of terms in a language that are safe to match."""
        for term in terms:
            for name in list(term.names.get(code or "", ()))[rank]:
                for variant in (name, *spellings(name, code)):
                    keys = name_keys(variant)
                    same = keys == name_keys(term.path[-1]) or keys in in_plural[term.path]
                    yield accented_keys(variant), TermEntry((term.path,), "exact" if same else "synonym")

    first = [*names(language, slice(1)), *tags, *names(language, slice(1, None))]
    for keys, entry in first:
        index.add(keys, entry)
    for compound in rules.compounds:
        index.add(name_keys(compound), TermEntry((), "none"))
    for keys, entry in first:
        for form in plurals(tuple(map(plain, keys)), language):
            index.add(form, entry)
    spoken = set(index.words)
    codes = dict.fromkeys((*LANGUAGES, *(code for term in terms for code in term.names)))
    others = [(code, *found) for code in codes if code != language for found in names(code, slice(None))]
    for _, keys, entry in others:
        # A short word of another language is too likely to be a different word of this one.
        index.add(keys, entry, whole_only=len(keys) == 1 and len(keys[0]) <= 2)
    for code, keys, entry in others:
        plain_keys = tuple(map(plain, keys))
        if not spoken.issuperset(plain_keys):
            for form in plurals(plain_keys, code):
                index.add(form, entry)
    return index


@cache
def glossary_index(facet: str, tags_in: str, language: str | None) -> TermIndex:
    """The index of the glossary's terms of a facet, made once: it takes a fifth of a second."""
    return build_index(list(glossary_terms(facet, tags_in)), language, rules(language))


def plurals(keys: tuple[str, ...], language: str | None) -> Iterator[tuple[str, ...]]:
    """The forms of a name with words in the plural: each word separately, and all together."""
    if len(keys) > _INFLECTED:
        yield tuple(next(inflected(key, language), key) for key in keys)
        yield (*keys[:-1], next(inflected(keys[-1], language), keys[-1]))
        return
    forms = product(*((key, *inflected(key, language)) for key in keys))
    next(forms)
    yield from forms
