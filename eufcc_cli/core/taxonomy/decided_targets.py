"""Training targets with people's decisions: tags that are true, false or unknown."""

from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np

from eufcc_cli.core.taxonomy.decisions import Decision
from eufcc_cli.core.taxonomy.vocabulary import FacetVocabulary, Targets


def with_decisions(
    targets: Targets, tags: FacetVocabulary, decisions: Mapping[int, Iterable[Decision]]
) -> Targets:
    """Targets of one facet, corrected by decisions about some of its rows: {row: decisions, oldest first}.

    Accepted and added tags are true, and their ancestors; rejected ones are false, and their descendants.
    A decision takes precedence over the annotation, a later decision over an earlier one. In a row that the
    record annotates, all other tags are false, as before. In other rows, and in rows whose annotations were
    all rejected, the other tags are unknown, and the false ones are in `rejected`. Tags outside the
    vocabulary are left out.
    """
    descendants = _descendants(tags)
    true_rows: dict[int, np.ndarray] = {}
    false_rows: dict[int, np.ndarray] = {}
    for row, decided in decisions.items():
        accepted: set[int] = set()
        rejected: set[int] = set()
        for decision in decided:
            tag = tags.index.get(decision.tag)
            if tag is None:
                continue
            if decision.is_true:
                above = {i for i in tags.ancestors[tag].tolist() if i >= 0}
                accepted |= above
                rejected -= above
            else:
                rejected |= descendants[tag]
                accepted -= descendants[tag]
        if not accepted and not rejected:
            continue
        annotated = set(targets.row(row).tolist()) - rejected
        true_rows[row] = np.array(sorted(annotated | accepted), dtype=np.int64)
        if not annotated:
            false_rows[row] = np.array(sorted(rejected), dtype=np.int64)
    if not true_rows:
        return targets
    true = _replaced(targets, true_rows)
    if not false_rows:
        return true
    size = len(targets)
    nothing = Targets(
        np.zeros(size + 1, np.int64), np.zeros(0, np.int64), np.zeros(size, bool), Counter(), len(tags)
    )
    rejected_of = _replaced(nothing, false_rows)
    rejected_of.annotated[list(false_rows)] = True  # decided tag by tag, even where nothing was rejected
    annotated_rows = true.annotated | rejected_of.annotated
    return Targets(true.indptr, true.indices, annotated_rows, true.unknown, true.size, rejected_of)


def _descendants(tags: FacetVocabulary) -> list[set[int]]:
    """For each tag its own number and those of its descendants."""
    found: list[set[int]] = [set() for _ in tags.tags]
    for tag, chain in enumerate(tags.ancestors.tolist()):
        for above in chain:
            if above >= 0:
                found[above].add(tag)
    return found


def _replaced(targets: Targets, rows: Mapping[int, np.ndarray]) -> Targets:
    """The same targets with other tags in some rows."""
    parts = [rows[row] if row in rows else targets.row(row) for row in range(len(targets))]
    lengths = np.array([len(part) for part in parts], dtype=np.int64)
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    indices = np.concatenate(parts) if parts else targets.indices
    return Targets(indptr, indices.astype(np.int64), lengths > 0, targets.unknown, targets.size)
