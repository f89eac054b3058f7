"""Possible mistakes in tables and trees: ambiguous and near-duplicate tags, leakage between splits.

Every check is a function that yields findings; `lint` runs them all.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from eufcc_cli.core.errors import first_of
from eufcc_cli.core.taxonomy.hierarchy import Hierarchy
from eufcc_cli.core.taxonomy.matching.flagged_terms import FlaggedTerms
from eufcc_cli.core.taxonomy.names import Names
from eufcc_cli.core.taxonomy.spelling import fold, singulars
from eufcc_cli.core.taxonomy.tables.annotations import (
    DATABASE,
    FACET_COLUMNS,
    ID,
    IMAGE_URL,
    PROVIDER,
    RECORD,
    facet_column,
)
from eufcc_cli.core.taxonomy.tables.source import Places
from eufcc_cli.core.taxonomy.tables.table_checks import repeats, validate

# In the order in which they are shown, each with what it means.
KINDS = {
    "missing-id": "rows without an id",
    "duplicate-id": "ids that occur twice in a table",
    "shared-id": "ids in two tables: leakage between splits",
    "shared-url": "image URLs in two tables or under two ids: leakage",
    "same-picture": "one picture under several records: leakage, or a mistake",
    "bad-url": "image URLs that are not http(s)",
    "missing-url": "rows without an image URL",
    "empty-segment": "paths with an empty segment",
    "empty-tag": "annotations with an empty tag",
    "control-character": "cells with a control character",
    "stray-space": "annotations with stray spaces",
    "slash": "a / that looks like a separator",
    "list": "tags that look like lists of terms (`;`, `,`, `>`)",
    "facet-name": "columns that seem to hold a facet but do not have its name: they are not read",
    "ambiguous": "tags under several parents (the first one counts)",
    "cycle": "tags that are above and below each other",
    "repeated": "paths that name a tag twice",
    "near-duplicate": "names that differ in case, accents, spaces or plural",
    "two-facets": "tags that occur in two facets",
    "singleton": "tags that one image has",
    "outside-labels": "tags outside the label files",
    "contentious": "tags that contain a term of a list of contentious terms",
    "inner": "annotations that stop at an inner node",
}
TOP = "(top level)"
_KNOWN_COLUMNS = frozenset((*FACET_COLUMNS, ID, IMAGE_URL, PROVIDER, DATABASE, RECORD, "title"))
_SHOWN = 10  # ids and places of one image address; there may be thousands


@dataclass(frozen=True)
class Finding:
    """One finding, about `facet` and `tags`, or about a place: `file`, `place` and `column`."""

    kind: str
    message: str
    facet: str | None = None
    tags: tuple[str, ...] = ()
    file: str | None = None
    place: str | None = None
    column: str | None = None

    def __str__(self) -> str:
        about = self.facet if self.file is None else f"{self.file}, {self.place}, {self.column}"
        return f"{about}: {self.message}" if about else self.message


def lint(
    tables: Mapping[Path, pd.DataFrame],
    trees: Mapping[str, Hierarchy],
    labels: Mapping[str, Hierarchy],
    *,
    digests: Mapping[str, str] | None = None,
    facet_of: Callable[[str], str | None] = lambda name: None,
    flagged: FlaggedTerms | None = None,
    names: Names = Names(),
) -> list[Finding]:
    """All findings in tables (read with `need_ids=False`) and their trees, compared with the label files.

    They are sorted in the order of `KINDS`. Findings about tables are those of `validate`, and images that
    are in two tables or have two ids. `digests`: {id: SHA-256 of the image file}; `facet_of` gives the facet
    that a column name stands for; `flagged` terms are searched in tags and in their `names`.
    """
    findings = [
        Finding(at.kind, at.message, file=str(at.path), place=at.place, column=at.column)
        for at in validate(tables)
    ]
    findings += _shared_urls(tables)
    findings += _same_pictures(tables, digests or {})
    findings += _facet_names(tables, facet_of)
    findings += _two_facets(trees)
    for facet, tree in trees.items():
        findings += [
            *_lists(tree),
            *_ambiguous(tree),
            *_repeated(tree),
            *_near_duplicates(tree),
            *_singletons(tree),
            *_inner(tree),
        ]
        if flagged is not None:
            findings += _contentious(tree, flagged, names)
        if facet in labels:
            findings += _outside(tree, labels[facet])
    order = list(KINDS)
    return sorted(findings, key=lambda finding: order.index(finding.kind))


def _shared_urls(tables: Mapping[Path, pd.DataFrame]) -> Iterator[Finding]:
    place = Places()
    ids = {path: table[ID].tolist() for path, table in tables.items()}
    for rows, url in repeats(tables, IMAGE_URL):
        having = list(dict.fromkeys(ids[path][row] for path, row in rows))
        where = first_of(rows, _SHOWN, lambda at: f"{at[0]}, {place(*at)}", "; ")
        yield Finding("shared-url", f"{url} is the image of {first_of(having, _SHOWN)} ({where})")


def _same_pictures(tables: Mapping[Path, pd.DataFrame], digests: Mapping[str, str]) -> Iterator[Finding]:
    having: dict[str, dict[str, None]] = defaultdict(dict)
    for table in tables.values():
        records = table[RECORD] if RECORD in table else table[ID]
        for image, record in zip(table[ID], records, strict=True):
            if digest := digests.get(image):
                having[digest][record] = None
    for several in having.values():
        if len(several) > 1:
            shown = list(several)
            yield Finding("same-picture", f"{first_of(shown, _SHOWN)} have the same picture")


def _facet_names(
    tables: Mapping[Path, pd.DataFrame], facet_of: Callable[[str], str | None]
) -> Iterator[Finding]:
    for path, table in tables.items():
        for column in table:
            facet = facet_of(str(column)) if column not in _KNOWN_COLUMNS else None
            if facet:
                message = f"column {column} looks like {facet}, whose column is {facet_column(facet)}"
                yield Finding("facet-name", message, file=str(path), place="header", column=str(column))


def _lists(tree: Hierarchy) -> Iterator[Finding]:
    for name in tree:
        parts = [part.strip() for part in name.split(",")]
        of_tags = len(parts) > 1 and any(part in tree for part in parts)
        if ";" in name or ">" in name or of_tags or len(parts) > 2:
            yield Finding("list", f"{name} ({tree.counts.named[name]})", tree.facet, (name,))


def _ambiguous(tree: Hierarchy) -> Iterator[Finding]:
    for name in tree:
        parents = tree.counts.parents.get(name, Counter())
        if len(parents) > 1:
            shown = ", ".join(f"{parent or TOP} ({times})" for parent, times in parents.items())
            yield Finding("ambiguous", f"{name}: {shown}", tree.facet, (name,))
        below = set(tree.descendants(name)) if len(parents) > 1 else ()
        for parent in parents:
            if parent in below:
                message = f"{name} is above {parent} and, in other annotations, below it"
                yield Finding("cycle", message, tree.facet, (name, str(parent)))


def _repeated(tree: Hierarchy) -> Iterator[Finding]:
    for path, times in tree.counts.repeated.items():
        name = Counter(path).most_common(1)[0][0]
        yield Finding("repeated", f"{' | '.join(path)} ({times})", tree.facet, (name,))


def _near_duplicates(tree: Hierarchy) -> Iterator[Finding]:
    written: dict[str, list[str]] = defaultdict(list)
    for name in tree:
        written[fold(name)].append(name)
    alike = [names for names in written.values() if len(names) > 1]
    for key, names in written.items():
        singular = {form for form in singulars(names[0]) if form != key and form in written}
        alike += [[*written[form], *names] for form in sorted(singular)]
    for names in alike:
        shown = ", ".join(f"{name} ({tree.counts.named[name]})" for name in names)
        yield Finding("near-duplicate", shown, tree.facet, tuple(names))


def _two_facets(trees: Mapping[str, Hierarchy]) -> Iterator[Finding]:
    facets: dict[str, list[str]] = defaultdict(list)
    for facet, tree in trees.items():
        for name in tree:
            facets[name].append(facet)
    for name, having in facets.items():
        if len(having) > 1:
            shown = ", ".join(f"{facet} ({trees[facet].counts.named[name]})" for facet in having)
            yield Finding("two-facets", f"{name}: {shown}", None, (name,))


def _singletons(tree: Hierarchy) -> Iterator[Finding]:
    for name in tree:
        if tree.counts.named[name] == 1:
            yield Finding("singleton", " | ".join(tree.path(name)), tree.facet, (name,))


def _outside(tree: Hierarchy, labels: Hierarchy) -> Iterator[Finding]:
    for name in tree:
        if name not in labels:
            shown = f"{' | '.join(tree.path(name))} ({tree.counts.named[name]})"
            yield Finding("outside-labels", shown, tree.facet, (name,))


def _contentious(tree: Hierarchy, flagged: FlaggedTerms, names: Names) -> Iterator[Finding]:
    for tag in tree:
        for flag in flagged.of_tag(names, tree.facet, tag):
            by = "" if flag.name == tag else f", by its name {flag.name}"
            note = f": {flag.note}" if flag.note else ""
            message = f"{tag} ({tree.counts.named[tag]}){by}: {flag.term}{note}"
            yield Finding("contentious", message, tree.facet, (tag,))


def _inner(tree: Hierarchy) -> Iterator[Finding]:
    ends = tree.counts.ends
    inner = {name: times for name, times in ends.items() if tree.children(name)}
    if inner:
        stop, all_paths = sum(inner.values()), ends.total()
        message = f"{stop:,} of {all_paths:,} paths ({stop / all_paths:.1%}) stop at {len(inner)} inner nodes"
        yield Finding("inner", message, tree.facet, tuple(inner))
