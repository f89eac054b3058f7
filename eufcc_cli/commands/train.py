"""`eufcc train`: settings in, a model in runs/NAME out."""

import itertools
import os
import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from eufcc_cli import console
from eufcc_cli.commands.common import SOME_FAILED, existing_root, importing, is_given
from eufcc_cli.commands.learned_decisions import show_decisions
from eufcc_cli.commands.options import Photos, Plugin, option_of, with_settings
from eufcc_cli.commands.training_output import (
    propose_evaluation,
    show_epoch,
    show_plan,
    show_result,
    show_runs,
)
from eufcc_cli.core.errors import EufccError
from eufcc_cli.core.files import Root
from eufcc_cli.core.training.configuration.config import TrainConfig
from eufcc_cli.core.training.configuration.usual_settings import FULL_METHOD

if TYPE_CHECKING:
    from eufcc_cli.core.training.grid import Planned
    from eufcc_cli.core.training.run import Trained
    from eufcc_cli.core.training.training_plan import Plan


def train(
    ctx: typer.Context,
    name: Annotated[
        str | None,
        typer.Option(
            help="The run's name, a folder under runs/; {seed}, or any other setting, stands for its value.",
            show_default="the method's name",
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|RUN|RECIPE",
            help="Options from a TOML file, a run to repeat, or a recipe such as "
            "recipe:eufcc-340k/softmax; options on the command line take precedence.",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the interrupted run of that name, with its settings.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a run of that name.")] = False,
    export: Annotated[
        Path | None,
        typer.Option(help="Write the finished model here in the Hugging Face layout, with a model card."),
    ] = None,
    decisions: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Learn from the decisions of `tag --review` as well: accepted and added tags are true, "
            "rejected ones false, the rest of an image stays unknown. Decisions on test images are not "
            "learned from, but reported (repeatable).",
        ),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(
            metavar="N,N,…",
            help="One run for each seed, one after the other, such as 0,1,2. Any setting may be a list in a "
            "configuration: all combinations are trained. Run the command again to resume.",
        ),
    ] = None,
    track: Annotated[
        list[str] | None,
        typer.Option(
            metavar="tensorboard|wandb|mlflow",
            help="Also send settings and every epoch there: to files in the run's folder (mlflow: "
            "runs/.mlflow), unless WANDB_MODE or MLFLOW_TRACKING_URI is set (repeatable).",
        ),
    ] = None,
    photos: Photos = None,
    plugin: Plugin = None,
    **settings: Any,
) -> None:
    """Train a model on the root's train split and keep the best by val.

    After an interruption (Ctrl-C, a crash), run the same command again to resume. Several GPUs
    or machines: torchrun --nproc-per-node N -m eufcc_cli train …
    """
    with importing():
        from eufcc_cli.core.report.model_card import export_model
        from eufcc_cli.core.training.configuration.settings_file import read_settings
        from eufcc_cli.core.training.grid import planned_runs, remaining_runs
        from eufcc_cli.core.training.state.resumption import is_finished
        from eufcc_cli.core.training.tracking import check_trackers

    root = existing_root(ctx, photos)
    given = {key: value for key, value in settings.items() if is_given(ctx, key)}
    if config is None and resume and name and root.run(name).is_dir():
        config = root.run(name)  # it continues with the settings that it began with
    named_run = config is not None and not config.exists() and root.run(str(config)).is_dir()
    base = read_settings(root.run(str(config)) if named_run else config) if config else {}
    own = {key: _of_command(key, base.pop(key), config) for key in _COMMAND if key in base}
    name, export = name or own.get("name"), export or own.get("export")
    track = track or own.get("track") or []
    resume, overwrite = (
        asked if is_given(ctx, key) else own.get(key, asked)
        for key, asked in (("resume", resume), ("overwrite", overwrite))
    )
    check_trackers(track)
    if seeds is not None:
        if "seed" in given:
            raise typer.BadParameter("--seed and --seeds contradict each other: give one of them")
        given["seed"] = _seeds(seeds)
    if decisions and "method" not in base.keys() | given.keys():
        given["method"] = FULL_METHOD  # which learns from rejected tags, too
    runs = planned_runs({**base, **given}, name, str(config or "options"))
    if resume and not any(root.run(run.name).is_dir() for run in runs):
        raise EufccError(
            f"`resume`: there is no {root.run(runs[0].name)}", hint="leave out `resume` to begin a run"
        )
    one = Once(root, overwrite, track, export, decisions or [], plugin or [])
    if len(runs) == 1:
        run = runs[0]
        if export and is_finished(root.run(run.name)) and not overwrite:
            export_model(root.run(run.name), export)
            console.note(f"{root.run(run.name)} was finished before; exported to {export}")
            return
        trained = one(run, resume)
        if one.main:
            show_result(trained)
            propose_evaluation(root, [run.name], one.plugins)
            if trained.unreadable:
                raise typer.Exit(SOME_FAILED)
        return
    if export:
        raise typer.BadParameter(f"--export is for one run, these are {len(runs)}")
    todo = [(run, False) for run in runs] if overwrite else remaining_runs(runs, root)
    _train_all(one, runs, todo)


