"""`eufcc train`: settings in, a model in runs/NAME out."""

import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from eufcc_cli import console
from eufcc_cli.commands.common import SOME_FAILED, existing_root, importing, is_given, propose
from eufcc_cli.commands.learned_decisions import show_decisions
from eufcc_cli.commands.options import Photos, Plugin, option_of, with_settings
from eufcc_cli.core.errors import EufccError
from eufcc_cli.core.files import Root
from eufcc_cli.core.training.config import TrainConfig

if TYPE_CHECKING:
    from eufcc_cli.core.training.plan import Plan
    from eufcc_cli.core.training.run import Trained


def train(
    ctx: typer.Context,
    name: Annotated[
        str | None,
        typer.Option(help="The run's name, a folder under runs/.", show_default="the method's name"),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|RUN|RECIPE",
            help="Options from a TOML file, a run to repeat, or a recipe such as "
            "recipe:eufcc-340k/softmax; those on the command line win.",
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")] = False,
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
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Write TensorBoard events.")] = False,
    photos: Photos = None,
    plugin: Plugin = None,
    **settings: Any,
) -> None:
    """Train a model on the root's train split and keep the best by val.

    To resume an interrupted training (Ctrl-C, a crash), give --resume. Several GPUs or machines:
    torchrun --nproc-per-node N -m eufcc_cli train …
    """
    with importing():
        from eufcc_cli.core.report.history import TensorBoard, plot_history
        from eufcc_cli.core.report.model_card import export_model
        from eufcc_cli.core.training.config import read_settings
        from eufcc_cli.core.training.resumption import is_finished
        from eufcc_cli.core.training.run import train_run

    root = existing_root(ctx, photos)
    given = {key: value for key, value in settings.items() if is_given(ctx, key)}
    if config is None and resume and name and root.run(name).is_dir():
        config = root.run(name)  # it continues with the settings that it began with
    named_run = config is not None and not config.exists() and root.run(str(config)).is_dir()
    base = read_settings(root.run(str(config)) if named_run else config) if config else {}
    own = {key: _of_command(key, base.pop(key), config) for key in _COMMAND if key in base}
    name, export = name or own.get("name"), export or own.get("export")
    tensorboard, resume, overwrite = (
        value if is_given(ctx, key) else own.get(key, value)
        for key, value in (("tensorboard", tensorboard), ("resume", resume), ("overwrite", overwrite))
    )
    chosen = TrainConfig.from_mapping({**base, **given}, str(config or "options"))
    folder = root.run(name or chosen.method)
    if export and is_finished(folder) and not overwrite:
        export_model(folder, export)
        console.note(f"{folder} was finished before; exported to {export}")
        return
    main = int(os.environ.get("RANK", "0")) == 0
    events = TensorBoard(folder) if tensorboard and main else None

    def on_epoch(row: dict[str, float]) -> None:
        _show_epoch(row)
        if events:
            events.write(row)

    trained = train_run(
        chosen,
        root,
        name or chosen.method,
        resume=resume,
        overwrite=overwrite,
        progress=console.progress(main),
        decisions=decisions or (),
        on_decisions=show_decisions if main else None,
        on_plan=_show_plan,
        on_epoch=on_epoch,
    )
    if main:
        plot_history(folder / "history.csv", folder / "history.png")
        _show_result(trained, root.path)
        if export:
            export_model(folder, export)
            console.note(f"Exported to {export}")
        if trained.unreadable:
            raise typer.Exit(SOME_FAILED)


class Command(TyperCommand):
    """Has an option for every setting of every method, those of plugins included."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        from eufcc_cli.core.model.plugins import load_installed_methods, load_plugins

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


_COMMAND: dict[str, type] = {
    "name": str,
    "export": Path,
    "tensorboard": bool,
    "resume": bool,
    "overwrite": bool,
}
"""Options of the command that are no settings of the training; a configuration may hold them too."""


def _of_command(key: str, value: object, config: Path | None) -> Any:
    kind = _COMMAND[key]
    if not isinstance(value, str if kind is Path else kind):
        raise EufccError(
            f"`config` {config}: {key} = {value!r}: must be {kind.__name__}", hint="see `eufcc train --help`"
        )
    return kind(value)


def _show_plan(plan: "Plan") -> None:
    config = plan.config
    count = plan.parameters
    size = f"{count / 1e6:.1f} M" if count >= 1e5 else f"{count / 1e3:.1f} k"
    what = {"head": f"{config.method} heads on", "head-then-full": f"{config.method} heads, then all of"}
    console.note(
        f"Training {plan.name}: {what.get(config.tune or '', f'{config.method}, all of')} {config.backbone} "
        f"({plan.why}), {size} parameters, {plan.device}, {plan.precision}"
    )
    console.note(f"{plan.images:,} images to learn from, {plan.validation_images:,} to validate on")
    if plan.held_out:
        console.note(
            f"{len(plan.held_out.split):,} images of {', '.join(plan.held_out.providers)} are held out: they "
            "choose how far to go from the start"
        )
    if plan.missing:
        console.warn(
            f"{plan.missing:,} annotated images are not on disk: run `eufcc download`, or name their "
            "folder: `photos`"
        )
    if plan.unknown:
        console.warn(
            f"{plan.unknown:,} tags of the annotations are not in the label files and are not learned: "
            "`eufcc trees --lint` lists them"
        )
    console.table(
        ("facet", "tags", "annotated images", "unannotated"),
        [
            (facet, f"{tags:,}", f"{images:,}", f"{1 - images / plan.images:.0%}")
            for facet, (tags, images) in plan.facets.items()
        ],
        numeric=("tags", "annotated images", "unannotated"),
        to=console.err,
    )
    if plan.parts:
        console.note(plan.parts)
    expected = f"about {_duration(plan.seconds)}" if plan.seconds else "one pass over the images"
    console.note(f"Expected: {expected}, {plan.memory / 1e9:.1f} GB of memory")


def _show_epoch(row: dict[str, float]) -> None:
    turn = f"strength {row['strength']:<6g}" if "strength" in row else f"epoch {row['epoch']:>3}"
    console.note(
        f"{turn}  {_duration(row['seconds']):>7}  loss {row['loss']:.4f}  "
        f"val R-Precision {row['r_precision']:.3f}  Acc@1 {row['acc@1']:.3f}  Acc@10 {row['acc@10']:.3f}"
    )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _show_result(trained: "Trained", root: Path) -> None:
    from eufcc_cli.core.metrics.belief import overall

    for path, reason in trained.unreadable.items():
        console.warn(f"{path} was left out: {reason}")
    measured: dict[str, Any] = trained.validation
    rows = [("overall", measured["overall"]["pairs"], measured["overall"])]
    rows += [(facet, values["images"], values) for facet, values in measured["facets"].items()]
    console.table(
        ("validation", "pairs", "R-Precision", "Acc@1", "Acc@10", "AvgRP"),
        [
            (facet, count, *(f"{values[key]:.3f}" for key in ("r_precision", "acc@1", "acc@10")),
             f"{values['avg_rp']:.2f}")
            for facet, count, values in rows
        ],
        numeric=("pairs", "R-Precision", "Acc@1", "Acc@10", "AvgRP"),
    )  # fmt: skip
    for line in (*overall(trained.beliefs), *(belief.sentence() for belief in trained.beliefs)):
        console.note(line)
    best = trained.position
    kept = best.history[best.best_epoch - 1] if best.best_epoch else {}
    unit, name = "epochs", f"epoch {best.best_epoch}"
    if "strength" in kept:
        unit, name = "strengths of weight decay", f"strength {kept['strength']:g}"
    seconds = best.history[-1]["seconds"] if best.history else 0.0
    console.note(
        f"Trained {len(best.history):,} {unit} in {_duration(seconds)}; the best on val is {name}, "
        f"R-Precision {best.best:.3f}, saved in {trained.folder}"
    )
    if (way := trained.interpolation) is not None:
        by = f", which is best for {', '.join(way.held_out.providers)}" if way.held_out else ""
        console.note(f"Its weights are {way.a:g} of the way from the start to that epoch{by}")
    tests = [split for split in Root(root).splits() if split.startswith("test")]
    if tests:
        named = [word for split in tests for word in ("--split", split)]
        propose(root, "evaluate", trained.folder.name, *named)
