"""Words of free text: how they compare, inflect and qualify each other, by the lists of words.toml."""

import re
import tomllib
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from importlib.resources import files
from typing import NamedTuple

from eufcc_cli.core.taxonomy.names import LANGUAGES
from eufcc_cli.core.taxonomy.spelling import fold

_TOKEN = re.compile(r"[^\W_]+(?:·[^\W_]+)*|[^\w\s]|[_\n]")
_LIGATURES = str.maketrans({"œ": "oe", "æ": "ae", "ø": "o", "ł": "l", "đ": "d", "·": None})
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue"})
_HYPHENS = ("-", "‐", "‑")
_JOINS = frozenset("-‐‑'’‘`´·")  # they do not end a part
_SHORTEST = 4  # letters of an inflected form
_ENOUGH, _CLEARLY = 0.3, 1.2  # of all words, and of the second language's points: what shows a language


@lru_cache(maxsize=1 << 17)
def plain(word: str) -> str:
    """A word for comparison: without case and accents.

    >>> plain("Gefäß"), plain("FRANEL·LA"), plain("nœud")
    ('gefass', 'franella', 'noeud')
    """
    folded = unicodedata.normalize("NFKD", word.casefold().translate(_LIGATURES))
    return "".join(c for c in folded if not unicodedata.combining(c))


@dataclass(frozen=True)
class Rules:
    """The word lists of words.toml for one language, or for all of them together, as `plain` words."""

    conjunctions: frozenset[str]
    alternatives: frozenset[str]
    negations: frozenset[str]
    doubts: frozenset[str]
    imitations: frozenset[str]
    references: frozenset[str]
    likenesses: frozenset[str]
    colours: frozenset[str]
    shades: frozenset[str]
    hues: frozenset[str]
    surfaces: frozenset[str]
    compounds: tuple[str, ...]

    @cached_property
    def functional(self) -> frozenset[str]:
        """Words that are never a term of their own inside a text in this language."""
        return self.conjunctions | self.alternatives | self.negations

    @cached_property
    def colouring(self) -> frozenset[str]:
        """Words that make a colour of the word before them."""
        return self.hues | self.shades

    @cached_property
    def silent(self) -> frozenset[str]:
        """Words without a meaning of their own, unless a term contains them."""
        return self.functional | self.colouring | self.likenesses

    @cached_property
    def qualifying(self) -> frozenset[str]:
        """Words that qualify what follows in the same part."""
        return self.negations | self.doubts | self.imitations | self.references

    @cached_property
    def uncertain(self) -> frozenset[str]:
        """Words that also qualify what stands before them: `ebony, probably`, `leather (imitation)`."""
        return self.doubts | self.imitations - self.hues

    @cached_property
    def tokens(self) -> "_Tokens":
        """Tokens as this language has them."""
        return _Tokens(self)


class _Tokens(dict[str, tuple[str, str, bool, bool]]):
    """For each token: without case, its key ("": a mark or filler), whether it ends a part, and whether it
    qualifies."""

    def __init__(self, language: Rules) -> None:
        self._language = language

    def __missing__(self, token: str) -> tuple[str, str, bool, bool]:
        language = self._language
        key = plain(token) if token[0].isalnum() else ""
        if key in fillers():
            key = ""
        qualifies = key in language.qualifying
        self[token] = found = token.casefold(), key, key in language.conjunctions, qualifies
        return found


@cache
def _data() -> Mapping[str, Mapping[str, list]]:
    return tomllib.loads((files(__package__) / "words.toml").read_text(encoding="utf-8"))


@cache
def fillers() -> frozenset[str]:
    """Words that are skipped inside a term, in any language."""
    return frozenset(_data()["fillers"])


@cache
def _placeholders() -> frozenset[str]:
    return frozenset(map(fold, _data()["placeholders"]))


def is_placeholder(text: str) -> bool:
    """True for a text that says that a cell is empty.

    >>> [is_placeholder(text) for text in ("Unknown", "[n/a]", "-", "k.A.", "unknown wood")]
    [True, True, True, True, False]
    """
    return not any(map(str.isalnum, text)) or fold(text) in _placeholders()


