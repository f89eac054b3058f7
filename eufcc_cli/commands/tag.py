"""`eufcc tag`: images in, suggestions out, as they come."""

from pathlib import Path
from typing import Annotated

import typer

from eufcc_cli import console
from eufcc_cli.commands.common import SOME_FAILED, ModelLoader, existing_root, importing
from eufcc_cli.commands.options import (
    AddTag,
    AllowPrivateHosts,
    Compile,
    Decoders,
    Device,
    Engine,
    FlagTerms,
    Language,
    LogitAdjustment,
    MaxUnreadable,
    Model,
    Names,
    Photos,
    Phrase,
    Plugin,
    Precision,
    Prompts,
    RayAddress,
    Shard,
    ShardSize,
    ShardTimeout,
    Status,
    Threads,
    Weights,
    in_panel,
)
from eufcc_cli.commands.tagging.decided_output import take_votes, write_decided
from eufcc_cli.commands.tagging.own_table_file import (
    check_own_table_usage,
    note_missing_photographs,
    write_decisions,
    writes_own_table,
)
from eufcc_cli.commands.tagging.review_page import check_review_usage, is_tagged, serve_review
from eufcc_cli.commands.tagging.sharded import check_sharded_usage, show_status, tag_sharded
from eufcc_cli.commands.tagging.tag_images import tag_images
from eufcc_cli.commands.tagging.tag_models import open_tagger
from eufcc_cli.commands.tagging.tag_usage import batch_size_of, check_usage, form_of
from eufcc_cli.core.errors import EufccError
from eufcc_cli.core.machine import use_threads
from eufcc_cli.core.tagging.shards.choices import EngineName
from eufcc_cli.core.tagging.writers.formats import DECISIONS, FORMATS, KEYWORDS, SidecarName

_choosing, _catalogue, _review = map(in_panel, ("Which suggestions", "A catalogue", "Review"))
_output, _machine = map(in_panel, ("Output", "Machine"))


