"""`eufcc tag --decisions`: what people accepted and added, for other systems; votes as decisions."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from eufcc_cli import console
from eufcc_cli.commands.common import SOME_FAILED
from eufcc_cli.commands.tagging.tag_output import keyword_place
from eufcc_cli.core.errors import EufccError, ImageError, first_of, number_of
from eufcc_cli.core.files import Root, atomic_open
from eufcc_cli.core.tagging.writers.formats import DECISIONS, EMBEDDED, KEYWORDS

if TYPE_CHECKING:
    import pandas as pd

    from eufcc_cli.core.tagging.decided_images import DecidedImage
    from eufcc_cli.core.tagging.inputs import Input
    from eufcc_cli.core.tagging.writers.keywords.sidecar import KeywordPlace
    from eufcc_cli.core.taxonomy.names import Names


def _check(options: dict[str, Any], form: str) -> None:
    """Reject, as wrong usage, what does not go with --decisions."""
    problem = None
    given = [name for name in ("model", "top", "threshold", "coverage", "only", "exclude") if options[name]]
    if options["embed"] and (options["format_"] is not None or options["output"] is not None):
        problem = "--embed writes into the images: leave --format and --output out"
    elif form not in (*DECISIONS, EMBEDDED):
        problem = (
            "--decisions: add --table EXPORT and --output, or --embed, or --format, one of "
            f"{', '.join(DECISIONS)}"
        )
    elif given or options["fill"] or options["accept"] is not None:
        problem = "--decisions writes what people decided: leave the options that choose suggestions out"
    elif options["language"] is not None and form == "csv":
        problem = "--language is for what other systems read: not for --format csv"
    elif options["sidecar_name"] is not None and form != "sidecar":
        problem = "--sidecar-name is for --format sidecar"
    if problem:
        raise typer.BadParameter(problem)


def write_decided(options: dict[str, Any], root: Root) -> None:
    """Write the accepted and added tags of a decisions file; of all its images, or of those named."""
    from eufcc_cli.core.tagging.decided_images import decided_images, named, tag_places
    from eufcc_cli.core.taxonomy.decisions import read_decisions
    from eufcc_cli.core.taxonomy.names import names_of_paths

    form = EMBEDDED if options["embed"] else options["format_"] or ""
    _check(options, form)
    decisions: Path = options["decisions"]
    read = read_decisions(decisions)
    inputs, frame = _inputs(options, root)
    decided = list(
        decided_images(
            read,
            tag_places(read, root),
            inputs,
            leaves_only=options["leaves_only"],
            rejected=form in KEYWORDS,
        )
    )
    if not decided:
        raise EufccError(
            f"{decisions}: nothing in it is accepted or added" + (" for these images" if inputs else ""),
            hint="decide first: `eufcc tag --review SUGGESTIONS`",
        )
    paths: dict[str, set[tuple[str, ...]]] = {}
    for tag in (tag for image in decided for tag in image.tags):
        paths.setdefault(tag.facet, set()).add(tag.path)
    names = names_of_paths(root, paths)
    if options["language"] is not None:
        decided = named(decided, names, options["language"])
    output: Path | None = options["output"]
    if form in KEYWORDS:
        _write_keywords(decided, keyword_place(form, output, options["sidecar_name"]))
        return
    texts = _texts(form, decided, options["language"], names, root, frame)
    if output is None:
        for text in texts:
            console.write(text)
    else:
        with atomic_open(output, "w") as file:
            file.writelines(texts)
    tags = sum(len(image.tags) for image in decided)
    console.note(f"{number_of(tags, 'accepted or added tag')} of {number_of(len(decided), 'image')}")


def _inputs(options: dict[str, Any], root: Root) -> "tuple[list[Input] | None, pd.DataFrame | None]":
    """The images that the options name, and the table that they are from; None where none is named."""
    from eufcc_cli.core.download.prefetch import Fetcher
    from eufcc_cli.core.http.politeness import Politeness
    from eufcc_cli.core.tagging.canvases import Canvases
    from eufcc_cli.core.tagging.inputs import is_iiif, listed
    from eufcc_cli.core.tagging.own_table import open_catalogue

    images, table = options["images"] or [], options["table"]
    if not images and table is None:
        return None, None
    if any(map(is_iiif, images)):  # annotations of a canvas need its address, not its picture
        with Fetcher(Politeness(allow_private_hosts=options["allow_private_hosts"])) as fetcher:
            inputs = list(listed(images, canvases=Canvases(fetcher, short_side=1)))
    else:
        inputs = list(listed(images))
    frame = None
    if table is not None:
        catalogue, _ = open_catalogue(table, root, options["profile"])
        inputs += catalogue.inputs()
        frame = catalogue.frame
    return inputs, frame


def _texts(
    form: str,
    decided: "list[DecidedImage]",
    language: str | None,
    names: "Names",
    root: Root,
    frame: "pd.DataFrame | None",
) -> Iterator[str]:
    from eufcc_cli.core.tagging.decided_records import decided_records
    from eufcc_cli.core.tagging.writers.decided_tags import DecidedAnnotations, decided_csv
    from eufcc_cli.core.tagging.writers.edm_records import Edm
    from eufcc_cli.core.tagging.writers.lido_records import Lido
    from eufcc_cli.core.taxonomy.decisions import now
    from eufcc_cli.core.taxonomy.linked_data.concepts import read_uris

    if form == "csv":
        return decided_csv(decided)
    uris = read_uris(root.concepts)
    if form == "webannotation":
        annotations = DecidedAnnotations(now(), uris, language, names)
        for reason in annotations.unwritten(decided):
            console.warn(reason)
        return annotations.texts(decided)
    return (Lido if form == "lido" else Edm)(uris, names, language).texts(decided_records(decided, frame))


def _write_keywords(decided: "list[DecidedImage]", place: "KeywordPlace") -> None:
    from eufcc_cli.core.tagging.writers.decided_tags import decided_terms

    failed = 0
    for image in decided:
        try:
            path = place.path(image.input)
            if image.tags or place.origin(path) is not None:
                place.write(path, decided_terms(image))
                console.line(str(path))
        except ImageError as error:
            failed += 1
            console.warn(f"{image.input.name}: {error}")
    if failed:
        raise typer.Exit(SOME_FAILED)


def take_votes(options: dict[str, Any], root: Root) -> None:
    """Add what people voted in a CrowdHeritage campaign to a decisions file, each decision once."""
    from eufcc_cli.core.tagging.votes import read_votes, votes_as_decisions
    from eufcc_cli.core.taxonomy.decisions import DecisionsFile, read_decisions

    given = [name for name in ("model", "format_", "output", "accept", "review") if options[name]]
    if options["decisions"] is None or given or options["embed"] or options["fill"]:
        raise typer.BadParameter(
            "--votes FILE goes with --decisions FILE, and --table FILE or images, and nothing else"
        )
    inputs, _ = _inputs(options, root)
    votes = votes_as_decisions(read_votes(options["votes"]), root, inputs)
    path: Path = options["decisions"]
    known = read_decisions(path).latest if path.is_file() else {}
    new = [one for one in votes.decisions if one.key not in known or known[one.key].verdict != one.verdict]
    DecisionsFile(path).append(new)
    console.note(
        f"{path}: {len(new):,} decisions added, {len(votes.decisions) - len(new):,} were already there; "
        f"{votes.undecided:,} annotations without a majority"
    )
    for found, reason in (
        (votes.unknown_tags, "no tag of this collection"),
        (votes.unknown_images, "no image that was named"),
    ):
        if found:
            console.warn(f"{len(found):,} votes left out: {reason}: {first_of(list(dict.fromkeys(found)))}")
