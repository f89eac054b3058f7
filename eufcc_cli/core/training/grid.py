"""Several trainings from one configuration: lists of values as a grid, and the names of its runs."""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eufcc_cli.core.errors import ModelError
from eufcc_cli.core.files import Root
from eufcc_cli.core.model.model_files import CONFIG
from eufcc_cli.core.training.configuration.config import TrainConfig
from eufcc_cli.core.training.state.resumption import first_difference, is_begun, is_finished


@dataclass(frozen=True)
class Planned:
    """A planned training and its name."""

    name: str
    config: TrainConfig


def planned_runs(settings: Mapping[str, Any], name: str | None, source: str) -> list[Planned]:
    """The trainings of a configuration in which some settings are lists of values: all combinations.

    The last list changes fastest. `{setting}` in a name (default: the method) stands for its value; what
    differs and is not in the name is appended to it. Raises ModelError, naming `source`, before any of them
    where one cannot work.

    >>> grid = {"method": "softmax", "lr": [1e-4, 3e-4], "seed": [0, 1]}
    >>> [run.name for run in planned_runs(grid, None, "grid.toml")][:2]
    ['softmax-lr0.0001-seed0', 'softmax-lr0.0001-seed1']
    >>> [run.name for run in planned_runs({"seed": [0, 1]}, "base-{seed}", "grid.toml")]
    ['base-0', 'base-1']
    """
    values = {key.replace("-", "_"): value for key, value in settings.items()}
    lists = {key: value for key, value in values.items() if isinstance(value, list | tuple)}
    for key, many in lists.items():
        if not many:
            raise ModelError(f"{source}: {key} = []: has no value", hint="list one value or more")
        if any(many.count(value) > 1 for value in many):
            raise ModelError(f"{source}: {key} = {list(many)}: needs different values", hint="list each once")
    runs: dict[str, TrainConfig] = {}
    for chosen in itertools.product(*lists.values()):
        config = TrainConfig.from_mapping({**values, **dict(zip(lists, chosen, strict=True))}, source)
        own = _name(name or "{method}", config, [key for key in lists if len(lists[key]) > 1])
        if own in runs:
            raise ModelError(
                f"`name` {name}: two runs would be called {own}", hint="use {setting} in the name"
            )
        runs[own] = config
    return [Planned(own, config) for own, config in runs.items()]


def _name(template: str, config: TrainConfig, differing: Sequence[str]) -> str:
    known = config.to_mapping()

    def value(found: re.Match[str]) -> str:
        if found[1] not in known:
            raise ModelError(
                f"`name` {template}: {found[0]} is not a setting of {config.method}",
                hint="{seed}, for example",
            )
        return _in_a_name(known[found[1]])

    named = re.findall(r"{(\w+)}", template)
    text = re.sub(r"{(\w+)}", value, template)
    return "-".join([text, *(f"{key}{_in_a_name(known[key])}" for key in differing if key not in named)])


def _in_a_name(value: Any) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return re.sub(r"[^\w.+-]", "-", text)


def remaining_runs(runs: Sequence[Planned], root: Root) -> list[tuple[Planned, bool]]:
    """The trainings that are not finished, in their order, and whether they were interrupted.

    Raises ModelError, before any of them, where a run of such a name was trained with other settings.
    """
    remaining = []
    for run in runs:
        folder = root.run(run.name)
        there = (folder / CONFIG).is_file()
        if there and (differs := first_difference(run.config, folder)):
            setting, asked, before = differs
            raise ModelError(
                f"{folder} was trained with `{setting}` {before}, not {asked}",
                hint="`overwrite` trains it again, `name` makes another",
            )
        if folder.exists() and not there:
            raise ModelError(f"{folder} exists, and is not a run", hint="`name` makes another")
        if not there or not is_finished(folder):
            remaining.append((run, there and is_begun(folder)))
    return remaining
