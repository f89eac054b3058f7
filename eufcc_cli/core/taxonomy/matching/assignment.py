"""The terms that the texts and words of a museum's facet columns become, with a person's corrections."""

from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain

from eufcc_cli.core.taxonomy.matching.known_terms import TagPath
from eufcc_cli.core.taxonomy.matching.term_index import key_of
from eufcc_cli.core.taxonomy.matching.terms import Match, TermMatcher
from eufcc_cli.core.taxonomy.matching.words import Word, inflected, is_placeholder
from eufcc_cli.core.taxonomy.tables.annotations import FACETS, PATH_SEPARATOR, canonical, joined, paths

MIN_COUNT = 3
"""How many records must contain a word before it becomes a new term."""
_LONGEST_OWN = 3  # words of a new term
_LONGEST_NAME = 60  # letters of a new term

Texts = Mapping[str, Mapping[str, int]]
"""{facet: {text of a cell, or of one item of a cell that holds several: records with it}}."""


@dataclass(slots=True)
class TermRow:
    """A row of data/terms.csv: a text or word, the records that hold it, and what it became.

    term: paths as the published format writes them (`metal | bronze $ wood`), or "". automatic: what term
    was before a person changed it.
    """

    facet: str
    text: str
    count: int
    term: str
    how: str
    automatic: str

    @property
    def edited(self) -> bool:
        """True if a person edited the row or added it."""
        return self.term != self.automatic or (self.how in ("edited", "") and not self.term)

    @property
    def key(self) -> tuple[str, str]:
        return self.facet, canonical(self.text).casefold()


@dataclass
class Assignment:
    """The annotations that the texts of each facet became.

    annotations: {facet: {text as given: annotation in the published format, "" for none}}; rows: those of
    data/terms.csv, most frequent first.
    """

    annotations: dict[str, dict[str, str]] = field(default_factory=dict)
    rows: list[TermRow] = field(default_factory=list)

    def annotation(self, facet: str, texts: Iterable[str]) -> str:
        """The annotation of a record whose cells of a facet hold these texts.

        >>> known = {"materials": {"bronze": "metal | bronze", "metal": "metal", "?": ""}}
        >>> Assignment(known).annotation("materials", ["metal", "bronze", "?"])
        'metal | bronze'
        """
        known = self.annotations.get(facet, {})
        texts = list(texts)
        if len(texts) == 1:  # as it came from `joined`
            return known.get(texts[0], "")
        return joined(chain.from_iterable(paths(known.get(text, "")) for text in texts))

    def unmatched(self) -> list[TermRow]:
        """The single words that became no term, most frequent first."""
        return [
            row
            for row in self.rows
            if row.how == "none" and " " not in row.text and row.count and not is_placeholder(row.text)
        ]


def assign(
    matcher: TermMatcher, texts: Texts, rows: Iterable[TermRow] = (), min_count: int = MIN_COUNT
) -> Assignment:
    """Turn the texts of facet columns into annotations.

    A text becomes the terms that a person gave it in `rows`, or else the known terms in it. A text of at most
    three words without a known term becomes a new term if at least `min_count` records contain it. Edited
    and new terms are added to the matcher, so that they are found in longer texts as well. A text with
    ` | ` in it is a path.
    """
    old = list(rows)
    assignment = Assignment()
    new: list[TermRow] = []
    for facet, counts in texts.items():
        edits = [row for row in old if row.facet == facet and row.edited]
        matcher.add_edits(facet, {row.text: decided(matcher, facet, row.term) for row in edits})
        for name in _own_terms(matcher, facet, counts, min_count):
            matcher.add_own(facet, name)
        matches = {text: _match(matcher, facet, text) for text in counts}
        assignment.annotations[facet] = {text: _annotation(found) for text, found in matches.items()}
        new += _rows(matcher, facet, counts, matches, assignment.annotations[facet], edits)
    # Edited rows of facets that this export lacks are kept for the next export.
    new += [row for row in old if row.facet not in texts and row.edited]
    order = {facet: number for number, facet in enumerate(FACETS)}
    assignment.rows = sorted(new, key=lambda row: (-row.count, order.get(row.facet, len(order)), row.text))
    return assignment


def decided(matcher: TermMatcher, facet: str, term: str) -> tuple[TagPath, ...]:
    """The paths in a person's entry: paths, or terms by any of their names; none for an empty entry.

    The deepest name of a path that is a known term brings its own path from the top. Several are separated
    by ` $ ` or `;`.
    """
    found = []
    for path in paths(term.replace(";", "$")):
        depth, known = next(
            ((d, place) for d in range(len(path), 0, -1) if (place := matcher.lookup(facet, path[d - 1]))),
            (0, ()),
        )
        found.append((*known, *path[depth:]))
    return tuple(found)


def _match(matcher: TermMatcher, facet: str, text: str) -> list[Match]:
    if PATH_SEPARATOR not in text:
        return matcher.match(facet, text)
    found = matcher.match(facet, text)
    if any(match.how == "edited" and match.text == text.strip() for match in found):
        return found
    return [Match(text.strip(), path, "exact") for path in decided(matcher, facet, text)]