@cache
def rules(language: str | None) -> Rules:
    """The rules of a language; those of all languages where it is None or not one of LANGUAGES."""
    chosen = [language] if language in LANGUAGES else LANGUAGES
    names = [name for name in Rules.__dataclass_fields__ if name != "compounds"]
    lists = {name: frozenset(w for code in chosen for w in _data()[code][name]) for name in names}
    compounds = tuple(compound for code in LANGUAGES for compound in _data()[code]["compounds"])
    return Rules(**lists, compounds=compounds)


DOUBTED = -1


class Word(NamedTuple):
    """A word of a text: where it stands, with and without accents, its part, and what qualifies it.

    A part ends at punctuation; `after_comma` says that the part before it ended at a comma. `qualifier` is
    the number of the word that denies or doubts this one (its own, where it is that word), DOUBTED where a
    question mark does, or None.
    """

    start: int
    end: int
    accented: str
    key: str
    part: int
    after_comma: bool
    qualifier: int | None


def words_of(text: str, language: Rules) -> list[Word]:
    """The words of a text (NFC) without the fillers, in order.

    >>> words = words_of("Bronze, not wood; gold (?)", rules("en"))
    >>> [(word.key, word.part, word.qualifier) for word in words]
    [('bronze', 0, None), ('not', 1, 1), ('wood', 1, 1), ('gold', 2, -1)]
    >>> [(word.key, word.qualifier) for word in words_of("ebony (probably), ?ivory", rules("en"))]
    [('ebony', 1), ('probably', 1), ('ivory', -1)]
    """
    words: list[Word] = []
    part, last, comma, start, active = 0, -1, False, 0, None
    # last: the part of the last word; start: of the words that a question mark doubts
    before = 0  # the start of the words before those
    known, new = language.tokens, tuple.__new__  # a named tuple's own constructor takes twice as long
    for found in _TOKEN.finditer(text):
        token = found[0]
        accented, key, conjunction, qualifier = known[token]
        if not key:
            if token == "?":
                if _leads(text, found):
                    active = DOUBTED
                else:
                    _qualify(words, start, DOUBTED)
            elif token not in _JOINS and not token.isalnum():
                behind = bool(words) and active == len(words) - 1 and words[-1].key in language.uncertain
                if behind and token == ".":  # an abbreviation: "prob. ebony"
                    continue
                if behind and last == part:
                    _look_back(words, before, start, language)
                if last == part:
                    part, comma = part + 1, token == ","
                active = None
            continue
        if last != part:
            last, before, start = part, start, len(words)
        if conjunction and key not in language.alternatives:
            start, active = len(words) + 1, None
        if qualifier and not (key in language.likenesses and text[: found.start()].endswith(_HYPHENS)):
            active = len(words)  # but not in "wood-like plastic"
        words.append(new(Word, (*found.span(), accented, key, part, comma, active)))
    if words and active == len(words) - 1 and words[-1].key in language.uncertain:
        _look_back(words, before, start, language)
    return words


def _leads(text: str, mark: re.Match[str]) -> bool:
    """Whether a question mark doubts what follows it: `?gold`, `? gold`."""
    return not text[: mark.start()].strip() or (
        text[mark.end() : mark.end() + 1].isalpha() and not text[mark.start() - 1].isalnum()
    )


def _look_back(words: list[Word], before: int, start: int, language: Rules) -> None:
    """Qualify what stands before the last word: `ebony, probably`, `wood probably`, `leather (imitation)`."""
    last = len(words) - 1
    if start == last:
        _qualify(words, before, last)
    elif words[-1].key not in language.likenesses:  # those reach one word back
        _qualify(words, start, last)


def _qualify(words: list[Word], start: int, by: int) -> None:
    end = len(words) if by == DOUBTED else by
    words[start:end] = [word._replace(qualifier=by) for word in words[start:end]]


def accented_keys(name: str) -> tuple[str, ...]:
    """The words of a term's name with their accents, without fillers (unless there is nothing else)."""
    tokens = _TOKEN.findall(unicodedata.normalize("NFC", name))
    words = tuple(token.casefold() for token in tokens if token[0].isalnum())
    return tuple(word for word in words if plain(word) not in fillers()) or words


