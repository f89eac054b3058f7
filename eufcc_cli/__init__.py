"""eufcc: faceted, hierarchical image tagging for cultural heritage.

What Python programs use, imported when it is first asked for (`import eufcc_cli` loads no library; the types
of these names stand in __init__.pyi):

>>> import eufcc_cli
>>> eufcc_cli.Root("collection").table("train").as_posix()
'collection/data/train.csv'
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "eufcc_cli.api": (
        "Evaluation", "Scored", "Tagger", "build_trees", "evaluate", "load_model", "predict", "print_trees",
        "rank_metrics", "train",
    ),
    "eufcc_cli.core.errors": ("EufccError",),
    "eufcc_cli.core.files": ("Root",),
    "eufcc_cli.core.model.methods": ("register_method", "setting"),
    "eufcc_cli.core.training.configuration.config": ("TrainConfig",),
}  # fmt: skip
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = ["__version__", *sorted(_HOME_OF)]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_HOME_OF[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