@dataclass
class Once:
    """Trains one run, shows and tracks how it goes."""

    root: Root
    overwrite: bool
    track: list[str]
    export: Path | None
    decisions: list[Path]
    plugins: list[str]
    main: bool = field(default_factory=lambda: int(os.environ.get("RANK", "0")) == 0)

    def __call__(self, run: "Planned", resume: bool) -> "Trained":
        from eufcc_cli.core.report.history import plot_history
        from eufcc_cli.core.report.model_card import export_model
        from eufcc_cli.core.training.run import train_run
        from eufcc_cli.core.training.tracking import Tracking

        folder = self.root.run(run.name)
        with Tracking(self.track if self.main else [], self.root, run.name) as tracking:

            def on_plan(plan: "Plan") -> None:
                show_plan(plan)
                tracking.begin(plan.config.to_mapping())

            def on_epoch(row: dict[str, float]) -> None:
                show_epoch(row)
                tracking.log(row)

            trained = train_run(
                run.config,
                self.root,
                run.name,
                resume=resume,
                overwrite=self.overwrite,
                progress=console.progress(self.main),
                decisions=self.decisions,
                on_decisions=show_decisions if self.main else None,
                on_plan=on_plan,
                on_epoch=on_epoch,
                command=shlex.join(["eufcc", *sys.argv[1:]]),
            )
        if self.main:
            plot_history(folder / "history.csv", folder / "history.png")
            if self.export:
                export_model(folder, self.export)
                console.note(f"Exported to {self.export}")
        return trained


def _train_all(one: Once, runs: "list[Planned]", todo: "list[tuple[Planned, bool]]") -> None:
    """Train what remains of several runs, one after the other; one that fails does not end the others."""
    if one.main and len(todo) < len(runs):
        console.note(f"{len(runs) - len(todo)} of {len(runs)} runs are finished")
    trained: dict[str, Trained] = {}
    failed: dict[str, EufccError] = {}
    for number, (run, resume) in enumerate(todo, start=len(runs) - len(todo) + 1):
        if one.main:
            console.note(f"Run {number} of {len(runs)}: {run.name}")
        try:
            trained[run.name] = one(run, resume)
        except EufccError as error:
            failed[run.name] = error
            console.warn(f"{run.name}: {error}" + (f"; {error.hint}" if error.hint else ""))
    if failed and not trained:
        raise failed.popitem()[1]
    if one.main:
        if trained:
            show_runs(trained)
        propose_evaluation(one.root, [run.name for run in runs if run.name not in failed], one.plugins)
        if failed or any(run.unreadable for run in trained.values()):
            raise typer.Exit(SOME_FAILED)


class Command(TyperCommand):
    """Has an option for every setting of every method, those of plugins included."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        from eufcc_cli.core.model.backbone.plugins import load_installed_methods, load_plugins

        named = [value for option, value in itertools.pairwise(args) if option == "--plugin"]
        named += [argument.partition("=")[2] for argument in args if argument.startswith("--plugin=")]
        load_plugins(named or os.environ.get("EUFCC_PLUGIN", "").split())
        load_installed_methods()
        if TrainConfig.settings().keys() - {param.name for param in self.params}:
            again = typer.Typer(add_completion=False)
            again.command()(with_settings(train, TrainConfig.settings()))
            made = typer.main.get_command(again)
            self.params = [*made.params, *(param for param in self.params if not param.expose_value)]
            self.callback = made.callback
            console.name_options({name: option_of(name) for name in TrainConfig.settings()})
        return super().parse_args(ctx, args)


command = with_settings(train, TrainConfig.settings())


_COMMAND: dict[str, type] = {"name": str, "export": Path, "track": list, "resume": bool, "overwrite": bool}
"""Options of the command that are no settings of the training; a configuration may hold them too."""


def _seeds(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise typer.BadParameter(f"--seeds {text}: not numbers with commas between them, such as 0,1,2")
    return [int(part) for part in parts]


def _of_command(key: str, value: object, config: Path | None) -> Any:
    kind = _COMMAND[key]
    if not isinstance(value, str if kind is Path else kind):
        raise EufccError(
            f"`config` {config}: {key} = {value!r}: must be {kind.__name__}", hint="see `eufcc train --help`"
        )
    return kind(value)
