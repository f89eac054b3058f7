"""`eufcc tag --table EXPORT -o OUT`: accepted terms into a museum's own table."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from eufcc_cli import console
from eufcc_cli.commands.tagging.sinks import File
from eufcc_cli.core.errors import first_of, number_of
from eufcc_cli.core.files import Root

if TYPE_CHECKING:
    from eufcc_cli.core.tagging.own_table import OwnTable
    from eufcc_cli.core.tagging.tagger import Result
    from eufcc_cli.core.tagging.write_back import Addition, Written
    from eufcc_cli.core.tagging.writers.writer import Writer


def check_own_table_usage(options: Mapping[str, Any]) -> None:
    """Reject, as wrong usage, what does not go together in writing a museum's own table."""
    decided = options["decisions"] is not None and options["review"] is None
    into_table = decided and options["table"] is not None and options["format_"] is None
    into_table = into_table and not options["embed"]
    problem = None
    if (options["merge"] or options["only_empty"]) and options["accept"] is None and not into_table:
        problem = "--merge and --only-empty go with --accept P, or with --decisions FILE and --table EXPORT"
    elif options["profile"] and options["table"] is None:
        problem = "--profile is about a --table"
    elif into_table and options["output"] is None:
        problem = "--decisions FILE --table EXPORT writes a table: name it with --output OUT"
    elif into_table and (options["accept"] is not None or options["images"] or options["fill"]):
        problem = "--decisions FILE writes what people decided: leave images, --fill and --accept out"
    elif options["accept"] is not None and options["output"] is None and writes_own_table(options):
        problem = "--accept P --merge or --only-empty writes a table: name it with --output OUT"
    if problem:
        raise typer.BadParameter(problem)


def writes_own_table(options: Mapping[str, Any]) -> bool:
    """True for options that only a table with its own columns and format can answer."""
    output: Path | None = options["output"]
    other_format = output is not None and output.suffix.lower() not in ("", ".csv")
    return options["accept"] is not None and (options["merge"] or options["only_empty"] or other_format)


def note_missing_photographs(table: "OwnTable") -> None:
    """Print how many records have no photograph."""
    if missing := table.without_photograph():
        console.note(f"{missing:,} of {len(table.ids):,} records have no photograph: left as they are")


def write_decisions(options: Mapping[str, Any], root: Root) -> None:
    """Write what people accepted into a museum's own table."""
    from eufcc_cli.core.tagging.own_table import OwnTable
    from eufcc_cli.core.tagging.write_back import dialect_for, from_decisions
    from eufcc_cli.core.taxonomy.decisions import read_decisions

    table = OwnTable.read(options["table"], root, options["profile"])
    dialect_for(table, options["output"])
    decisions = read_decisions(options["decisions"])
    additions, elsewhere = from_decisions(table, decisions)
    if elsewhere:
        images = list(dict.fromkeys(decision.id or decision.image for decision in elsewhere))
        what = number_of(len(elsewhere), "decision")
        console.warn(f"{options['table']} has no record for {what}: {first_of(images)}")
    _write(table, additions, options)


class OwnTableFile(File):
    """Collects suggestions in a hidden file, which an interrupted run continues; then writes the table."""

    def __init__(
        self,
        table: "OwnTable",
        options: Mapping[str, Any],
        writer: "Writer",
        asked: Mapping[str, Any],
        stack: ExitStack,
    ) -> None:
        from eufcc_cli.core.tagging.write_back import dialect_for
        from eufcc_cli.core.tagging.writers.result_file import ResultFile

        self._table = table
        self._options = options
        self._output: Path = options["output"]
        dialect_for(table, self._output)
        digest = hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()[:8]
        self._suggestions = self._output.with_name(f".{self._output.name}.{digest}.jsonl")
        self._done = False
        self.filled = 0
        """Records that got a term."""
        stack.callback(self._clean)
        # What was finished stays where only the table could not be written, as in an encoding that lacks a
        # letter: the next try then tags nothing again.
        file = ResultFile(self._suggestions, writer, asked, skip_existing=True)
        super().__init__(stack.enter_context(file), writer)

    def write(self, results: "Sequence[Result]") -> None:
        super().write(results)
        for result in results:
            if result.error is not None:
                console.warn(f"{result.input.name}: {result.error}")

    def finish(self) -> None:
        from eufcc_cli.core.tagging.write_back import from_suggestions

        with self._suggestions.open(encoding="utf-8") as lines:
            additions = from_suggestions(self._table, lines)
        self.filled = _write(self._table, additions, self._options).records
        self._done = True

    def _clean(self) -> None:
        if self._done:
            self._suggestions.unlink(missing_ok=True)


def _write(
    table: "OwnTable", additions: "dict[int, list[Addition]]", options: Mapping[str, Any]
) -> "Written":
    """Write the table with the additions that its cells take, and print how many those are."""
    from eufcc_cli.core.tagging.write_back import write_back

    flags = {name: options[name] for name in ("merge", "only_empty")}
    written = write_back(table, additions, options["output"], **flags)
    terms = number_of(written.terms, "term")
    console.note(
        f"{options['output']}: {terms} for {written.records:,} of {number_of(len(table.ids), 'record')}"
    )
    if written.held_back:
        terms = number_of(written.held_back, "term")
        console.note(f"{terms} left out: the cell is filled already, or holds one value only")
    if written.unplaced:
        terms = number_of(written.unplaced, "term")
        console.warn(f"{terms} left out, of facets without a column: see --profile")
    return written