def _annotation(matches: Iterable[Match]) -> str:
    return joined([match.path for match in matches if match.path])


def _own_terms(matcher: TermMatcher, facet: str, counts: Mapping[str, int], min_count: int) -> Iterator[str]:
    """The names of the facet's new terms: short and frequent texts without a known term."""
    rules = matcher.rules
    qualifying = rules.colouring | rules.surfaces | rules.likenesses
    candidates: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    parsed: dict[str, list[Word]] = {}
    for text, count in counts.items():
        words = parsed[text] = matcher.words(text)
        if not 0 < len(words) <= _LONGEST_OWN or len(text) > _LONGEST_NAME or is_placeholder(text):
            continue
        keys = tuple(word.key for word in words)
        if (
            not any(word.qualifier is not None for word in words)
            and words[-1].part == words[0].part
            and not qualifying & set(keys)
            and PATH_SEPARATOR not in text
            and any(len(key) > 1 and not key.isdigit() for key in keys)
            and not any(found.path or found.how == "edited" for found in matcher.match(facet, text))
        ):
            candidates[keys][canonical(text)] += count
    forms: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for keys in candidates:
        for form in (keys, *_forms(keys, matcher.language)):
            forms[key_of(form)].add(keys)
    records: Counter[tuple[str, ...]] = Counter()
    known = {key for form in forms for key in form.split(" ")}
    for text, words in parsed.items():
        if known.isdisjoint([word.key for word in words]):
            continue
        held = {keys for window in _windows(words, known) for keys in forms.get(window, ())}
        for keys in held:
            records[keys] += counts[text]
    accepted: set[str] = set()
    for keys in sorted(candidates, key=lambda keys: (len(keys), len("".join(keys)), keys)):
        inside = {key_of(keys[i:j]) for i in range(len(keys)) for j in range(i + 1, len(keys) + 1)}
        if records[keys] >= min_count and not inside & accepted:
            accepted |= {key_of(keys), *(key_of(form) for form in _forms(keys, matcher.language))}
            spelled = candidates[keys]
            yield max(spelled, key=lambda name: (spelled[name], name.islower(), name))


def _forms(keys: tuple[str, ...], language: str | None) -> Iterator[tuple[str, ...]]:
    for plural in inflected(keys[-1], language):
        yield (*keys[:-1], plural)


def _windows(words: list[Word], known: Container[str]) -> Iterator[str]:
    """The keys of all short word sequences in a text that no word negates or doubts."""
    for i, first in enumerate(words):
        keys = []
        for word in words[i : i + _LONGEST_OWN]:
            if word.key not in known or word.part != first.part or word.qualifier is not None:
                break
            keys.append(word.key)
            yield key_of(keys)


def _rows(
    matcher: TermMatcher,
    facet: str,
    counts: Mapping[str, int],
    matches: Mapping[str, list[Match]],
    annotations: Mapping[str, str],
    edits: list[TermRow],
) -> list[TermRow]:
    """One row for each distinct text, and for each stretch of texts that was or could have been a term."""
    spelled: dict[str, dict[str, int]] = defaultdict(dict)
    records: dict[str, int] = {}
    for text, count in counts.items():
        held = {canonical(found.text) for found in matches[text]}
        held.add(canonical(text))
        keys = set()
        for stretch in held:
            keys.add(key := stretch.casefold())
            names = spelled[key]
            names[stretch] = names.get(stretch, 0) + count
        for key in keys:
            records[key] = records.get(key, 0) + count
    records.pop("", None)
    own = {row.key[1]: row for row in edits}
    rows = []
    for key, count in records.items():
        names = spelled[key]
        if len(names) == 1:
            (text,) = names
        else:
            text = max(names, key=lambda name: (names[name], name.islower(), name))
        if key in own:
            row = own.pop(key)
            rows.append(TermRow(facet, text, count, _written(matcher, row), "edited", row.automatic))
        else:
            if text in matches:
                found, term = matches[text], annotations[text]
            else:
                found = _match(matcher, facet, text)
                term = _annotation(found)
            rows.append(TermRow(facet, text, count, term, how_of(text, found), term))
    rows += [
        TermRow(facet, row.text, 0, _written(matcher, row), "edited", row.automatic) for row in own.values()
    ]
    return rows


def how_of(text: str, matches: list[Match]) -> str:
    """How a whole text was matched: like its only match, or by words in it.

    Never `edited`, even if a person edited words of it: only the person's own rows are `edited`.
    """
    named = [match for match in matches if match.path]
    if not named:
        return "none"
    text = canonical(text)
    for match in named:
        if match.how == "edited" or canonical(match.text) != text:
            return "word"
    return named[0].how


def _written(matcher: TermMatcher, row: TermRow) -> str:
    return joined(decided(matcher, row.facet, row.term))
