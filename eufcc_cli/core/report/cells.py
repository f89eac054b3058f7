"""Figures as text, and tables of them: what every metric is called, means, and how many digits it shows."""

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
    ("r_precision",): "share of an image's R true tags among its R best",
    ("acc@",): "share of images with a true tag among the k best",
    ("avg_rp",): "mean rank of the true tags (lower is better)",
    ("map", "map_micro"): "average precision, mean of the tags; micro: over all decisions",
    ("f1_micro", "f1_macro"): "F1 of the decided tags, over all decisions; macro: mean of the tags",
    ("h_precision", "h_recall", "h_f1"): "precision, recall, F1 with both sides closed under ancestors",
    ("deepest",): "mean depth of the deepest tag decided rightly",
    ("incoherent",): "share of tags below the top that score above an ancestor",
    ("ece",): "expected calibration error of all decisions",
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


def number(metric: str, value: float | None) -> str:
    """A figure as text: shares with three decimals, ranks and depths with two.

    >>> number("r_precision", 0.76543), number("avg_rp", 4.8123), number("ece", float("nan"))
    ('0.765', '4.81', '–')
    """
    if value is None or math.isnan(value):
        return MISSING
    return f"{value:.2f}" if metric in ("avg_rp", "deepest") else f"{value:.3f}"


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
    rows: Sequence[tuple[str, Sequence[float | None]]], metrics: Sequence[str], offset: int
) -> frozenset[tuple[int, int]]:
    """The best figures of every metric among the rows of the same scope, as shown: ties are all best."""
    best = set()
    for scope in dict.fromkeys(scope for scope, _ in rows):
        for column, metric in enumerate(metrics):
            shown = {
                row: float(number(metric, values[column]))
                for row, (other, values) in enumerate(rows)
                if other == scope and number(metric, values[column]) != MISSING
            }
            if shown:
                goal = min(shown.values()) if lower_is_better(metric) else max(shown.values())
                best |= {(row, column + offset) for row, value in shown.items() if value == goal}
    return frozenset(best)
