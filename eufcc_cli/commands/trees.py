"""`eufcc trees`: draw, count, check and export the label trees of a collection."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from eufcc_cli import console
from eufcc_cli.commands import trees_output as output
from eufcc_cli.commands.common import SOME_FAILED, existing_root, importing
from eufcc_cli.commands.options import FlagTerms, Language, in_panel
from eufcc_cli.core.errors import DataError, first_of, number_of

if TYPE_CHECKING:
    import pandas as pd

    from eufcc_cli.core.files import Root
    from eufcc_cli.core.taxonomy.hierarchy import Hierarchy

    Trees = dict[str, Hierarchy]
    Tables = dict[Path, pd.DataFrame]

_LISTED = 20  # rare tags that are named
_what = in_panel("What to do")
_skos = in_panel("SKOS")


def trees(
    ctx: typer.Context,
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="Annotation tables, CSV or Parquet.", show_default="the root's splits"),
    ] = None,
    print_: Annotated[bool, _what("--print", help="Draw the trees (the default).")] = False,
    write: Annotated[Path | None, _what(help="Write a label file per facet into this folder.")] = None,
    find: Annotated[
        str | None,
        _what(help="Print the paths of the tag with this name, in any language, case or accents."),
    ] = None,
    lint: Annotated[
        bool,
        _what(
            "--lint", help="Print possible errors: names under several parents, near-duplicates, leakage …"
        ),
    ] = False,
    flag_terms: FlagTerms = None,
    stats: Annotated[
        bool, _what("--stats", help="Print the number of images, providers, and tags per image and depth.")
    ] = False,
    plot: Annotated[Path | None, _what(help="Draw the statistics into a .png, .svg or .pdf file.")] = None,
    counts: Annotated[
        bool,
        typer.Option(
            "--counts",
            help="Show how many images have each tag or a narrower one, and their share of the annotated "
            "images.",
        ),
    ] = False,
    facet: Annotated[
        list[str] | None,
        typer.Option(metavar="FACET", help="Only this facet (repeatable).", show_default="all"),
    ] = None,
    min_count: Annotated[int, typer.Option(min=0, help="Leave out tags of fewer images.")] = 0,
    depth: Annotated[
        int | None, typer.Option(min=1, help="Draw this many levels.", show_default="all")
    ] = None,
    labels: Annotated[
        bool, typer.Option("--labels", help="Read label files (FILES, or the root's) instead of tables.")
    ] = False,
    format: Annotated[Literal["text", "json", "dot", "skos"], typer.Option(help="Output format.")] = "text",
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", help="Stop at errors in the tables; with --lint: exit code 3 if there are findings."
        ),
    ] = False,
    language: Language = None,
    tag_language: Annotated[str | None, _skos(help="The language of the tags themselves.")] = None,
    base_iri: Annotated[str, _skos(help="The beginning of each concept's IRI.")] = "urn:eufcc:",
) -> None:
    """Draw, count, check and export the label trees of annotation tables.

    A tag with several parents is drawn under the first one in the tables; --lint lists the others.
    """
    draw = print_ or counts or depth is not None
    draw = draw or not (write or plot or lint or stats or find is not None)
    if format != "text" and sum((draw, find is not None, lint, stats)) > 1:
        raise typer.BadParameter(f"--format {format} prints one thing at a time")
    if format in ("dot", "skos") and not draw:
        raise typer.BadParameter(f"--format {format} is for trees")
    if labels and (lint or stats or plot or strict):
        raise typer.BadParameter("--lint, --stats, --plot and --strict read tables, not label files")
    if flag_terms is not None and not lint:
        raise typer.BadParameter("--flag-terms goes with --lint")
    with importing():
        from eufcc_cli.core.taxonomy import search
        from eufcc_cli.core.taxonomy.hierarchy import build_trees
        from eufcc_cli.core.taxonomy.names import names_of
        from eufcc_cli.core.taxonomy.tables.annotation_files import read_table
        from eufcc_cli.core.taxonomy.tables.annotations import check_facets, facet_column

    facets = check_facets(facet or ())
    if plot:
        from eufcc_cli.core.report.statistics_plot import check_plot_file

        check_plot_file(plot)

    tables: dict[Path, pd.DataFrame] = {}
    if labels:
        trees = _label_trees(ctx, files, facets, counted=counts or min_count > 0)
    elif lint or stats or plot or strict:
        tables = {path: read_table(path, need_ids=not (lint or strict)) for path in files or _splits(ctx)}
        trees = build_trees(tables.values(), facets)
    else:
        columns = [facet_column(name) for name in facets]
        sources = dict.fromkeys(files or _splits(ctx))
        trees = build_trees((read_table(path, columns) for path in sources), facets)
    if strict and not lint:
        _check_no_errors(tables)
    elif not lint:
        _warn_of_errors(trees)

    found = lint and _lint(ctx, tables, trees, format, flag_terms)
    if stats or plot:
        _statistics(tables, trees, format if stats else None, plot)
    if min_count:
        trees = _pruned(trees, min_count)
    if write:
        for name, tree in trees.items():
            tree.write(write / f"{name}.txt")
            console.note(f"{write / name}.txt: {number_of(len(tree), 'tag')}")
    if find is not None:
        places = search.find(trees, find, names_of(ctx.obj, trees))
        output.print_places(places, as_document=format == "json")
    if draw:
        cut = {name: tree.cut(depth) for name, tree in trees.items()} if depth else trees
        _draw(ctx.obj, cut, format, counts, language, base_iri, tag_language)
    if found and strict:
        raise typer.Exit(SOME_FAILED)


def _splits(ctx: typer.Context) -> list[Path]:
    """The tables of the root's splits."""
    root = existing_root(ctx)
    tables = [root.table(split) for split in root.splits()]
    if not tables:
        raise DataError(
            f"{root.data}: no annotation tables (train.csv, val.csv, test_id.csv, test_ood.csv)",
            hint="run `eufcc fetch` or `eufcc fetch demo`, or name tables: `eufcc trees FILE.csv`",
        )
    return tables


