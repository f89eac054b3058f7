"""What `eufcc train` prints: the plan, every epoch, the result."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from eufcc_cli import console
from eufcc_cli.commands.common import propose
from eufcc_cli.core.errors import number_of
from eufcc_cli.core.files import Root

if TYPE_CHECKING:
    from eufcc_cli.core.training.run import Trained
    from eufcc_cli.core.training.training_plan import Plan


def show_plan(plan: "Plan") -> None:
    config = plan.config
    count = plan.parameters
    size = f"{count / 1e6:.1f} M" if count >= 1e5 else f"{count / 1e3:.1f} k"
    what = {"head": f"{config.method} heads on", "head-then-full": f"{config.method} heads, then all of"}
    console.note(
        f"Training {plan.name}: {what.get(config.tune or '', f'{config.method}, all of')} {config.backbone} "
        f"({plan.why}), {size} parameters, {plan.device}, {plan.precision}"
    )
    if plan.resumed_at:
        console.note(f"Continues the interrupted training after step {plan.resumed_at:,}")
    console.note(
        f"{number_of(plan.images, 'image')} to learn from, {plan.validation_images:,} to validate on"
    )
    if plan.held_out:
        console.note(
            f"{len(plan.held_out.split):,} images of {', '.join(plan.held_out.providers)} are held out, to "
            "choose the interpolation"
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
    expected = f"about {duration(plan.seconds)}" if plan.seconds else "one pass over the images"
    console.note(f"Expected: {expected}, {plan.memory / 1e9:.1f} GB of memory")


def show_epoch(row: dict[str, float]) -> None:
    turn = f"strength {row['strength']:<6g}" if "strength" in row else f"epoch {row['epoch']:>3}"
    console.note(
        f"{turn}  {duration(row['seconds']):>7}  loss {row['loss']:.4f}  "
        f"val R-Precision {row['r_precision']:.3f}  Acc@1 {row['acc@1']:.3f}  Acc@10 {row['acc@10']:.3f}"
    )


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def show_result(trained: "Trained") -> None:
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
    unit = "epoch" + "s" * (len(best.history) != 1)
    name = f"epoch {best.best_epoch}" if best.best_epoch else "the heads, before any epoch"
    if "strength" in kept:
        unit, name = "strengths of weight decay", f"strength {kept['strength']:g}"
    seconds = best.history[-1]["seconds"] if best.history else 0.0
    console.note(
        f"Trained {len(best.history):,} {unit} in {duration(seconds)}; the best on val is {name}, "
        f"R-Precision {best.best:.3f}, saved in {trained.folder}"
    )
    if (way := trained.interpolation) is not None and best.best_epoch:
        by = f", which is best for {', '.join(way.held_out.providers)}" if way.held_out else ""
        console.note(f"Its weights are {way.a:g} of the way from the start to that epoch{by}")


def propose_evaluation(root: Root, runs: Iterable[str], plugins: Iterable[str]) -> None:
    """Print the command that measures runs, if there are test splits."""
    if tests := [split for split in root.splits() if split.startswith("test")]:
        options = [word for split in tests for word in ("--split", split)]
        options += [word for plugin in plugins for word in ("--plugin", plugin)]
        propose(root.path, "evaluate", *runs, *options)


def show_runs(trained: "dict[str, Trained]") -> None:
    """The runs of a grid, with what they reach on the validation split."""
    metrics = ("r_precision", "acc@1", "acc@10")
    rows = []
    for name, run in trained.items():
        overall = run.validation["overall"]
        rows.append((name, *(f"{overall[key]:.3f}" for key in metrics), f"{overall['avg_rp']:.2f}"))
    columns = ("run", "R-Precision", "Acc@1", "Acc@10", "AvgRP")
    console.table(columns, rows, title="validation", numeric=columns[1:])
