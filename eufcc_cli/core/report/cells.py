"""Figures as text, and tables of them: the name, meaning and digits of every metric."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

_LABELS = {
    "r_precision": "R-Prec",
    "avg_rp": "AvgRP",
    "map": "mAP",
    "map_micro": "mAP micro",
    "f1_micro": "F1 micro",
    "f1_macro": "F1 macro",
    "h_precision": "hP",
    "h_recall": "hR",
    "h_f1": "hF1",
    "deepest": "Depth",
    "incoherent": "Incoherent",
    "ece": "ECE",
}
MEANINGS = {
    ("r_precision",): "if a record has 3 tags, how many of the model's first 3 are right",
    ("acc@",): "in how many records at least one of the model's first k tags is right",
    ("avg_rp",): "the mean rank of the right tags: 1 is the first, so lower is better",
    (
        "map",
        "map_micro",
    ): "average precision: how high a tag ranks the images that have it, as the mean over tags; "
    "micro: for all pairs of image and tag in one ranking",
    ("f1_micro", "f1_macro"): "the harmonic mean of precision and recall of the decided tags, over all "
    "decisions; macro: the mean over tags",
    ("h_precision", "h_recall", "h_f1"): "precision, recall and F1 of the decided tags, counted with "
    "their broader tags: oil paint instead of tempera is partly right",
    ("deepest",): "mean depth in the hierarchy of the most specific decided tag that is right",
    ("incoherent",): "share of tags that the model scores higher than one of their broader tags",
    ("ece",): "expected calibration error: how far probabilities are from the share of tags that are right, "
    "on average over 15 ranges of probability",
}
_LOWER_IS_BETTER = {"avg_rp", "incoherent", "ece"}
MISSING = "–"


def label(metric: str) -> str:
    """A metric's name as it heads a column.

    >>> label("acc@10"), label("avg_rp")
    ('Acc@10', 'AvgRP')
    """
    return _LABELS.get(metric, metric.replace("acc", "Acc"))


def lower_is_better(metric: str) -> bool:
    return metric in _LOWER_IS_BETTER


def number(metric: str, value: float | None, *, as_published: bool = False) -> str:
    """A figure as text: shares with three decimals, ranks and depths with two; the paper gives one less.

    >>> number("r_precision", 0.76543), number("avg_rp", 4.8123), number("ece", float("nan"))
    ('0.765', '4.81', '–')
    >>> number("avg_rp", 4.8123, as_published=True)
    '4.8'
    """
    if value is None or math.isnan(value):
        return MISSING
    return f"{value:.{(2 if metric in ('avg_rp', 'deepest') else 3) - as_published}f}"


@dataclass(frozen=True)
class Table:
    """A table as text. `best` holds the (row, column) of each column's best figures."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: Sequence[str] = ()
    best: frozenset[tuple[int, int]] = frozenset()
    notes: Sequence[str] = ()


def best_cells(
    rows: Sequence[tuple[str, Sequence[float | None]]],
    metrics: Sequence[str],
    offset: int,
    *,
    as_published: bool = False,
) -> frozenset[tuple[int, int]]:
    """The best figures of every metric among the rows of the same scope, as shown: ties are all best."""
    best = set()
    for scope in dict.fromkeys(scope for scope, _ in rows):
        for column, metric in enumerate(metrics):
            shown = {
                row: float(number(metric, values[column], as_published=as_published))
                for row, (other, values) in enumerate(rows)
                if other == scope and number(metric, values[column]) != MISSING
            }
            if shown:
                goal = min(shown.values()) if lower_is_better(metric) else max(shown.values())
                best |= {(row, column + offset) for row, value in shown.items() if value == goal}
    return frozenset(best)