def _label_trees(
    ctx: typer.Context, files: list[Path] | None, facets: Iterable[str], *, counted: bool
) -> "Trees":
    """The trees of label files, with the counts of the root's splits where they are needed."""
    from eufcc_cli.core.taxonomy.hierarchy import read_trees
    from eufcc_cli.core.taxonomy.tables.annotation_files import read_table
    from eufcc_cli.core.taxonomy.tables.annotations import distinct, facet_column

    if not files:
        root = existing_root(ctx)
        files = [path for facet in facets if (path := root.label_file(facet)).is_file()]
        if not files:
            raise DataError(
                f"{root.labels}: no label files",
                hint=f"run `eufcc fetch` or `eufcc trees --write {root.labels}`",
            )
    trees = {facet: tree for facet, tree in read_trees(files).items() if facet in facets}
    if counted:
        columns = [facet_column(facet) for facet in trees]
        annotations = distinct((read_table(path, columns) for path in _splits(ctx)), trees)
        for facet, tree in trees.items():
            tree.annotations = annotations[facet]
    return trees


def _check_no_errors(tables: "Tables") -> None:
    """Print every problem of the tables; DataError if one is an error."""
    from eufcc_cli.core.taxonomy.tables.table_checks import validate

    problems = validate(tables)
    for problem in problems:
        console.warn(f"{problem}")
    if errors := sum(problem.severity == "error" for problem in problems):
        raise DataError(
            f"{number_of(errors, 'error')} in the tables",
            hint="correct the lines printed above, or leave out --strict",
        )


