"""How a museum separates the terms in a cell, and whether a cell ever holds more than one."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from eufcc_cli.core.dataset.museum.export_records import URIS, FacetCells, Records, split_cell
from eufcc_cli.core.dataset.museum.profile import SEPARATORS, Profile
from eufcc_cli.core.dataset.museum.readers.export import Export

_ENOUGH = 20  # filled cells before they show anything
_PUBLISHED = ("$",)  # in the published format `|` stands between the names of a path


def separators_of(facet: str, export: Export, profile: Profile, records: Records) -> tuple[str, ...]:
    """What separates the terms in a facet's cells."""
    if records.facets[facet].published:
        return _PUBLISHED
    given = profile.separators or SEPARATORS
    return tuple(dict.fromkeys((export.separator, *given))) if export.separator else given


def single_facets(export: Export, profile: Profile, records: Records) -> tuple[str, ...]:
    """The facets whose cells show that a record has one value."""
    return tuple(
        facet
        for facet, columns in profile.facets.items()
        if len(columns) == 1
        and is_single(_counted(records.facets[facet]), separators_of(facet, export, profile, records))
    )


def _counted(found: FacetCells) -> Counter[str]:
    """How often each cell of one column occurs."""
    counts: Counter[str] = Counter()
    for cell, times in zip(found.cells, np.bincount(found.codes).tolist(), strict=True):
        counts[cell.partition(URIS)[0]] += times
    return counts


def joint_of(cells: Iterable[str], separators: Sequence[str]) -> str:
    """What separates two terms in the cells of a column: the separator with its spaces.

    >>> joint_of(["gold; silver", "gold; wood; paper", "a|b", "wood ;"], (";", "|"))
    '; '
    >>> joint_of(["wood ;"], (";", "|"))
    '; '
    >>> joint_of(["gold"], ("$",))
    ' $ '
    """
    pattern = re.compile(rf"[^\S\n]*(?:{'|'.join(map(re.escape, separators))})\s*(?=\S)")
    found = Counter(joint for cell in cells for joint in pattern.findall(cell.strip()))
    if found:
        return found.most_common(1)[0][0]
    return f"{separators[0]} " if separators[0] in ";," else f" {separators[0]} "


def is_single(cells: Iterable[str] | Mapping[str, int], separators: Sequence[str]) -> bool:
    """True if a column holds one value per record: no cell has two, and the values repeat.

    cells: all of them, or how often each occurs.

    >>> is_single(["coin", "vase", "coin"] * 20, (";",)), is_single(["coin; vase"] * 50, (";",))
    (True, False)
    """
    distinct: set[str] = set()
    filled = 0
    for cell, times in Counter(cells).items():
        items = split_cell(cell, separators)
        if len(set(items)) > 1:
            return False
        filled += times * len(items)
        distinct.update(items)
    return filled >= _ENOUGH and 10 * len(distinct) <= filled