def tag(
    ctx: typer.Context,
    images: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="IMAGE…",
            help="Files, folders and their subfolders, globs, URLs of images, of IIIF manifests and "
            "collections, or - for a list of these on standard input.",
            show_default=False,
        ),
    ] = None,
    null: Annotated[
        bool,
        typer.Option(
            "--null",
            "-0",
            help="Names on standard input end with NUL (as of find -print0), not with a newline.",
        ),
    ] = False,
    model: Model = None,
    top: Annotated[
        int | None,
        _choosing(
            metavar="N", help="At most N tags per facet.", show_default="10, unless --threshold or --coverage"
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        _choosing(
            metavar="P", help="Only tags this probable.", show_default="0.2, unless --top or --coverage"
        ),
    ] = None,
    coverage: Annotated[
        float | None,
        _choosing(
            help="As many tags as it takes so that on average this share of an image's true tags is among "
            "them. The promise holds for images like the validation images, not for other collections, "
            "and not if other options leave tags out."
        ),
    ] = None,
    logit_adjustment: LogitAdjustment = 0.0,
    facet: Annotated[
        list[str] | None,
        _choosing(metavar="FACET", help="Only this facet (repeatable)."),
    ] = None,
    only: Annotated[
        list[str] | None,
        _choosing(
            metavar="TAG", help="Only this tag and those below it (repeatable; FACET:TAG for one facet)."
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        _choosing(metavar="TAG", help="Leave out this tag and those below it (repeatable)."),
    ] = None,
    leaves_only: Annotated[
        bool,
        _choosing("--leaves-only", help="Leave out a suggested tag's ancestors."),
    ] = False,
    table: Annotated[
        Path | None,
        _catalogue(
            metavar="FILE",
            help="Tag the images of a table: a museum's own export (CSV, .xlsx, .ods, JSON lines, LIDO, EDM) "
            "or an annotation table (CSV or Parquet).",
        ),
    ] = None,
    photos: Photos = None,
    fill: Annotated[
        bool,
        _catalogue(
            "--fill",
            help="Suggest only tags that a row lacks, or has less specifically; flag rows that the model "
            "contradicts.",
        ),
    ] = False,
    accept: Annotated[
        float | None,
        _catalogue(
            metavar="P",
            help="Write the table with these suggestions, if they are at least this probable, in additional "
            "columns.",
        ),
    ] = None,
    merge: Annotated[
        bool,
        _catalogue(
            "--merge", help="Write accepted terms into the cells themselves, in the museum's own words."
        ),
    ] = False,
    only_empty: Annotated[
        bool,
        _catalogue("--only-empty", help="Write into empty cells only."),
    ] = False,
    profile: Annotated[
        Path | None,
        _catalogue(
            metavar="FILE",
            help="A file with the meaning of the export's columns.",
            show_default="data/profile.toml",
        ),
    ] = None,
    review: Annotated[
        Path | None,
        _review(
            metavar="SUGGESTIONS",
            help="Open these suggestions (JSON lines of tag, or of evaluate --suspects) in the browser, to "
            "accept and reject them. With images or --table, those are tagged into this file first.",
        ),
    ] = None,
    browser: Annotated[
        bool,
        _review("--browser/--no-browser", help="Open the browser, or only print the page's URL."),
    ] = True,
    reviewer: Annotated[
        str | None,
        _review(metavar="NAME", help="Your name in the decisions file.", show_default="the system's user"),
    ] = None,
    decisions: Annotated[
        Path | None,
        _review(
            metavar="FILE",
            help="With --review: the file to append decisions to. With --table EXPORT and --output OUT: "
            "write its accepted and added tags into the museum's table. Else: write them as "
            f"--format {', '.join(DECISIONS)}, or with --embed. No model is needed.",
            show_default="with --review, SUGGESTIONS.decisions.jsonl",
        ),
    ] = None,
    votes: Annotated[
        Path | None,
        _review(
            metavar="FILE",
            help="Add the votes of a CrowdHeritage campaign, from the JSON file that it exports, to the "
            "file of --decisions; name the campaign's images, or its --table.",
        ),
    ] = None,
    format_: Annotated[
        str | None,
        _output(
            "--format",
            help=", ".join(f"{name} ({format.about})" for name, format in FORMATS.items()) + ".",
            show_default="that of --output's ending; else table on a terminal, jsonl in a pipe",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        _output(
            "--output",
            "-o",
            metavar="FILE",
            help="Write here; run it again to resume an interrupted one. For sidecars: a folder.",
            show_default="standard output",
        ),
    ] = None,
    skip_existing: Annotated[
        bool,
        _output(
            "--skip-existing",
            help="Skip images that have a result in the finished FILE, in a sidecar, or with --embed in the "
            "image itself.",
        ),
    ] = False,
    language: Language = None,
    names: Names = None,
    flag_terms: FlagTerms = None,
    sidecar_name: Annotated[
        SidecarName | None,
        _output(
            help="Names of sidecars: photo.jpg.xmp (darktable, digiKam) or photo.xmp (Adobe).",
            show_default="the one that exists, else photo.jpg.xmp",
        ),
    ] = None,
    embed: Annotated[
        bool,
        _output(
            "--embed",
            help="Write the terms into the images themselves (JPEG, TIFF, PNG, WebP), as XMP; pixels stay as "
            "they are, and the original of each image is kept as NAME_original.",
        ),
    ] = False,
    progress: Annotated[
        bool | None,
        _output(help="Show progress.", show_default="unless it would be between results"),
    ] = None,
    device: Device = "auto",
    precision: Precision = "auto",
    batch_size: Annotated[
        str,
        _machine(help="Images per batch; auto increases it while memory and speed allow."),
    ] = "auto",
    compile_: Compile = False,
    workers: Decoders = None,
    threads: Threads = None,
    allow_private_hosts: AllowPrivateHosts = False,
    add_tag: AddTag = None,
    weights: Weights = None,
    prompts: Prompts = None,
    text: Phrase = None,
    plugin: Plugin = None,
    shard_size: ShardSize = None,
    engine: Engine = EngineName.LOCAL,
    ray_address: RayAddress = None,
    shard: Shard = None,
    shard_timeout: ShardTimeout = 3600.0,
    max_unreadable: MaxUnreadable = 0.1,
    status: Status = None,
) -> None:
    """Suggest tags for images: the term, its place in the thesaurus, and its probability.

    \b
    eufcc tag photo.jpg              what the newest model sees in it
    eufcc tag scans/ -o tags.jsonl   a folder; interrupted, run it again to resume
    find . -name '*.tif' | eufcc tag - --format csv
    """
    from eufcc_cli.core.model.backbone.plugins import load_plugins
    from eufcc_cli.core.model.clip.prompts import TextOptions
    from eufcc_cli.core.tagging.inputs import count
    from eufcc_cli.core.tagging.selection import Choice

    if status is not None:
        show_status(status)
        return
    root = existing_root(ctx, photos)
    load_plugins(plugin or ())
    use_threads(threads)
    check_sharded_usage(ctx.params)
    if votes is not None:
        take_votes(ctx.params, root)
        return
    check_own_table_usage(ctx.params)
    if review is not None:
        check_review_usage(ctx.params)
        output = review
        ctx.params.update(output=review, skip_existing=True)
        format_ = "jsonl"
        if (not images and table is None) or is_tagged(review, images or [], table, root):
            serve_review(review, root, decisions, reviewer, table, browser=browser)
            return
    elif reviewer is not None or not browser:
        raise typer.BadParameter("--reviewer and --no-browser go with --review SUGGESTIONS")
    elif decisions is not None and format_ is None and not embed and table is not None and output is not None:
        write_decisions(ctx.params, root)
        return
    elif decisions is not None:
        write_decided(ctx.params, root)
        return
    if output == Path("-"):
        output = ctx.params["output"] = None
    arguments = images or []
    form = "jsonl" if shard_size else form_of(format_, output, accept, embed)
    check_usage(ctx.params, arguments, form)
    choice = Choice(
        top=top,
        threshold=threshold if accept is None else accept,
        coverage=coverage,
        facets=tuple(facet or ()),
        only=tuple(only or ()),
        exclude=tuple(exclude or ()),
        leaves_only=leaves_only,
    )
    size = batch_size_of(batch_size)
    catalogue = own_table = None
    if table is not None:
        from eufcc_cli.core.tagging.own_table import OwnTable, open_catalogue

        catalogue, own_table = open_catalogue(table, root, profile)
        if own_table is None and writes_own_table(ctx.params):
            own_table = OwnTable.read(table, root)
        if own_table is not None:
            if accept is not None and output is None:
                raise typer.BadParameter("--accept P writes the museum's table: name it with --output OUT")
            note_missing_photographs(own_table)
    if "-" in arguments and "stdin" in console.CLOSED:
        raise EufccError("standard input is closed: - reads a list there", hint="name files or folders")
    if output is None and form not in KEYWORDS and "stdout" in console.CLOSED:
        raise EufccError("standard output is closed: the results would be lost", hint="name a file: -o FILE")
    named = count(arguments)
    if named == 0 and catalogue is None:
        raise EufccError(f"{', '.join(arguments)}: no image there", hint="name files, folders or addresses")
    texts = TextOptions(prompts, text, names, tuple(add_tag or ()))
    with importing():
        from eufcc_cli.core.tagging.display import Display
        from eufcc_cli.core.taxonomy.matching.flagged_terms import read_flagged_terms

    load = ModelLoader(root, device, precision, weights, texts, logit_adjustment, names_are_shown=True)
    flagged = None if flag_terms is None else read_flagged_terms(flag_terms)
    display = Display(language, names, flagged)
    tagger = open_tagger(model, choice, load, display, compile_)
    if shard_size is not None:
        tag_sharded(ctx.params, root, load, tagger, choice, display, catalogue, size)
        return
    failed = tag_images(ctx.params, form, tagger, choice, catalogue, own_table, size, named)
    if review is not None:
        serve_review(review, root, decisions, reviewer, table, browser=browser)
    if failed:
        raise typer.Exit(SOME_FAILED)
