"""How a harvest of Europeana is reported, whether by its APIs or from its dumps."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from eufcc_cli import console
from eufcc_cli.core.errors import number_of

if TYPE_CHECKING:
    from eufcc_cli.core.harvest.harvesting import Harvest

_MOST_LISTED = 20


def show_harvest(done: "Harvest", unmapped: Path | None = None, *, by_api: bool = False) -> None:
    """Print the table of facets, and the concepts that became no tag; `unmapped` is the file that lists them.

    by_api: name the options of `fetch europeana`.
    """
    rows = [
        [facet, f"{images:,}", f"{images / done.images:.0%}", f"{tags:,}"]
        for facet, (images, tags) in done.facets.items()
    ]
    console.line(f"{done.output}: {number_of(done.images, 'image')}, {done.untagged:,} without a tag")
    columns = ["facet", "images", "share", "tags"]
    console.table(columns, rows, numeric=columns[1:])
    if done.foreign_names:
        console.note(f"{done.foreign_names:,} tags have no label in the chosen language")
    if done.unmapped:
        console.note(
            f"{len(done.unmapped):,} concepts became no tag" + (f": see {unmapped}" if unmapped else "")
        )
        if unmapped is None:
            _list(
                (
                    f"  {each.value} {each.label} in {each.field}: {each.reason} "
                    f"({number_of(count, 'record')})"
                    for each, count in done.unmapped.most_common()
                ),
                "`unmapped=FILE` lists them all" if by_api else "",
            )
    if done.literals:
        console.note(f"{done.literals:,} words have no URI" + (" (see `match_labels`)" if by_api else ""))
    if done.failed:
        console.warn(f"{len(done.failed):,} records could not be fetched")
        _list((f"  {record}: {reason}" for record, reason in done.failed.items()), "")


def harvest_sentence(done: "Harvest") -> str:
    """What a harvest did, in one line."""
    failed = f"; {len(done.failed):,} could not be fetched" if done.failed else ""
    return (
        f"{number_of(done.images + len(done.failed), 'record')}: {done.images - done.untagged:,} with a tag, "
        f"{done.untagged:,} without{failed}"
    )


def _list(lines: Iterable[str], rest: str) -> None:
    """The first of many lines, and where the others are."""
    every = list(lines)
    for line in every[:_MOST_LISTED]:
        console.note(line)
    if len(every) > _MOST_LISTED:
        console.note(f"  … and {len(every) - _MOST_LISTED:,} more" + (f" ({rest})" if rest else ""))