@lru_cache(maxsize=1 << 15)
def name_keys(name: str) -> tuple[str, ...]:
    """The words of a term's name for comparison, without fillers (unless there is nothing else).

    >>> name_keys("fil d'argent")
    ('fil', 'argent')
    """
    return tuple(map(plain, accented_keys(name)))


def inflected(word: str, language: str | None) -> Iterator[str]:
    """Possible plural forms of a singular word.

    >>> list(inflected("box", "en")), list(inflected("camisa", "ca"))
    (['boxs', 'boxes'], ['camisas', 'camises', 'camisans'])
    """
    endings = _PLURALS.get(language or "en", _PLURALS["en"])
    for ending, plurals in endings:
        if word.endswith(ending):
            stem = word.removesuffix(ending)
            for plural in plurals:
                if len(stem + plural) >= _SHORTEST:
                    yield stem + plural


_PLURALS: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "en": (
        ("", ("s",)),
        *((ending, (f"{ending}es",)) for ending in ("s", "x", "z", "ch", "sh", "o")),
        ("y", ("ies",)),
        ("f", ("ves",)),
        ("fe", ("ves",)),
        ("man", ("men",)),
    ),
    "ca": (
        ("", ("s",)),
        ("a", ("es",)),
        ("ca", ("ques", "ces")),
        ("ga", ("gues",)),
        ("ja", ("ges",)),
        *((vowel, (f"{vowel}ns",)) for vowel in "aeiou"),
        *((consonant, (f"{consonant}os",)) for consonant in "scxtg"),
    ),
    "es": (("", ("s", "es")), ("z", ("ces",))),
    "fr": (("", ("s", "x")), ("al", ("aux",)), ("ail", ("aux",))),
    "de": (("", ("e", "en", "n", "er", "s")),),
}


def spellings(name: str, language: str | None) -> Iterator[str]:
    """Other spellings of a name in its language, and equivalent adjectives.

    >>> list(spellings("colored glass", "en")), list(spellings("Gefäß", "de"))
    (['coloured glass'], ['Gefaeß'])
    """
    if language is None or language not in LANGUAGES:
        return
    for one, other in _data()[language]["spellings"]:
        if one in name:
            yield name.replace(one, other)
    for noun, adjective in _data()[language]["adjectives"]:
        if name == noun:
            yield adjective
    if language == "de" and name.translate(_UMLAUTS) != name:
        yield name.translate(_UMLAUTS)


def language_of(texts: Mapping[str, int], names: Mapping[str, Iterable[str]]) -> str | None:
    """The language of most words in these texts, None if it cannot be detected: if a language has few of the
    words, as for Dutch, or two have as many, as for Portuguese.

    texts: how often each occurs; names: those of known terms by language. Function words count double,
    and a word that several languages have counts for none of those that others have too.

    >>> language_of({"bronze with gold": 3, "or": 1}, {"en": ["bronze", "gold"], "fr": ["bronze", "or"]})
    'en'
    """
    known: dict[str, dict[str, int]] = {}
    for language in LANGUAGES:
        for name in names.get(language, ()):
            known.setdefault(" ".join(name_keys(name)), {})[language] = 1
        for functional in rules(language).functional:
            known.setdefault(functional, {})[language] = 2
    points = dict.fromkeys(LANGUAGES, 0.0)
    known.pop("", None)
    tokens = rules(None).tokens
    words, having = 0, dict.fromkeys(LANGUAGES, 0)
    for text, count in texts.items():
        for token in _TOKEN.findall(text):
            key = tokens[token][1]
            words += count if key.isalpha() else 0
            languages = known.get(key, {})
            for language, weight in languages.items():
                points[language] += weight * count / len(languages) ** 2
                having[language] += count
    best, second = sorted(points, key=lambda language: -points[language])[:2]
    is_clear = points[best] > _CLEARLY * points[second] and having[best] >= _ENOUGH * words
    return best if points[best] and is_clear else None
