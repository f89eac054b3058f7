"""Where the results of `eufcc tag` go, as its options say."""

import hashlib
import json
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eufcc_cli import console
from eufcc_cli.commands.tagging.own_table_file import OwnTableFile
from eufcc_cli.commands.tagging.sinks import File, Keywords, Pipe, Screen, Sink
from eufcc_cli.core.files import sha256
from eufcc_cli.core.tagging.writers.formats import EMBEDDED, KEYWORDS, SidecarName

if TYPE_CHECKING:
    from eufcc_cli.core.tagging.own_table import OwnTable
    from eufcc_cli.core.tagging.records import Catalogue
    from eufcc_cli.core.tagging.selection import Choice
    from eufcc_cli.core.tagging.tagger import Tagger
    from eufcc_cli.core.tagging.writers.keywords.sidecar import KeywordPlace


def make_sink(
    form: str,
    options: dict[str, Any],
    tagger: "Tagger",
    choice: "Choice",
    catalogue: "Catalogue | None",
    own_table: "OwnTable | None",
    stack: ExitStack,
) -> Sink:
    """Where results go; `stack` closes it."""
    from eufcc_cli.core.tagging.inputs import is_iiif
    from eufcc_cli.core.tagging.writers.choice import make_writer
    from eufcc_cli.core.tagging.writers.result_file import ResultFile
    from eufcc_cli.core.taxonomy.decisions import now

    output, skip_existing = options["output"], options["skip_existing"]
    asked = {**tagger.scoring, "fill": options["fill"], **asdict(choice)}
    date = now()
    if form in KEYWORDS:
        from eufcc_cli.core.tagging.writers.keywords.sidecar import creator

        shown = {name: str(options[name]) for name in ("language", "names") if options[name]}
        content = json.dumps({**asked, **shown}, sort_keys=True).encode()
        origin = creator(tagger.name, tagger.digest, hashlib.sha256(content).hexdigest()[:16])
        return Keywords(keyword_place(form, output, options["sidecar_name"]), skip_existing, origin, date)
    if form in ("table", "tree") and output is None and console.on_terminal():
        from eufcc_cli.core.tagging.writers.screen import panel, tree

        return Screen(panel if form == "table" else tree)
    if form == "additions" and own_table is not None:
        asked |= {"images": [], "table": sha256(options["table"])}
        return OwnTableFile(own_table, options, make_writer("jsonl", tagger, date), asked, stack)
    columns = {
        "id": catalogue is not None,
        "kind": options["fill"],
        "name": options["language"] is not None or options["names"] is not None,
        "flags": options["flag_terms"] is not None,
    } | dict.fromkeys(("canvas", "label"), any(map(is_iiif, options["images"] or ())))
    present = [name for name, there in columns.items() if there]
    writer = make_writer(form, tagger, date, catalogue, language=options["language"], columns=present)
    if output is None:
        return Pipe(writer)
    table = options["table"] and sha256(options["table"])
    asked |= {"format": form, "images": options["images"], "table": table}
    asked |= {name: str(options[name]) for name in ("language", "names", "flag_terms") if options[name]}
    return File(stack.enter_context(ResultFile(output, writer, asked, skip_existing=skip_existing)), writer)


def keyword_place(form: str, folder: Path | None, name: SidecarName | None) -> "KeywordPlace":
    """Where the keywords of images are written."""
    if form == EMBEDDED:
        from eufcc_cli.core.tagging.writers.keywords.embed import Embedded

        return Embedded()
    from eufcc_cli.core.tagging.writers.keywords.sidecar import Sidecars

    return Sidecars(folder, name)
