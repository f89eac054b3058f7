"""From a model's log-scores to suggestions: coherent, calibrated, as many as are asked for, with paths."""

import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import pairwise, repeat
from typing import NamedTuple

import numpy as np

from eufcc_cli.core.errors import EufccError, ModelError, did_you_mean
from eufcc_cli.core.metrics.calibration import Calibration, Coherence, FacetCalibration
from eufcc_cli.core.taxonomy.matching.flagged_terms import Flag
from eufcc_cli.core.taxonomy.vocabulary import FacetVocabulary, Vocabulary

DEFAULT_TOP = 10
DEFAULT_THRESHOLD = 0.2
_SORTED = 4  # times as many tags as are asked for are still sorted at once

UNCALIBRATED = FacetCalibration(0, 1.0, 0.0, {}, np.empty((0, 2)))


class Suggestion(NamedTuple):
    """A tag for an image, with the tags from the top down to it, and its probability.

    kind: in a catalogue, what the suggestion is to the record: `missing` or `more specific`; names: the names
    of the tags on the path in the language asked for, empty where none is; flags: the contentious terms that
    a user's list finds in the tag's names.
    """

    tag: str
    path: tuple[str, ...]
    score: float
    kind: str | None = None
    names: tuple[str, ...] = ()
    flags: tuple[Flag, ...] = ()

    @property
    def shown(self) -> tuple[str, ...]:
        """What the tags on the path are called for a reader."""
        return self.names or self.path


