"""The published table, and which of its rows corresponds to a model of ours.

Source: Net et al., EUFCC-340K: A faceted hierarchical dataset for metadata annotation in GLAM collections
(2025, doi:10.1007/s11042-024-20561-9), the table of results. Its splits are the `original` revision.
"""

from eufcc_cli.core.model.methods import METHODS
from eufcc_cli.core.model.zero_shot import ZERO_SHOT

METRICS = ("r_precision", "acc@1", "acc@10", "avg_rp")

_ROWS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "Multi-label": ((0.76, 0.83, 0.99, 4.8), (0.67, 0.70, 0.89, 27.7)),
    "Softmax": ((0.77, 0.88, 0.99, 5.4), (0.67, 0.69, 0.87, 25.8)),
    "Softmax (WCE)": ((0.63, 0.74, 0.96, 14.6), (0.53, 0.53, 0.80, 40.7)),
    "H-Softmax (levels)": ((0.68, 0.85, 0.99, 24.6), (0.66, 0.70, 0.88, 14.9)),
    "H-Softmax (nodes)": ((0.73, 0.85, 0.99, 11.3), (0.64, 0.66, 0.86, 17.6)),
    "Ensemble: ML+S": ((0.81, 0.88, 0.99, 3.8), (0.67, 0.70, 0.89, 27.2)),
    "CLIP zero-shot": ((0.35, 0.37, 0.66, 66.7), (0.20, 0.20, 0.46, 143.4)),
    "CLIP 1 tag": ((0.64, 0.71, 0.94, 13.2), (0.74, 0.75, 0.90, 9.6)),
    "CLIP all tags": ((0.61, 0.65, 0.88, 26.4), (0.51, 0.57, 0.87, 48.2)),
    "CLIP 1 tag prompt": ((0.70, 0.76, 0.93, 14.1), (0.69, 0.72, 0.91, 10.1)),
    "Ens: ML+S+CLIP": ((0.80, 0.87, 0.99, 5.0), (0.68, 0.70, 0.92, 13.1)),
}

PUBLISHED: dict[str, dict[str, dict[str, float]]] = {
    name: {
        "test_id": dict(zip(METRICS, inner, strict=True)),
        "test_ood": dict(zip(METRICS, outer, strict=True)),
    }
    for name, (inner, outer) in _ROWS.items()
}
"""{row of the paper: {split: {metric: figure}}}, in the paper's order."""


def published_row(method: str) -> str | None:
    """The row of the paper that a method, or an ensemble's methods joined by `+`, corresponds to.

    >>> published_row("softmax-wce"), published_row("softmax+multilabel"), published_row("asl")
    ('Softmax (WCE)', 'Ensemble: ML+S', None)
    >>> published_row("multilabel+softmax+clip-1-tag")
    'Ens: ML+S+CLIP'
    """
    members = sorted(method.split("+"))
    if members == ["multilabel", "softmax"]:
        return "Ensemble: ML+S"
    if len(members) == 3 and _reads_texts(members[0]) and members[1:] == ["multilabel", "softmax"]:
        return "Ens: ML+S+CLIP"
    if method == ZERO_SHOT:
        return "CLIP zero-shot"
    return METHODS[method].paper if method in METHODS else None


def _reads_texts(method: str) -> bool:
    return method == ZERO_SHOT or (method in METHODS and METHODS[method].reads_texts)
