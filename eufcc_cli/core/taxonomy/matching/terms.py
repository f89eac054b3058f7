"""Finding known terms in a museum's free text: longest first, in all languages."""

import unicodedata
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from eufcc_cli.core.files import Root
from eufcc_cli.core.taxonomy.matching.known_terms import TagPath, Term, root_terms
from eufcc_cli.core.taxonomy.matching.term_index import (
    How,
    TermEntry,
    TermIndex,
    build_index,
    glossary_index,
    key_of,
    plurals,
)
from eufcc_cli.core.taxonomy.matching.words import Word, accented_keys, name_keys, rules, words_of
from eufcc_cli.core.taxonomy.names import LANGUAGES


class Match(NamedTuple):
    """A part of a text, the path of its term (None: no term), and how it was found."""

    text: str
    path: TagPath | None
    how: How


class TermMatcher:
    """Finds the terms that texts name, facet by facet.

    language: that of the texts (one of LANGUAGES, or None if unknown); it takes precedence for words that are
    names in several languages.

    >>> bronze = Term(("metal", "copper alloy", "bronze"), {"fr": ["bronze"], "es": ["bronce"]})
    >>> matcher = TermMatcher({"materials": [bronze, Term(("metal", "gold"))]}, "en")
    >>> matcher.match("materials", "Bronzes with traces of gold")
    [Match(text='Bronzes', path=('metal', 'copper alloy', 'bronze'), how='word'),
     Match(text='traces', path=None, how='none'), Match(text='gold', path=('metal', 'gold'), how='word')]
    >>> [found.how for found in matcher.match("materials", "bronce")]
    ['synonym']
    >>> matcher.match("materials", "gold-coloured, not bronze")
    []
    """

    def __init__(self, terms: Mapping[str, Iterable[Term]], language: str | None = None) -> None:
        self.language = language
        self.rules = rules(language)
        self.terms = {facet: list(known) for facet, known in terms.items()}
        self._indexes: dict[str, TermIndex] = {}
        self._words: dict[str, list[Word]] = {}
        self._unchanged: dict[str, str] = {}
        """The facets whose terms are the glossary's, and the language that these have as tags."""

    @classmethod
    def for_root(
        cls, root: Root, facets: Iterable[str], language: str | None = None, *, tags_in: str | None = None
    ) -> "TermMatcher":
        """A matcher of a root's terms: those of its label files and of EUFCC-340K's glossary.

        language: that of the texts. tags_in: the language whose names the glossary's terms have as tags
        where the root has no label file of the facet (default: that of the texts, else English). Raises
        DataError for a label file or labels/names.csv that cannot be read.
        """
        tags_in = tags_in or (language if language in LANGUAGES else None) or "en"
        terms = {facet: list(root_terms(root, facet, tags_in)) for facet in facets}
        matcher = cls(terms, language)
        if not root.names.is_file():
            matcher._unchanged = {facet: tags_in for facet in terms if not root.label_file(facet).is_file()}
        return matcher

    def add_own(self, facet: str, name: str) -> None:
        """Add a name as a new term, at the top level."""
        index, entry = self._index(facet), TermEntry(((name,),), "own")
        for keys in (accented_keys(name), *plurals(name_keys(name), self.language)):
            index.add(keys, entry)

    def add_edits(self, facet: str, edits: Mapping[str, tuple[TagPath, ...]]) -> None:
        """Add the entries that a person edited: texts and words with their paths, or none."""
        index = self._index(facet)
        for text, paths in edits.items():
            index.edit(accented_keys(text), TermEntry(paths, "edited"))

    def words(self, text: str) -> list[Word]:
        """The words of a text (NFC); each text is read once."""
        if text not in self._words:
            self._words[text] = words_of(text, self.rules)
        return self._words[text]

    def match(self, facet: str, text: str) -> list[Match]:
        """The terms in a text, and its words without a term (path None), in the order of the text."""
        text = unicodedata.normalize("NFC", text).strip()
        words = self.words(text)
        index = self._index(facet)
        if not words:
            return []
        reach = index.words.get
        longest = [reach(word.key, 0) for word in words]
        entry = None
        if len(words) == 1 or 0 not in longest:
            entry = index.get(words) or index.whole.get(key_of([word.key for word in words]))
        if entry and (
            entry.how == "edited"
            or (
                self._stands_together(words, 0, len(words), index)
                and all(word.qualifier in (None, i) for i, word in enumerate(words))
            )
        ):
            return _matches(text, entry.paths, entry.how)
        return self._inside(text, words, index, longest)

    def lookup(self, facet: str, name: str) -> TagPath | None:
        """The path of the term with this name, in any language; None if there is none."""
        index = self._index(facet)
        key = key_of(name_keys(name) or [""])
        for entry in (index.entries.get(key), index.whole.get(key)):
            if entry and entry.paths:
                return entry.paths[0]
        return None

    def _inside(self, text: str, words: list[Word], index: TermIndex, longest: list[int]) -> list[Match]:
        """Match parts of a text, longest first; longest: the words of the longest term with each word."""
        taken: dict[int, tuple[int, tuple[TagPath, ...], How]] = {}
        free = [True] * len(words)
        for negative, i in _stretches(longest):
            length = -negative
            if not free[i] or (length > 1 and False in free[i : i + length]):
                continue
            entry = index.get(words[i : i + length])
            if entry is None or (length > 1 and not self._stands_together(words, i, length, index)):
                continue
            paths, edited = entry.paths, entry.how == "edited"
            if length == 1 and not edited and self._is_other_word(words[i], entry):
                continue
            free[i : i + length] = [False] * length
            if not edited and self._qualified(words, i, length, index):
                paths = ()
            taken[i] = (length, paths, "word" if entry.how == "exact" else entry.how)
        found = []
        for i, word in enumerate(words):
            if i in taken:
                length, paths, how = taken[i]
                found += _matches(text[word.start : words[i + length - 1].end], paths, how)
            elif free[i] and word.qualifier is None and self._is_specific(word):
                found.append(Match(text[word.start : word.end], None, "none"))
        return found

    def _stands_together(self, words: list[Word], i: int, length: int, index: TermIndex) -> bool:
        """True for words of one part, or of two where the second only adds to the first: `lace, bobbin`."""
        first, last = words[i].part, words[i + length - 1].part
        if first == last:
            return True
        behind = [word for word in words if word.part == last]
        return (
            last == first + 1
            and behind[0].after_comma
            and behind[-1] is words[i + length - 1]
            and not any(word.key in index.entries for word in behind)
        )

    def _is_other_word(self, word: Word, entry: TermEntry) -> bool:
        """True if a word has a meaning of its own here: `or` in English, `ton` in French (German: clay)."""
        key, rules = word.key, self.rules
        return key in rules.functional or (
            self.language is not None
            and entry.how == "synonym"
            and (key in rules.likenesses or key in rules.imitations)
        )

    def _qualified(self, words: list[Word], i: int, length: int, index: TermIndex) -> bool:
        """True if other words of the text negate or doubt this term."""
        stretch = words[i : i + length]
        for word in stretch:
            if word.qualifier is not None and not i <= word.qualifier < i + length:
                return True
        if i + length < len(words) and words[i + length].key in self.rules.likenesses:
            return words[i + length].part == stretch[-1].part
        if length > 1 or stretch[0].key not in self.rules.colours:
            return False
        after = [word for word in words[i + length :] if word.part == stretch[-1].part]
        before = [word for word in words[:i] if word.part == stretch[0].part]
        colouring, surfaces = self.rules.colouring, self.rules.surfaces
        if before and before[-1].key in colouring:
            return True
        if after and (after[0].key in colouring or after[0].key in surfaces):
            return True
        for word in after:
            if word.key in self.rules.functional:
                return False
            if word.key in index.entries or word.key in surfaces:
                return True
        return False

    def _is_specific(self, word: Word) -> bool:
        """False for words without a meaning of their own: `with`, `dark`, `blue`, numbers, single letters."""
        return len(word.key) > 2 and word.key.isalpha() and word.key not in self.rules.silent

    def _index(self, facet: str) -> TermIndex:
        if facet not in self._indexes:
            if facet in self._unchanged:
                self._indexes[facet] = glossary_index(facet, self._unchanged[facet], self.language).copy()
            else:
                self._indexes[facet] = build_index(self.terms[facet], self.language, self.rules)
        return self._indexes[facet]


def _stretches(longest: list[int]) -> list[tuple[int, int]]:
    """The stretches of words that may be terms, as (-length, start), longest first; longest: words of the
    longest term that has each word."""
    found = []
    for i, reach in enumerate(longest):
        length = 1
        while reach >= length:
            found.append((-length, i))
            if i + length == len(longest):
                break
            if longest[i + length] < reach:
                reach = longest[i + length]
            length += 1
    found.sort()
    return found


def _matches(text: str, paths: tuple[TagPath, ...], how: How) -> list[Match]:
    if len(paths) == 1:
        return [Match(text, paths[0], how)]
    if not paths and how == "edited":
        return [Match(text, None, how)]
    return [Match(text, path, how) for path in paths]
