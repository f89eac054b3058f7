"""Whether a training resumes an existing run, and how an old run is cleared."""

import shutil
from dataclasses import replace
from pathlib import Path

from eufcc_cli.core.errors import ModelError
from eufcc_cli.core.files import is_file_name
from eufcc_cli.core.model.model_files import CONFIG, WEIGHTS, read_config
from eufcc_cli.core.training.configuration.config import TrainConfig
from eufcc_cli.core.training.state.history_file import HISTORY
from eufcc_cli.core.training.state.training_state import START, STATE

_LENGTH = ("epochs", "time_budget", "patience")
_MACHINE = ("device", "threads", "workers", "cache", "save_every", "max_unreadable")


def is_finished(folder: Path) -> bool:
    """Whether the training in a run's folder is finished."""
    return (folder / CONFIG).is_file() and bool(read_config(folder).get("finished"))


def is_begun(folder: Path) -> bool:
    """False for the folder of a run that ended before it first saved its state: it can be replaced."""
    if not (folder / CONFIG).is_file():  # a training that failed before it began leaves its lock
        return not folder.is_dir() or any(file.name != ".lock" for file in folder.iterdir())
    return read_config(folder).get("finished") is not False or (folder / STATE).is_file()


def continues(config: TrainConfig, folder: Path, name: str, resume: bool, overwrite: bool) -> bool:
    """Whether a training continues an interrupted run of the same settings in its folder.

    Raises ModelError for an invalid name, or the name of another run; with `resume`, for the first setting
    that differs.
    """
    if not is_file_name(name) or name.startswith("."):
        raise ModelError(f"`name` {name}: not a name for a folder", hint="use letters, digits, - and _")
    if resume and overwrite:
        raise ModelError("`resume` and `overwrite` contradict each other", hint="give one of them")
    if not folder.exists() or overwrite or not (resume or is_begun(folder)):
        return False
    if is_finished(folder) or not (folder / CONFIG).is_file():
        what = "is finished" if is_finished(folder) else "exists, and is not a run"
        raise ModelError(f"{folder} {what}", hint="`overwrite` trains it again, `name` makes another")
    if differs := first_difference(config, folder):
        setting, asked, began = differs
        raise ModelError(
            f"{folder} is interrupted: `{setting}` is {asked}, the run's is {began}",
            hint="`resume` with `name` and nothing else continues it, `overwrite` replaces it",
        )
    return True


def first_difference(config: TrainConfig, folder: Path) -> tuple[str, object, object] | None:
    """The first setting in which a configuration differs from a run's: its name, both values; None if none.

    Settings that may change until a run is finished do not count, nor those of the machine afterwards.
    """
    saved = TrainConfig.from_mapping(read_config(folder).get("training", {}), str(folder / CONFIG))
    may_change = _MACHINE if is_finished(folder) else (*_MACHINE, *_LENGTH)
    changed = {key: getattr(config, key) for key in may_change}
    asked, began = config.resolved().to_mapping(), replace(saved, **changed).resolved().to_mapping()
    differing = (key for key, value in asked.items() if value != began.get(key))
    return next(((key, asked[key], began.get(key)) for key in differing), None)


def clear(folder: Path) -> None:
    """Remove what an earlier training left in a run's folder."""
    for old in (STATE, START, WEIGHTS, HISTORY, "history.png"):
        (folder / old).unlink(missing_ok=True)
    for old in ("tensorboard", "wandb"):
        shutil.rmtree(folder / old, ignore_errors=True)
