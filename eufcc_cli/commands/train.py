"""`eufcc train`: settings in, a model in runs/NAME out."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eufcc_cli import console
from eufcc_cli.commands.common import SOME_FAILED, existing_root, importing, is_given
from eufcc_cli.core.errors import EufccError

if TYPE_CHECKING:
    from eufcc_cli.core.training.run import Plan, Trained

_METHOD = (
    "multilabel, softmax, softmax-wce, hsoftmax-levels, hsoftmax-nodes, asl, multilabel-coherent; "
    "clip-1-tag, clip-all-tags, clip-1-tag-prompt."
)
_LEARNING, _IMAGES, _MACHINE, _METHODS = "Learning", "Images", "Machine", "Options of single methods"
_CLIP = "CLIP methods"


def train(
    ctx: typer.Context,
    method: Annotated[str, typer.Option(help=f"What the heads learn: {_METHOD}")] = "multilabel",
    name: Annotated[
        str | None,
        typer.Option(help="The run's name, a folder under runs/.", show_default="the method's name"),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="Options in a TOML file, or a finished run to repeat; those on the line win."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a run of that name.")] = False,
    export: Annotated[
        Path | None,
        typer.Option(help="Write the finished model here in the Hugging Face layout, with a model card."),
    ] = None,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Write TensorBoard events.")] = False,
    backbone: Annotated[
        str | None,
        typer.Option(
            help="Any timm model, or convnext_mini for few cores and small images; for CLIP any open_clip "
            "model with the tag of its weights, or clip_mini.",
            show_default="convnext_base.fb_in22k; CLIP: ViT-B-32/openai",
        ),
    ] = None,
    pretrained: Annotated[bool, typer.Option(help="Start from the backbone's published weights.")] = True,
    weights: Annotated[str | None, typer.Option(help="Backbone weights from a safetensors file.")] = None,
    image_size: Annotated[
        int | None,
        typer.Option(help="Side of the square the network sees, in pixels.", show_default="the backbone's"),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the images.", show_default="20 without --time-budget")
    ] = None,
    time_budget: Annotated[float | None, typer.Option(help="Seconds after which training has ended.")] = None,
    batch_size: Annotated[int, typer.Option(help="Images per step, over all processes.")] = 64,
    accumulate: Annotated[int, typer.Option(help="Compute a batch in this many parts, to fit memory.")] = 1,
    optimizer: Annotated[
        str, typer.Option(help="adamw, muon, or auto: adamw for pretrained backbones, muon from scratch.")
    ] = "auto",
    lr: Annotated[
        float | None,
        typer.Option(
            help="Peak learning rate.",
            show_default="1e-4 pretrained, CLIP 1e-5; from scratch 5e-3 muon, 2e-3 adamw",
        ),
    ] = None,
    weight_decay: Annotated[float, typer.Option(help="Weight decay.", rich_help_panel=_LEARNING)] = 0.05,
    layer_decay: Annotated[
        float, typer.Option(help="Learning rate of a layer over that of the next.", rich_help_panel=_LEARNING)
    ] = 1.0,
    warmup: Annotated[
        float, typer.Option(help="Share of training that warms up.", rich_help_panel=_LEARNING)
    ] = 0.1,
    clip_grad: Annotated[
        float, typer.Option(help="Largest gradient norm, 0: any.", rich_help_panel=_LEARNING)
    ] = 1.0,
    ema: Annotated[
        float, typer.Option(help="Decay of the weights' moving average, 0: off.", rich_help_panel=_LEARNING)
    ] = 0.0,
    dropout: Annotated[
        float, typer.Option(help="Dropout before the heads.", rich_help_panel=_LEARNING)
    ] = 0.0,
    drop_path: Annotated[float, typer.Option(help="Stochastic depth.", rich_help_panel=_LEARNING)] = 0.0,
    freeze: Annotated[
        int,
        typer.Option(
            help="Stages not trained, from the stem, of backbones that have them.", rich_help_panel=_LEARNING
        ),
    ] = 0,
    balanced: Annotated[
        bool,
        typer.Option("--balanced", help="Draw images of rare tags more often.", rich_help_panel=_LEARNING),
    ] = False,
    patience: Annotated[
        int | None,
        typer.Option(help="Stop after this many epochs without a better one.", rich_help_panel=_LEARNING),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Seed of weights, order and variations.", rich_help_panel=_LEARNING)
    ] = 0,
    augment: Annotated[
        str, typer.Option(help="Vary the images: none, light, strong.", rich_help_panel=_IMAGES)
    ] = "light",
    cache: Annotated[
        bool | None,
        typer.Option(
            help="Decode all images once into data/cache.",
            show_default="if that takes at most 4 GB",
            rich_help_panel=_IMAGES,
        ),
    ] = None,
    max_bad: Annotated[
        float, typer.Option(help="Refuse above this share of unreadable images.", rich_help_panel=_IMAGES)
    ] = 0.01,
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.", rich_help_panel=_MACHINE)
    ] = "auto",
    precision: Annotated[
        str, typer.Option(help="auto, fp32, bf16, fp16.", rich_help_panel=_MACHINE)
    ] = "auto",
    compile_: Annotated[
        bool, typer.Option("--compile", help="Compile the network.", rich_help_panel=_MACHINE)
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(
            help="Processes that decode images.", show_default="one per core", rich_help_panel=_MACHINE
        ),
    ] = None,
    save_every: Annotated[
        float, typer.Option(help="Minutes between saves within an epoch.", rich_help_panel=_MACHINE)
    ] = 10.0,
    stop: Annotated[
        bool, typer.Option(help="hsoftmax-nodes: learn where annotations end.", rich_help_panel=_METHODS)
    ] = False,
    gamma_pos: Annotated[
        float, typer.Option(help="asl: focus of positives.", rich_help_panel=_METHODS)
    ] = 0.0,
    gamma_neg: Annotated[
        float, typer.Option(help="asl: focus of negatives.", rich_help_panel=_METHODS)
    ] = 2.0,
    asl_clip: Annotated[float, typer.Option(help="asl: probability shift.", rich_help_panel=_METHODS)] = 0.05,
    text: Annotated[
        str, typer.Option(help="A tag in words: its name, path, or name (parent).", rich_help_panel=_CLIP)
    ] = "name",
    prompts: Annotated[
        str | None,
        typer.Option(
            help="Prompts of clip-1-tag-prompt: a TOML file with lines like "
            'materials = "an image of an object made of {tag}", or lists of such.',
            rich_help_panel=_CLIP,
        ),
    ] = None,
    names: Annotated[
        str | None, typer.Option(help="Display names: a CSV file, tag,name.", rich_help_panel=_CLIP)
    ] = None,
    equal_captions: Annotated[
        bool, typer.Option(help="Images with equal captions attract each other.", rich_help_panel=_CLIP)
    ] = True,
    lock_image: Annotated[
        bool, typer.Option("--lock-image", help="Leave the image tower as it is.", rich_help_panel=_CLIP)
    ] = False,
    lock_text: Annotated[
        bool, typer.Option("--lock-text", help="Leave the text tower as it is.", rich_help_panel=_CLIP)
    ] = False,
    checkpointing: Annotated[
        bool,
        typer.Option("--checkpointing", help="Less memory, a third slower.", rich_help_panel=_CLIP),
    ] = False,
) -> None:
    """Train a model on the root's train split and keep the best by val.

    Interrupted (Ctrl-C, a crash), it continues with --resume. Several GPUs or machines:
    torchrun --nproc-per-node N -m eufcc_cli train …
    """
    with importing():
        from eufcc_cli.core.report.history import TensorBoard, plot_history
        from eufcc_cli.core.report.model_card import export_model
        from eufcc_cli.core.training.config import TrainConfig, read_settings
        from eufcc_cli.core.training.resumption import is_finished
        from eufcc_cli.core.training.run import train_run

    root = existing_root(ctx)
    given = {key.rstrip("_"): ctx.params[key] for key in ctx.params if _is_setting(ctx, key)}
    base = read_settings(config if config.exists() else root.run(str(config))) if config else {}
    own = {key: _of_command(key, base.pop(key), config) for key in _COMMAND if key in base}
    name, export = name or own.get("name"), export or own.get("export")
    tensorboard, resume, overwrite = (
        asked if is_given(ctx, key) else own.get(key, asked)
        for key, asked in (("tensorboard", tensorboard), ("resume", resume), ("overwrite", overwrite))
    )
    settings = TrainConfig.from_mapping({**base, **given}, str(config or "options"))
    folder = root.run(name or settings.method)
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
        settings,
        root,
        name or settings.method,
        resume=resume,
        overwrite=overwrite,
        progress=console.progress(main),
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


_COMMAND: dict[str, type] = {
    "name": str,
    "export": Path,
    "tensorboard": bool,
    "resume": bool,
    "overwrite": bool,
}
"""Options of the command that are no settings of the training; a configuration may hold them, too."""


def _of_command(key: str, value: object, config: Path | None) -> Any:
    kind = _COMMAND[key]
    if not isinstance(value, str if kind is Path else kind):
        raise EufccError(
            f"--config {config}: {key} = {value!r}: must be {kind.__name__}", hint="see `eufcc train --help`"
        )
    return kind(value)


def _is_setting(ctx: typer.Context, key: str) -> bool:
    return key != "config" and key not in _COMMAND and is_given(ctx, key)


def _show_plan(plan: "Plan") -> None:
    config = plan.config
    size = f"{plan.parameters / 1e6:.1f} M parameters"
    console.note(
        f"Training {plan.name}: {config.method} on {config.backbone}, {size}, {plan.device}, {plan.precision}"
    )
    console.note(f"{plan.images:,} images to learn from, {plan.validation_images:,} to validate on")
    if plan.missing:
        console.warn(f"{plan.missing:,} annotated images are not on disk: `eufcc download` gets them")
    if plan.unknown:
        console.warn(
            f"{plan.unknown:,} tags of the annotations are not in the label files and are not learnt: "
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
    expected = f"about {_duration(plan.seconds)}" if plan.seconds else "unknown time"
    console.note(f"Expected: {expected}, {plan.memory / 1e9:.1f} GB of memory")


def _show_epoch(row: dict[str, float]) -> None:
    console.note(
        f"epoch {row['epoch']:>3}  {_duration(row['seconds']):>7}  loss {row['loss']:.4f}  "
        f"val R-Precision {row['r_precision']:.3f}  Acc@1 {row['acc@1']:.3f}  Acc@10 {row['acc@10']:.3f}"
    )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _show_result(trained: "Trained", root: Path) -> None:
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
    best = trained.position
    console.note(f"Kept epoch {best.best_epoch} in {trained.folder}")
    console.note(f"Next: eufcc --root {root} evaluate {trained.folder.name} --split test_id --split test_ood")
