"""The verdicts on suggestions: read from a decisions file, and changed by reviewers."""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping

import numpy as np

from eufcc_cli.core.errors import DataError
from eufcc_cli.core.tagging.records import LIKELY
from eufcc_cli.core.tagging.review.suggestions import Suggestions
from eufcc_cli.core.taxonomy.decisions import (
    ACCEPTED,
    ADDED,
    REJECTED,
    UNDECIDED,
    Decision,
    DecisionKey,
    DecisionsFile,
    now,
)
from eufcc_cli.core.taxonomy.hierarchy import Hierarchy

CODES = {UNDECIDED: 0, ACCEPTED: 1, REJECTED: 2, ADDED: 3}
VERDICT_OF = {code: verdict for verdict, code in CODES.items()}
ACCEPT = CODES[ACCEPTED]
_TRUE = (ACCEPT, CODES[ADDED])
_MOST_UNDOS = 1000


class Review:
    """The suggestions under review, and the verdict on each.

    Rows are numbered: first those of the suggestions, image by image, then those that people added. Every
    change is appended to the file and read back from it, together with what other programs appended, so
    that all reviewers see the same.
    """

    def __init__(
        self,
        suggestions: Suggestions,
        trees: Mapping[str, Hierarchy],
        file: DecisionsFile,
        reviewer: str,
    ) -> None:
        """trees: the tags that can be added, with their paths."""
        self.suggestions = suggestions
        self.trees = trees
        self.reviewer = reviewer
        self.version = 0
        """Increases with every change."""
        self.orphans: dict[DecisionKey, Decision] = {}
        """Decisions about images or tags that the suggestions no longer have; they stay in the file."""
        self._file = file
        self._undos: defaultdict[str, deque[list[tuple[int, int, int]]]] = defaultdict(
            lambda: deque(maxlen=_MOST_UNDOS)
        )
        """{page: the actions that it can undo}, each as (row, verdict before, verdict after)."""
        rows = suggestions.rows()
        self.suggested = len(rows)
        self.image = np.array([row.image for row in rows], dtype=np.int64)
        self.term = np.array([row.term for row in rows], dtype=np.int64)
        self.score = np.array([row.score for row in rows], dtype=np.float64)
        self.doubt = np.array([np.nan if row.doubt is None else row.doubt for row in rows], dtype=np.float64)
        self.flagged = np.array([row.flagged for row in rows], dtype=bool)
        self.verdict = np.zeros(len(rows), dtype=np.int8)
        self._changed_at = np.zeros(len(rows), dtype=np.int64)
        self.in_record, self.contradicts = self._compare(range(len(rows)))
        self._row = {(row.image, row.term): number for number, row in enumerate(rows)}
        self._connect()
        self.refresh()

    def __len__(self) -> int:
        return len(self.image)

    @property
    def path(self) -> str:
        """The decisions file."""
        return str(self._file.path)

    @property
    def decided(self) -> int:
        """How many suggestions have a verdict; tags that people added are not counted."""
        return int(np.count_nonzero(self.verdict[: self.suggested]))

    def rows_of_image(self, image: int) -> list[int]:
        """The rows of an image, without those that were added and then undone."""
        rows = np.flatnonzero(self.image == image)
        return [row for row in rows.tolist() if row < self.suggested or self.verdict[row]]

    def changed_since(self, version: int) -> list[int]:
        """The rows that changed after a version."""
        return np.flatnonzero(self._changed_at > version).tolist()

    def refresh(self) -> None:
        """Read what this or another program appended to the decisions file."""
        decisions = self._file.read_new()
        if not decisions:
            return
        self.version += 1
        rows = self._rows_of(decisions)
        for row, decision in zip(rows, decisions, strict=True):
            if row is None:
                self.orphans.pop(decision.key, None)
                if decision.verdict != UNDECIDED:
                    self.orphans[decision.key] = decision
            else:
                self.verdict[row] = self._code(row, CODES[decision.verdict])
                self._changed_at[row] = self.version

    def _code(self, row: int, code: int) -> int:
        """The code of a true tag: accepted if it was suggested, else added."""
        return code if code not in _TRUE else CODES[ACCEPTED if row < self.suggested else ADDED]

    def decide(self, page: str, verdicts: Mapping[int, str]) -> None:
        """Give rows a verdict, and the broader or narrower terms that depend on it; then save.

        Accepting a tag also accepts the broader tags that are suggested for the image; rejecting it rejects
        the narrower ones. Raises DataError for an unknown row or verdict, and EufccError if the file cannot
        be written: then nothing changes.
        """
        self.refresh()
        for row, verdict in verdicts.items():
            if not 0 <= row < len(self) or verdict not in CODES:
                raise DataError(f"no such row or verdict: {row}, {verdict!r}")
        self._change(page, self._with_consequences({row: CODES[v] for row, v in verdicts.items()}))

    def add(self, page: str, image: int, facet: str, tag: str) -> int:
        """Add a tag, suggested or not, to an image; returns its row."""
        if not 0 <= image < len(self.suggestions.images):
            raise DataError(f"no image {image}")
        self.refresh()
        if facet not in self.trees or tag not in self.trees[facet]:
            raise DataError(f"{facet} has no tag {tag!r}")
        term = self.suggestions.add_term(facet, self.trees[facet].path(tag))
        row = self._row.get((image, term))
        if row is None:
            row = len(self)
            self._new_rows([(image, term)])
        self.decide(page, {row: ACCEPTED})
        return row

    def undo(self, page: str) -> list[int]:
        """Undo the last action of a page, except rows that were changed since; returns the rows."""
        self.refresh()
        undos = self._undos[page]
        if not undos:
            return []
        restored = {row: before for row, before, after in undos[-1] if self.verdict[row] == after}
        self._append(restored)
        undos.pop()
        return list(restored)

    def can_undo(self, page: str) -> bool:
        return bool(self._undos[page])

    def _change(self, page: str, codes: Mapping[int, int]) -> None:
        changes = {row: code for row, code in codes.items() if self.verdict[row] != code}
        if not changes:
            return
        before = [(row, int(self.verdict[row]), code) for row, code in changes.items()]
        self._append(changes)
        self._undos[page].append(before)

    def _append(self, codes: Mapping[int, int]) -> None:
        time = now()
        self._file.append(self._decision(row, code, time) for row, code in codes.items())
        self.refresh()

    def _decision(self, row: int, code: int, time: str) -> Decision:
        image = self.suggestions.images[self.image[row]]
        term = self.suggestions.terms[self.term[row]]
        score = float(self.score[row])
        return Decision(
            time=time,
            reviewer=self.reviewer,
            image=image.name,
            id=image.id,
            facet=term.facet,
            tag=term.tag,
            verdict=VERDICT_OF[code],
            score=None if np.isnan(score) else score,
            model=image.model,
            digest=image.digest,
        )

    def _with_consequences(self, codes: Mapping[int, int]) -> dict[int, int]:
        """The new codes of rows and of their broader or narrower terms; explicit verdicts take precedence."""
        result: dict[int, int] = {}
        for row, code in codes.items():
            if code in _TRUE:
                above = (other for other in self.ancestors_of(row) if self.verdict[other] not in _TRUE)
                result |= {other: self._code(other, ACCEPT) for other in above}
            elif code == CODES[REJECTED]:
                result |= dict.fromkeys(self.descendants_of(row), code)
        return result | {row: self._code(row, code) for row, code in codes.items()}

    def ancestors_of(self, row: int) -> list[int]:
        """The rows of the same image with broader terms."""
        return _of(self._narrower, self._broader, row)

    def descendants_of(self, row: int) -> list[int]:
        """The rows of the same image with narrower terms."""
        pairs = _of(self._sorted_broader, self._by_broader, row)
        return self._narrower[pairs].tolist()

    @property
    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """(rows, rows of the same image with a broader term), as two arrays of one length."""
        return self._narrower, self._broader

    def _connect(self) -> None:
        """Find, for each row, the rows of its image with broader terms."""
        size = max(1, len(self.suggestions.terms))
        keys = self.image * size + self.term
        order = np.argsort(keys)
        ancestors = self.suggestions.ancestors()[self.term]
        rows, levels = np.nonzero(ancestors >= 0)
        wanted = self.image[rows] * size + ancestors[rows, levels]
        found = order[np.minimum(np.searchsorted(keys, wanted, sorter=order), len(keys) - 1)]
        there = keys[found] == wanted
        self._narrower, self._broader = rows[there], found[there]  # by rising numbers of the narrower
        self._by_broader = np.argsort(self._broader, kind="stable")
        self._sorted_broader = self._broader[self._by_broader]

    def _rows_of(self, decisions: Iterable[Decision]) -> list[int | None]:
        """The row of each decision; an added tag gets a new row if its path is known."""
        new: dict[tuple[int, int], int] = {}
        rows: list[int | None] = []
        for decision in decisions:
            place = self._place_of(decision)
            row = self._row.get(place, new.get(place)) if place else None
            if row is None and place and decision.verdict == ADDED:
                row = new[place] = len(self) + len(new)
            rows.append(row)
        if new:
            self._new_rows(list(new))
        return rows

    def _place_of(self, decision: Decision) -> tuple[int, int] | None:
        """The numbers of a decision's image and term; None if the suggestions do not have them."""
        image = self.suggestions.image_number(decision.key.image)
        if image is None:
            image = self.suggestions.image_number(decision.image)
        if image is None:
            return None
        facet, tag = decision.facet, decision.tag
        term = self.suggestions.term_number(facet, tag)
        if term is None and decision.verdict == ADDED and tag in self.trees.get(facet, ()):
            term = self.suggestions.add_term(facet, self.trees[facet].path(tag))
        return None if term is None else (image, term)

    def _new_rows(self, places: list[tuple[int, int]]) -> None:
        """Add rows, (image, term), that were not suggested."""
        first, count = len(self), len(places)
        images, terms = np.array(places, dtype=np.int64).T
        self.image = np.concatenate([self.image, images])
        self.term = np.concatenate([self.term, terms])
        self.score = np.concatenate([self.score, np.full(count, np.nan)])
        self.doubt = np.concatenate([self.doubt, np.full(count, np.nan)])
        self.flagged = np.concatenate([self.flagged, np.zeros(count, dtype=bool)])
        self.verdict = np.concatenate([self.verdict, np.zeros(count, dtype=np.int8)])
        self._changed_at = np.concatenate([self._changed_at, np.zeros(count, dtype=np.int64)])
        self._row |= {place: first + i for i, place in enumerate(places)}
        compared = self._compare(range(first, first + count))
        self.in_record = np.concatenate([self.in_record, compared[0]])
        self.contradicts = np.concatenate([self.contradicts, compared[1]])
        self._connect()

    def _compare(self, rows: range) -> tuple[np.ndarray, np.ndarray]:
        """bool [rows], twice: whether the record has the tag, and whether the tag contradicts the record.

        A likely suggestion contradicts a record that is annotated in its facet if it is none of the annotated
        tags, and neither broader nor narrower than any.
        """
        in_record = np.zeros(len(rows), dtype=bool)
        contradicts = self.flagged[rows.start : rows.stop].copy()
        for i, row in enumerate(rows):
            term = self.suggestions.terms[self.term[row]]
            annotated = self.suggestions.images[self.image[row]].record.get(term.facet)
            if annotated:
                in_record[i] = any(term.tag in path for path in annotated)
                related = in_record[i] or any(path[-1] in term.path for path in annotated)
                contradicts[i] |= not related and self.score[row] >= LIKELY
        return in_record, contradicts


def _of(keys: np.ndarray, values: np.ndarray, key: int) -> list[int]:
    """The values whose key, among sorted keys, is this one."""
    first, last = np.searchsorted(keys, [key, key + 1])
    return values[first:last].tolist()
