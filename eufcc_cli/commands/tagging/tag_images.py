"""`eufcc tag` at work: image after image, from their sources to where the results go."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eufcc_cli import console
from eufcc_cli.commands.tagging.own_table_file import OwnTableFile
from eufcc_cli.commands.tagging.sinks import Tally
from eufcc_cli.commands.tagging.tag_output import make_sink

if TYPE_CHECKING:
    from eufcc_cli.core.tagging.inputs import Input
    from eufcc_cli.core.tagging.own_table import OwnTable
    from eufcc_cli.core.tagging.records import Catalogue
    from eufcc_cli.core.tagging.selection import Choice
    from eufcc_cli.core.tagging.tagger import Tagger


def tag_images(
    options: dict[str, Any],
    form: str,
    tagger: "Tagger",
    choice: "Choice",
    catalogue: "Catalogue | None",
    own_table: "OwnTable | None",
    batch_size: int | None,
    named: int | None,
) -> int:
    """Tag what the options name, and print what was done; how many images could not be tagged.

    named: how many images the arguments name, None where only a pipe knows.
    """
    from eufcc_cli.core.download.prefetch import Fetcher, Picture
    from eufcc_cli.core.http.politeness import Politeness
    from eufcc_cli.core.model.inference.batching import STEADY
    from eufcc_cli.core.model.inference.decoding.decoder_processes import decoder_processes
    from eufcc_cli.core.tagging.canvases import Canvases
    from eufcc_cli.core.tagging.inputs import is_url, listed

    arguments, output, workers = options["images"] or [], options["output"], options["workers"]
    catalogued = options["fill"] or options["accept"] is not None
    total = None if named is None else named + (len(catalogue) if catalogue else 0)
    done = Tally(catalogued, missing=own_table.without_photograph() if own_table else 0)
    with ExitStack() as stack:
        fetcher = stack.enter_context(Fetcher(Politeness(allow_private_hosts=options["allow_private_hosts"])))
        sink = make_sink(form, options, tagger, choice, catalogue, own_table, stack)
        shown = _progress_fits(form, output) if options["progress"] is None else options["progress"]
        bar = stack.enter_context(console.progress(shown).task("tagging", total))
        canvases = Canvases(fetcher, tagger.short_side, options["language"])
        processes = stack.enter_context(decoder_processes(tagger.models, workers, total))

        def todo() -> Iterator["Input"]:
            for item in chain(
                listed(arguments, fetch=fetcher, null=options["null"], canvases=canvases),
                catalogue.inputs() if catalogue else (),
            ):
                if sink.wants(item):
                    if isinstance(item.source, Picture):
                        item.source.begin()
                    yield item
                else:
                    bar.advance()

        batches = tagger.batches(
            todo(),
            batch_size=batch_size,
            workers=workers,
            processes=processes,
            record_of=catalogue.record if catalogue and catalogued else None,
            eager=named is None or any(map(is_url, arguments)),
            # A file may be continued: an image's scores must then not depend on its batch.
            smallest_batch=1 if output is None else min(STEADY, batch_size or STEADY, total or STEADY),
        )
        stack.callback(batches.close)
        for results in batches:
            sink.write(results)
            done.add(results)
            bar.advance(len(results), **({"failed": sink.failed} if sink.failed else {}))
        sink.finish()
    if isinstance(sink, OwnTableFile):
        done.filled = sink.filled
    if output is not None or catalogue is not None or sink.failed:
        console.note(done.sentence(sink.failed))
    return sink.failed


def _progress_fits(form: str, output: Path | None) -> bool:
    """A bar would get between results on the screen, and those of a program behind a pipe."""
    return output is not None or not (sys.stderr.isatty() or console.on_terminal())
