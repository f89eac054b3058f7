"""`eufcc evaluate`: models and predictions in, the paper's table out."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from eufcc_cli import console
from eufcc_cli.commands.common import SOME_FAILED, ModelLoader, existing_root, importing, is_given
from eufcc_cli.commands.evaluating.acceptance_output import measure_decisions
from eufcc_cli.commands.evaluating.calibration_output import fit_probabilities
from eufcc_cli.commands.evaluating.doubtful_annotations import find_and_write
from eufcc_cli.commands.evaluating.evaluation_output import (
    note_result,
    print_comparison,
    warn_incomplete,
    write_files,
)
from eufcc_cli.commands.options import (
    Decoders,
    Device,
    Language,
    LogitAdjustment,
    Photos,
    Phrase,
    Plugin,
    Precision,
    Prompts,
    Threads,
    Weights,
    Wordings,
    in_panel,
)
from eufcc_cli.core.errors import EufccError, HubError
from eufcc_cli.core.machine import use_threads

if TYPE_CHECKING:
    from eufcc_cli.core.evaluation.bootstrap import Bootstrap
    from eufcc_cli.core.evaluation.scores.eval_split import TestSplit

_what = in_panel("What is scored")
_trust = in_panel("Trust")
_where = in_panel("Where it fails")
_out = in_panel("Output")
_machine = in_panel("Machine")


_FITTING = {
    "runs", "calibrate", "photos", "ensemble", "batch_size", "device", "precision", "workers", "keep_scores",
    "weights", "prompts", "text", "names", "plugin", "threads",
}  # fmt: skip
"""The parameters that --calibrate takes."""


def evaluate(
    ctx: typer.Context,
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN…",
            help="Runs under runs/, model folders, hf-hub:ORG/NAME, clip:NAME (any published "
            "open_clip model); A+B is the ensemble of A and B.",
            show_default=False,
        ),
    ] = None,
    split: Annotated[
        list[str] | None,
        _what(metavar="SPLIT", help="Splits to score, data/NAME.csv.", show_default="test_id and test_ood"),
    ] = None,
    predictions: Annotated[
        list[str] | None,
        _what(
            metavar="FILE",
            help="Score any system's predictions: `tag --format jsonl` lines, saved Parquet, or a folder of "
            "`tag --shard-size`, which may be in a store (s3://…).",
        ),
    ] = None,
    photos: Photos = None,
    decisions: Annotated[
        list[Path] | None,
        _what(
            metavar="FILE",
            help="Instead of scoring images: how often people accepted the suggestions, by facet and "
            "probability, from the decisions of `tag --review` (repeatable).",
        ),
    ] = None,
    logit_adjustment: LogitAdjustment = 0.0,
    ensemble: Annotated[bool, _what("--ensemble", help="Add the ensemble of all models.")] = False,
    weights_from: Annotated[
        str, _what(help="Weights of ensembles: equal, or the split whose likelihood they maximise (val).")
    ] = "equal",
    k: Annotated[
        list[int] | None, _what("--k", min=1, metavar="K", help="Acc@k for these k.", show_default="1, 10")
    ] = None,
    all_metrics: Annotated[
        bool,
        _what(
            "--all-metrics", help="Also show mAP, F1, hierarchical F1, depth, coherence, calibration error."
        ),
    ] = False,
    threshold: Annotated[float, _what(help="Probability from which a tag counts as decided (F1).")] = 0.5,
    compare: Annotated[Literal["paper"] | None, _trust(help="Also show the published figures.")] = None,
    bootstrap: Annotated[
        int | None,
        _trust(
            min=0,
            help="95 % intervals from N resamples; 0: none.",
            show_default="0, with --html or --against 1000",
        ),
    ] = None,
    against: Annotated[
        str | None,
        _trust(
            metavar="RUN",
            help="Show paired differences of all models to this one, which must be one of RUN…",
            show_default="with --bootstrap, the first",
        ),
    ] = None,
    resample: Annotated[
        Literal["provider", "image"] | None,
        _trust(help="Resample providers or images for --bootstrap.", show_default="provider"),
    ] = None,
    seed: Annotated[int, _trust(help="Seed of the resamples and of the samples shown.")] = 0,
    calibrate: Annotated[
        bool,
        _trust(
            "--calibrate",
            help="Instead of measuring, fit probabilities and coverage on val, and save them with the models "
            "for `tag`. (`train` does so at its end.)",
        ),
    ] = False,
    per_facet: Annotated[bool, _where("--per-facet", help="Show each facet, and their macro mean.")] = False,
    per_depth: Annotated[
        bool, _where("--per-depth", help="Show tags by depth, and by frequency: head, middle, tail.")
    ] = False,
    per_tag: Annotated[Path | None, _where(help="Write every tag's figures (CSV).")] = None,
    per_provider: Annotated[Path | None, _where(help="Write every provider's figures (CSV).")] = None,
    suspects: Annotated[
        Path | None,
        _where(
            metavar="FILE",
            help="Write the annotations of all splits (or of --split) that are probably wrong or missing, "
            "most doubtful first: JSON lines for `tag --review`, or .csv. Needs one RUN.",
        ),
    ] = None,
    format_: Annotated[
        Literal["table", "json", "csv", "markdown", "latex"],
        _out("--format", help="Format of the results on standard output."),
    ] = "table",
    html: Annotated[Path | None, _out(help="Write a page with tables, plots and sample images.")] = None,
    language: Language = None,
    save_predictions: Annotated[
        Path | None,
        _out(
            help="Write all scores, for --predictions: .parquet (exact) or .jsonl. With several "
            "models, put {model} in the name."
        ),
    ] = None,
    batch_size: Annotated[int, _machine(min=1, help="Images per forward pass.")] = 64,
    device: Device = "auto",
    precision: Precision = "auto",
    workers: Decoders = None,
    threads: Threads = None,
    keep_scores: Annotated[
        bool, _machine(help="Save scores in runs/.scores: the next evaluation takes seconds.")
    ] = True,
    weights: Weights = None,
    prompts: Prompts = None,
    text: Phrase = None,
    names: Wordings = None,
    plugin: Plugin = None,
) -> None:
    """Measure models on annotated images, as the EUFCC-340K paper does.

    Overall figures are means over all (image, facet) pairs with a true tag in the vocabulary. If
    images are missing or unreadable, they are counted, and the exit code is 3. Several GPUs or machines:
    torchrun --nproc-per-node N -m eufcc_cli evaluate …
    """
    if not 0 < threshold < 1:
        raise EufccError(f"--threshold {threshold}: not between 0 and 1", hint="0.5 is the usual choice")
    if calibrate and (more := [name for name in ctx.params if name not in _FITTING and is_given(ctx, name)]):
        raise typer.BadParameter(f"--calibrate does not measure: leave out --{more[0].replace('_', '-')}")
    if language is not None and html is None:
        raise typer.BadParameter("--language names the tags of a page: give --html FILE")
    if decisions:
        measure_decisions(ctx, decisions, format_, html)
        return
    per_depth = per_depth or logit_adjustment > 0  # what rare tags gain and frequent ones lose
    root = existing_root(ctx, photos)

    with importing():
        from eufcc_cli.core.evaluation.comparison import compare as compare_sources
        from eufcc_cli.core.evaluation.results import Measures
        from eufcc_cli.core.evaluation.scores import processes
        from eufcc_cli.core.evaluation.scores.eval_split import names_of_tests, read_split
        from eufcc_cli.core.evaluation.scores.score_sources import open_sources, splits_of
        from eufcc_cli.core.model.backbone.plugins import load_plugins
        from eufcc_cli.core.model.clip.prompts import TextOptions

    load_plugins(plugin or ())
    use_threads(threads)
    first = processes.join()[0] == 0
    splits = [] if calibrate else [read_split(root, name) for name in split or names_of_tests(root)]
    fitted_on = None if weights_from == "equal" else read_split(root, weights_from, "weights_from")
    texts = TextOptions(prompts, text, names[0] if names else None)
    load = ModelLoader(root, device, precision, weights, texts, logit_adjustment)
    left_out: list[str] = []

    def without(name: str, error: HubError) -> None:
        left_out.append(name)
        console.warn(f"{name} is left out: {error}; {error.hint}")

    sources = open_sources(
        root,
        runs or [],
        [_here(ctx, name) for name in predictions or []],
        load,
        ensemble=ensemble,
        batch_size=batch_size,
        workers=workers,
        keep=keep_scores,
        on_unreachable=without,
        wordings=() if calibrate or suspects or (ensemble and not names) else names and names[1:],
    )
    load.check_all_used()
    if not split:
        splits = splits_of(sources, splits)
    if calibrate:
        fit_probabilities(sources, root, console.progress(first))
        return
    doubtful = find_and_write(suspects, sources, root, split, batch_size, workers) if suspects else None
    comparison = compare_sources(
        sources,
        splits,
        root,
        measures=Measures(
            ks=tuple(sorted(set(k))) if k else (1, 10),
            threshold=threshold if all_metrics or html else None,
            details=bool(all_metrics or html or per_tag or per_depth),
        ),
        bootstrap=_bootstrap(splits, bootstrap, resample, seed, against, page=html is not None),
        against=against,
        weights_from=fitted_on,
        save=save_predictions,
        progress=console.progress(first),
    )
    if comparison is None:
        return
    paper = compare == "paper"
    print_comparison(comparison, format_, per_facet, per_depth, all_metrics, paper)
    write_files(comparison, per_tag, per_provider, html, doubtful, paper=paper, seed=seed, language=language)
    warn_incomplete(comparison)
    note_result(comparison)
    if comparison.incomplete or left_out:
        raise typer.Exit(SOME_FAILED)


def _here(ctx: typer.Context, predictions: str) -> Path:
    """Predictions on this machine: those in an object store are copied for as long as the command runs."""
    from eufcc_cli.core.tagging.shards.place import copied, is_store

    if not is_store(predictions):
        return Path(predictions)
    return copied(predictions, Path(ctx.with_resource(TemporaryDirectory(prefix="eufcc-"))))


def _bootstrap(
    splits: "Sequence[TestSplit]",
    draws: int | None,
    by: str | None,
    seed: int,
    against: str | None,
    *,
    page: bool,
) -> "Bootstrap | None":
    """The intervals to compute. A page and differences need them: over images where there is one provider."""
    from eufcc_cli.core.evaluation.bootstrap import Bootstrap

    if against is not None and draws == 0:
        raise typer.BadParameter("--against needs resamples: leave --bootstrap 0 out")
    if draws is not None or not (page or against):
        return Bootstrap(draws, by or "provider", seed) if draws else None
    several = all(len(set(split.providers)) > 1 for split in splits)
    return Bootstrap(1000, by or ("provider" if several else "image"), seed)
