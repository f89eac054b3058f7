"""A run's settings and epochs for experiment trackers, through accelerate's; nothing leaves the machine.

TensorBoard and Weights & Biases write into the run's folder, MLflow into runs/.mlflow. To use a
server, set the variables of these libraries: WANDB_MODE=online, MLFLOW_TRACKING_URI.
"""

import importlib.util
import os
from collections.abc import Iterable, Mapping
from typing import Any

from eufcc_cli.core.errors import EufccError, ModelError
from eufcc_cli.core.files import Root

TRACKERS = ("tensorboard", "wandb", "mlflow")


def check_trackers(names: Iterable[str]) -> None:
    """Raise an error for a tracker that is not known, or not installed."""
    for name in names:
        if name not in TRACKERS:
            raise ModelError(f"`track` {name}: no such tracker", hint=f"choose {', '.join(TRACKERS)}")
        if importlib.util.find_spec(name) is None:
            raise EufccError(f"`track` {name}: not installed", hint=f"`pip install 'eufcc[{name}]'`")


class Tracking:
    """The trackers of one run; `begin` starts them, so that a training that cannot begin leaves nothing."""

    def __init__(self, names: Iterable[str], root: Root, run: str) -> None:
        self._names, self._root, self._run = list(dict.fromkeys(names)), root, run
        self._trackers: list[Any] = []

    def __enter__(self) -> "Tracking":
        return self

    def __exit__(self, *_: object) -> None:
        for tracker in self._trackers:
            tracker.finish()

    def begin(self, settings: Mapping[str, Any]) -> None:
        """Start the trackers, with the settings of the run."""
        for name in self._names:
            tracker = self._start(name)
            self._trackers.append(tracker)
            tracker.store_init_configuration({key: _plain(value) for key, value in settings.items()})

    def log(self, row: Mapping[str, Any]) -> None:
        """Add a row of the history, under its epoch."""
        values = {_named(key): float(value) for key, value in row.items() if key not in ("epoch", "step")}
        for tracker in self._trackers:
            tracker.log(values, step=int(row["epoch"]))

    def _start(self, name: str) -> Any:
        from accelerate.tracking import MLflowTracker, TensorBoardTracker, WandBTracker

        folder = self._root.run(self._run)
        tracker: Any
        if name == "tensorboard":
            tracker = TensorBoardTracker("tensorboard", logging_dir=folder)
        elif name == "wandb":
            import wandb

            mode = os.environ.get("WANDB_MODE", "offline")
            quiet = wandb.Settings(console="off", silent=True)
            tracker = WandBTracker("eufcc", name=self._run, dir=str(folder), mode=mode, settings=quiet)
        else:
            store = self._root.runs.absolute() / ".mlflow"
            os.environ.setdefault("MLFLOW_TRACKING_URI", store.as_uri())
            # Plain files need no database; new versions use them only on request.
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
            tracker = MLflowTracker("eufcc", run_name=self._run)
        tracker.start()
        return tracker


def _plain(value: Any) -> bool | int | float | str:
    """A value as every tracker can store it."""
    return value if isinstance(value, bool | int | float | str) else str(value)


def _named(column: str) -> str:
    """A column of the history as all trackers allow it.

    >>> _named("acc@10"), _named("r_precision_materials"), _named("r_precision")
    ('acc_at_10', 'r_precision/materials', 'r_precision')
    """
    metric, facet = column.replace("@", "_at_"), column.removeprefix("r_precision_")
    return metric if facet == column else f"r_precision/{facet}"
