"""history.csv: the figures of a training, one row for each epoch (or strength of the regularisation)."""

from collections.abc import Mapping, Sequence
from typing import Any

from eufcc_cli.core.files import csv_text
from eufcc_cli.core.taxonomy.tables.annotations import FACETS

HISTORY = "history.csv"
COLUMNS = (
    "epoch", "step", "strength", "seconds", "lr", "loss", "validation_loss",
    "r_precision", "acc@1", "acc@10", "avg_rp", *(f"r_precision_{facet}" for facet in FACETS),
)  # fmt: skip
"""The same for every training; columns that do not apply are empty."""


def validation_columns(measured: Mapping[str, Any]) -> dict[str, float]:
    """The columns about the validation split, from what `RankMeans.compute` gives, losses among it.

    >>> facets = {"materials": {"loss": 0.5, "r_precision": 0.8, "images": 2}}
    >>> validation_columns({"overall": {"loss": 0.5, "r_precision": 0.8, "pairs": 2}, "facets": facets})
    {'validation_loss': 0.5, 'r_precision': 0.8, 'r_precision_materials': 0.8}
    """
    overall = measured["overall"]
    return {
        "validation_loss": overall["loss"],
        **{name: value for name, value in overall.items() if name not in ("pairs", "loss")},
        **{f"r_precision_{facet}": values["r_precision"] for facet, values in measured["facets"].items()},
    }


def history_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """The history of a training as CSV, with all columns."""
    return csv_text(COLUMNS, rows)
