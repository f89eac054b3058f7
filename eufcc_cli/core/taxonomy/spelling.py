"""Names that differ only in case, accents, spaces or number, and similar names."""

import difflib
import itertools
import unicodedata
from collections.abc import Iterable, Iterator

# Plural ending -> the singular endings it may stand for (Catalan, Spanish, English), on folded words.
_SINGULARS = (
    ("s", ("",)),
    ("es", ("", "a")),
    ("ns", ("",)),
    ("ques", ("ca",)),
    ("gues", ("ga",)),
    ("ges", ("ja",)),
    ("ces", ("ca", "z")),
    ("ies", ("y",)),
)
_SHORTEST = 3  # letters of a singular; shorter words that end in s are seldom plurals


def fold(text: str) -> str:
    """A name without case, accents, spaces and punctuation.

    >>> fold("Teixit de pèl"), fold("*dance"), fold("FRANEL·LA")
    ('teixitdepel', 'dance', 'franella')
    >>> fold("***")
    '***'
    """
    plain = unicodedata.normalize("NFKD", text.casefold())
    return (
        "".join(c for c in plain if not unicodedata.combining(c) and unicodedata.category(c)[0] not in "ZPC")
        or text
    )


def singulars(name: str) -> Iterator[str]:
    """The folded names that this one may be a plural of.

    >>> list(singulars("camises")), list(singulars("vestits de nit"))
    (['camise', 'camis', 'camisa'], ['vestitdenit'])
    >>> list(singulars("plat"))
    []
    """
    words = [fold(word) for word in name.split()]
    choices = [(word, *_singular_words(word)) for word in words[:6]]
    forms = ("".join((*chosen, *words[6:])) for chosen in itertools.product(*choices))
    return itertools.islice(forms, 1, None)


def _singular_words(word: str) -> Iterator[str]:
    for plural, endings in _SINGULARS:
        stem = word.removesuffix(plural)
        if stem != word:
            yield from (stem + ending for ending in endings if len(stem + ending) >= _SHORTEST)


def near_misses(text: str, names: Iterable[str]) -> list[str]:
    """Similar names: first those that contain the text, shortest first, then near misses.

    >>> near_misses("bronce", ["bronze", "bronze daurat", "fusta"])
    ['bronze']
    >>> near_misses("brònze", ["bronze", "bronze daurat", "fusta"])
    ['bronze', 'bronze daurat']
    """
    folded: dict[str, list[str]] = {}
    for name in names:
        folded.setdefault(fold(name), []).append(name)
    wanted = fold(text)
    holding = sorted((key for key in folded if wanted in key), key=len)
    similar = difflib.get_close_matches(wanted, folded, n=5, cutoff=0.7)
    return [name for key in dict.fromkeys([*holding, *similar]) for name in folded[key]][:5]