_MAKE: Callable[[Iterable[object]], Suggestion] = partial(tuple.__new__, Suggestion)
"""All fields of a suggestion -> the suggestion, in less than half the time of calling its class."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """How many suggestions are enough, and which are wanted; raises EufccError for what cannot be.

    With none of top, threshold and coverage: at most 10 per facet, each at least 20 % likely.
    """

    top: int | None = None
    """At most so many tags per facet."""
    threshold: float | None = None
    """Only tags of at least this probability."""
    coverage: float | None = None
    """As many as cover this share of an image's true tags on average."""
    facets: tuple[str, ...] = ()
    """Only these facets; all where empty."""
    only: tuple[str, ...] = ()
    """Only these tags and what is below them; all where empty. `facet:tag` where a name is in several."""
    exclude: tuple[str, ...] = ()
    """Not these tags, nor what is below them."""
    leaves_only: bool = False
    """Leave out the ancestors of a suggested tag."""

    def __post_init__(self) -> None:
        if self.top is not None and self.top < 1:
            raise EufccError(f"`top` {self.top}: must be at least 1", hint="leave it out for 10")
        for name in ("threshold", "coverage"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise EufccError(f"`{name}` {value}: must be between 0 and 1", hint=f"`{name}=0.9`, say")
        if self.coverage == 1:
            raise EufccError("`coverage` 1: no threshold promises all tags", hint="use `threshold=0`")


class Chooser:
    """Chooses suggestions from the scores of one model."""

    def __init__(self, vocabulary: Vocabulary, calibration: Calibration | None, choice: Choice) -> None:
        if unknown := [facet for facet in choice.facets if facet not in vocabulary.facets]:
            raise EufccError(
                f"`facet` {unknown[0]}: the model has no such facet",
                hint=f"it has: {', '.join(vocabulary.facets)}",
            )
        if choice.coverage is not None and calibration is None:
            raise ModelError(
                "`coverage`: the model has no calibration",
                hint="make one from the validation split: `eufcc evaluate --calibrate RUN`",
            )
        wanted = choice.facets or tuple(vocabulary.facets)
        only = _resolve("`only`", choice.only, vocabulary)
        exclude = _resolve("`exclude`", choice.exclude, vocabulary)
        if choice.only and not any(only[facet] for facet in wanted):
            raise EufccError(
                f"`only` {', '.join(choice.only)}: no such tag in {', '.join(wanted)}",
                hint="leave `facet` out, or name a tag of that facet",
            )
        known = calibration.facets if calibration else {}
        self.facets = {
            facet: FacetChooser(
                tags,
                known.get(facet, UNCALIBRATED),
                choice,
                subtrees(tags, only[facet]) if choice.only else np.ones(len(tags), dtype=bool),
                subtrees(tags, exclude[facet]),
            )
            for facet, tags in vocabulary.facets.items()
            if facet in wanted
        }

    def __call__(self, log_scores: Mapping[str, np.ndarray]) -> dict[str, list[Suggestion]]:
        """{facet: log-scores [n] as the method gives them} -> suggestions, best first."""
        (only,) = self.batch({facet: log_scores[facet][None] for facet in self.facets})
        return only

    def batch(self, log_scores: Mapping[str, np.ndarray]) -> list[dict[str, list[Suggestion]]]:
        """{facet: log-scores [B, n]} -> the suggestions for each of B images."""
        columns = [chooser(log_scores[facet]) for facet, chooser in self.facets.items()]
        return [dict(zip(self.facets, found, strict=True)) for found in zip(*columns, strict=True)]

    @property
    def unreachable(self) -> list[str]:
        """Facets whose coverage can only be promised by suggesting every tag."""
        return [facet for facet, chooser in self.facets.items() if chooser.lists_all]


class FacetChooser:
    """What `Chooser` does in one facet."""

    def __init__(
        self,
        vocabulary: FacetVocabulary,
        calibration: FacetCalibration,
        choice: Choice,
        only: np.ndarray,
        exclude: np.ndarray,
    ) -> None:
        self.vocabulary = vocabulary
        self._coherent = Coherence(vocabulary)
        self._calibration = calibration
        unlimited = choice.top is choice.threshold is choice.coverage is None
        self._top = DEFAULT_TOP if unlimited else choice.top
        self._floor = calibration.log_score(DEFAULT_THRESHOLD if unlimited else choice.threshold or 0.0)
        self.lists_all = False
        if choice.coverage is not None:
            covering = calibration.threshold(choice.coverage)
            self.lists_all = covering == -np.inf
            self._floor = max(self._floor, covering)
        self._allowed = only & ~exclude
        self._deepest = choice.leaves_only

    @property
    def allowed(self) -> np.ndarray:
        """bool [n]: the tags that may be suggested at all."""
        return self._allowed

    def __call__(self, log_scores: np.ndarray) -> list[list[Suggestion]]:
        """Log-scores [B, n] -> the suggestions for each of B images."""
        coherent = self._coherent.likely(log_scores, self._floor)
        rows, tags = self._ranked(coherent, self._allowed)
        suggestions = self._made(tags.tolist(), coherent[rows, tags], repeat(None))
        ends = np.searchsorted(rows, np.arange(len(coherent) + 1)).tolist()
        return [suggestions[start:end] for start, end in pairwise(ends)]

    def scores(self, log_scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Coherent log-scores and their probabilities, of log-scores [n] or [B, n]."""
        coherent = self._coherent(log_scores)
        return coherent, self._calibration.probabilities(coherent)

    def ranked(self, coherent: np.ndarray, among: np.ndarray) -> list[int]:
        """The numbers of the suggested tags among some (bool [n]): best first, ancestors before theirs."""
        return self._ranked(coherent[None], among & self._allowed)[1].tolist()

    def _ranked(self, coherent: np.ndarray, among: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of images [B, n] the suggested tags: rows and tags, row by row, in the order of `ranked`."""
        wanted = (coherent >= self._floor) & among
        if self._top is not None and not self._deepest:
            many = np.flatnonzero(wanted.sum(axis=1) > _SORTED * self._top)
            if len(many):  # sorting them all would be most of the work; what ties with the last one stays
                scores = np.where(wanted[many], coherent[many], -np.inf)
                last = np.partition(scores, -self._top, axis=1)[:, -self._top]
                wanted[many] &= scores >= last[:, None]
        places = np.flatnonzero(wanted)  # several times as fast as `nonzero`
        rows, tags = np.divmod(places, wanted.shape[1])
        tags = tags[np.lexsort((self.vocabulary.depths[tags], -coherent[rows, tags], rows))]
        starts = np.searchsorted(rows, np.arange(len(coherent) + 1))
        if self._deepest:
            kept = [self._deepest_of(tags[start:end].tolist()) for start, end in pairwise(starts.tolist())]
            lengths = [len(row) for row in kept]
            return np.repeat(np.arange(len(kept)), lengths), np.array([i for row in kept for i in row], int)
        if self._top is None:
            return rows, tags
        first = np.arange(len(rows)) - starts[rows] < self._top
        return rows[first], tags[first]

    def suggestions(
        self, tags: list[int], coherent: np.ndarray, kinds: Iterable[str | None] = repeat(None)
    ) -> list[Suggestion]:
        """Tags by their numbers, with paths and probabilities."""
        return self._made(tags, coherent[tags], kinds)

    def _made(self, tags: list[int], coherent: np.ndarray, kinds: Iterable[str | None]) -> list[Suggestion]:
        """coherent: the score of each of these tags."""
        # Six digits tell more than a model knows, and rank nearly all that float32 does.
        probabilities = six_digits(self._calibration.probabilities(coherent)).tolist()
        names, paths = self.vocabulary.tags, self._paths
        terms = [names[i] for i in tags], [paths[i] for i in tags]
        return list(map(_MAKE, zip(*terms, probabilities, kinds, repeat(()), repeat(()), strict=False)))

    @cached_property
    def _paths(self) -> list[tuple[str, ...]]:
        return [self.vocabulary.path(i) for i in range(len(self.vocabulary))]

    def _deepest_of(self, ranked: list[int]) -> list[int]:
        """The longest beginning of the ranking that has at most `top` tags without a suggested descendant."""
        deepest: dict[int, None] = {}
        for i in ranked:
            above = [j for j in self.vocabulary.ancestors[i, 1:].tolist() if j in deepest]
            if self._top is not None and len(deepest) - len(above) == self._top:
                break
            for j in above:
                del deepest[j]
            deepest[i] = None
        return list(deepest)


def _resolve(option: str, names: Iterable[str], vocabulary: Vocabulary) -> dict[str, list[int]]:
    """The tags that names (or `facet:name`) stand for, per facet."""
    found: dict[str, list[int]] = {facet: [] for facet in vocabulary.facets}
    for name in names:
        facet, _, rest = name.partition(":")
        among, tag = ([facet], rest) if facet in vocabulary.facets else (list(vocabulary.facets), name)
        tag = unicodedata.normalize("NFC", " ".join(tag.split()))
        places = [facet for facet in among if tag in vocabulary.facets[facet].index]
        if not places:
            known = [known for facet in among for known in vocabulary.facets[facet].tags]
            hint = did_you_mean(tag, known, "`eufcc trees --print` shows them all")
            raise EufccError(f"{option} {name}: the model has no such tag", hint=hint)
        for facet in places:
            found[facet].append(vocabulary.facets[facet].index[tag])
    return found


def six_digits(probabilities: np.ndarray) -> np.ndarray:
    """Numbers from 0 to 1, rounded to six significant digits.

    >>> six_digits(np.array([0.12345649, 0.00098765432, 1.0, 0.0])).tolist()
    [0.123456, 0.000987654, 1.0, 0.0]
    """
    with np.errstate(divide="ignore"):
        places = 5 - np.floor(np.log10(probabilities))
    powers = _POWERS[np.clip(places, 5, len(_POWERS) - 1).astype(int)]
    return np.asarray(np.rint(probabilities * powers) / powers)


_POWERS = np.array([float(f"1e{n}") for n in range(23)])  # of ten, as far as float64 holds them exactly


def subtrees(vocabulary: FacetVocabulary, roots: list[int]) -> np.ndarray:
    """[n] bool: these tags and all that is below them."""
    return np.asarray(np.isin(vocabulary.ancestors, roots).any(axis=1))