def _warn_of_errors(trees: "Trees") -> None:
    """One warning for all the annotations of trees that a strict reading rejects."""
    from eufcc_cli.core.taxonomy.tables.table_checks import annotation_problems

    messages = [
        message
        for tree in trees.values()
        for annotation in tree.annotations
        for _, severity, message in annotation_problems(annotation)
        if severity == "error"
    ]
    if messages:
        more = f" and {len(messages) - 1} more" if len(messages) > 1 else ""
        console.warn(f"left out: {messages[0]}{more}; `eufcc trees --lint` lists all, with their lines")


def _lint(ctx: typer.Context, tables: "Tables", trees: "Trees", format: str, flag_terms: Path | None) -> bool:
    """Print what lint finds, against the root's label files where there are some; True if anything."""
    from eufcc_cli.core.dataset.museum.columns import facet_of_column
    from eufcc_cli.core.download.ledger import LedgerReader
    from eufcc_cli.core.taxonomy.hierarchy import read_trees
    from eufcc_cli.core.taxonomy.lint import KINDS, lint
    from eufcc_cli.core.taxonomy.matching.flagged_terms import read_flagged_terms
    from eufcc_cli.core.taxonomy.names import Names, names_of

    label_files = [path for facet in trees if (path := ctx.obj.label_file(facet)).is_file()]
    with LedgerReader(ctx.obj.ledger) as ledger:
        digests = dict(ledger.rows("SELECT id, sha256 FROM images WHERE sha256 IS NOT NULL"))
    findings = lint(
        tables,
        trees,
        read_trees(label_files),
        digests=digests,
        facet_of=facet_of_column,
        flagged=None if flag_terms is None else read_flagged_terms(flag_terms),
        names=Names() if flag_terms is None else names_of(ctx.obj, trees),
    )
    output.print_findings(findings, KINDS, as_document=format == "json")
    return bool(findings)


def _statistics(tables: "Tables", trees: "Trees", format: str | None, plot: Path | None) -> None:
    """Print the statistics (format None: don't), draw them into a file."""
    from eufcc_cli.core.taxonomy.statistics import statistics

    numbers = statistics({str(path): table for path, table in tables.items()}, trees)
    if format is not None:
        output.print_statistics(numbers, as_document=format == "json")
    if plot:
        from eufcc_cli.core.report.statistics_plot import plot_statistics

        plot_statistics(numbers, plot)
        console.note(f"{plot}: tags per image, images per tag, the most frequent tags")


def _pruned(trees: "Trees", minimum: int) -> "Trees":
    """Trees without rare tags; those are printed."""
    kept = {}
    for facet, tree in trees.items():
        kept[facet], rare = tree.prune(minimum)
        if rare:
            listed = first_of([f"{name} ({images})" for name, images in rare.items()], _LISTED)
            console.note(f"{facet}: left out {len(rare):,} tags of fewer than {minimum:,} images: {listed}")
    return kept


def _draw(
    root: "Root",
    trees: "Trees",
    format: str,
    counts: bool,
    language: str | None,
    base_iri: str,
    tag_language: str | None,
) -> None:
    from eufcc_cli.core.taxonomy import exports
    from eufcc_cli.core.taxonomy.names import Names, names_of

    names = names_of(root, trees) if language or format == "skos" else Names()
    names.warn_without(language)
    shown = {facet: names.shown(facet, language) for facet in trees}
    if format == "text":
        output.draw(trees, shown, counts=counts)
    elif format == "json":
        named = shown if language else dict.fromkeys(trees)
        output.as_json({"facets": {f: exports.to_json(tree, named[f]) for f, tree in trees.items()}})
    elif format == "dot":
        drawn = (exports.to_dot(tree, counts=counts, shown=shown[f]) for f, tree in trees.items())
        console.line("\n".join(drawn))
    else:
        from eufcc_cli.core.taxonomy.linked_data.concepts import read_uris
        from eufcc_cli.core.taxonomy.linked_data.skos import to_skos

        uris = read_uris(root.concepts)
        console.line(to_skos(trees.values(), base_iri, tag_language, names, uris).rstrip("\n"))
