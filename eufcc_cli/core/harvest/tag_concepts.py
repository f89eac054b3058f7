"""AAT concepts for the tags of a root: candidates from Getty's services, accepted where there is no doubt."""

import asyncio
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from eufcc_cli.core.errors import DataError
from eufcc_cli.core.files import Root, csv_text, read_rows, write_text
from eufcc_cli.core.harvest.aat import AAT_URI, CONCEPT, RECONCILE_URL, SPARQL_URL, Node, Roots, aat_id
from eufcc_cli.core.harvest.concept_cache import Concepts
from eufcc_cli.core.http.client import Client
from eufcc_cli.core.http.json_api import POLITENESS, Api
from eufcc_cli.core.progress import SILENT, Progress
from eufcc_cli.core.taxonomy.hierarchy import Hierarchy, root_trees
from eufcc_cli.core.taxonomy.linked_data.concepts import add_uris, read_uris
from eufcc_cli.core.taxonomy.names import Names, names_of, write_names
from eufcc_cli.core.taxonomy.spelling import fold
from eufcc_cli.core.taxonomy.tables.annotations import FACETS

NO_CONCEPT = "-"
"""In the column `uri` of the review file: this tag has no concept, do not ask again."""
_COLUMNS = ["facet", "path", "tag", "names", "reason", "candidates", "uri"]
_QUALIFIER = re.compile(r"\s*\([^()]*\)$")
_MOST_SHOWN = 8


@dataclass(frozen=True)
class Doubt:
    """A tag that a person has to decide about, and the concepts that it may mean."""

    facet: str
    path: tuple[str, ...]
    names: tuple[str, ...]
    reason: str
    candidates: tuple[str, ...] = ()
    """AAT ids."""


@dataclass
class TagConcepts:
    """The concepts found for a root's tags: URIs that were known, newly accepted ones, and doubtful ones."""

    known: int = 0
    reviewed: int = 0
    accepted: int = 0
    without: int = 0
    doubts: list[Doubt] = field(default_factory=list)
    review: Path = Path()


def fetch_concepts(
    root: Root,
    facets: Sequence[str],
    *,
    languages: Sequence[str] = ("en", "es", "fr", "de", "nl"),
    roots: Path | None = None,
    reconcile_url: str = RECONCILE_URL,
    sparql_url: str = SPARQL_URL,
    progress: Progress = SILENT,
) -> TagConcepts:
    """Find the AAT concepts of a root's tags; answers are saved in data/concepts.sqlite.

    A concept is accepted where a name of the tag equals a label of exactly one concept below the facet's
    roots, and a name of the tag's parent equals a label of a concept above it. Everything else goes to
    labels/concepts-review.csv, whose column `uri` a person fills in before the next call. Writes
    labels/concepts.csv and labels/names.csv.
    """
    placing = Roots.read(roots)
    trees = {facet: tree for facet, tree in root_trees(root).items() if facet in facets}
    if not any(map(len, trees.values())):
        raise DataError(f"{root.labels}: no tags to find concepts for", hint="run `eufcc fetch` first")
    review = root.labels / "concepts-review.csv"
    rows = read_review(review)
    found = TagConcepts(review=review)
    for row in rows:
        if row["uri"] not in ("", NO_CONCEPT):
            add_uris(root.concepts, {row["facet"]: {row["tag"]: row["uri"]}})
            found.reviewed += 1
    without = {(row["facet"], row["tag"]) for row in rows if row["uri"] == NO_CONCEPT}
    found.without = len(without)
    uris = read_uris(root.concepts)
    found.known = sum(tag in uris.get(facet, {}) for facet, tree in trees.items() for tag in tree)
    found.known -= found.reviewed
    names = names_of(root, trees)
    open_tags = [
        (facet, tag)
        for facet, tree in trees.items()
        for tag in tree
        if tag not in uris.get(facet, {}) and (facet, tag) not in without
    ]
    with Concepts(root.data / "concepts.sqlite") as concepts:
        asked = {name for facet, tag in open_tags for name in _asked(names, facet, tag)}
        known_ids = {aat for tags in uris.values() for uri in tags.values() if (aat := aat_id(uri))}
        asyncio.run(_learn(concepts, asked, known_ids, reconcile_url, sparql_url, progress))
        accepted: dict[str, dict[str, str]] = {}
        for facet, tag in open_tags:
            judged = _judge(facet, trees[facet], tag, names, concepts, placing)
            if isinstance(judged, str):
                accepted.setdefault(facet, {})[tag] = AAT_URI + judged
            else:
                found.doubts.append(judged)
        found.accepted = sum(map(len, accepted.values()))
        if accepted:
            add_uris(root.concepts, accepted)
        kept = [
            row for row in rows if row["uri"] == NO_CONCEPT or (not row["uri"] and row["facet"] not in trees)
        ]
        _write_review(review, [*(_row(doubt, concepts.nodes) for doubt in found.doubts), *kept])
        _add_names(root, trees, read_uris(root.concepts), concepts, languages)
    return found


async def _learn(
    concepts: Concepts,
    names: Iterable[str],
    ids: Iterable[str],
    reconcile_url: str,
    sparql_url: str,
    progress: Progress,
) -> None:
    async with Client(POLITENESS) as client:
        names = set(names)
        service = Api(client, "Getty's reconciliation service")
        await concepts.learn_candidates(service, reconcile_url, names, progress)
        candidates = {aat for name in names for aat in concepts.candidates[name]}
        await concepts.learn_nodes(Api(client, "AAT"), sparql_url, candidates | set(ids), progress)


def _asked(names: Names, facet: str, tag: str) -> list[str]:
    """The names to ask for: the English one, else one of every language, else the tag."""
    if english := names.of(facet, tag, "en"):
        return [english]
    firsts = dict(reversed([*names.every(facet, tag)]))
    return list(dict.fromkeys(firsts.values())) or [tag]


def _judge(
    facet: str, tree: Hierarchy, tag: str, names: Names, concepts: Concepts, placing: Roots
) -> str | Doubt:
    """The AAT id of a tag, or why it is in doubt."""
    path = tree.path(tag)
    own = _folded(names, facet, tag)
    every = dict.fromkeys(aat for name in _asked(names, facet, tag) for aat in concepts.candidates[name])
    below = [aat for aat in every if _is_below(aat, facet, concepts.nodes, placing)]
    equal = [aat for aat in below if own & _labels(concepts.nodes[aat])]
    shown = tuple(name for _, name in names.every(facet, tag)) or (tag,)
    if not equal:
        reason = "no candidate has this name" if below else "AAT has no candidate in this facet"
        return Doubt(facet, path, shown, reason, tuple(below[:_MOST_SHOWN]))
    if len(equal) > 1:
        return Doubt(facet, path, shown, "several concepts have this name", tuple(equal))
    if len(path) > 1:
        parent = _folded(names, facet, path[-2])
        if not any(parent & _labels(concepts.nodes[aat]) for aat in _above(equal[0], concepts.nodes)):
            return Doubt(facet, path, shown, f"no broader concept is called {path[-2]}", tuple(equal))
    return equal[0]


def _folded(names: Names, facet: str, tag: str) -> set[str]:
    return {fold(name) for _, name in names.every(facet, tag)} or {fold(tag)}


def _labels(node: Node) -> set[str]:
    """The labels of a concept in all languages, without the qualifier in `bronze (metal)`, folded."""
    labels = (*node.labels.values(), *node.alternatives.values())
    return {fold(_QUALIFIER.sub("", label)) for texts in labels for label in texts}


def _is_below(aat: str, facet: str, nodes: Mapping[str, Node], placing: Roots) -> bool:
    placed = placing.place(aat, nodes, [facet])
    return nodes[aat].kind == CONCEPT and not isinstance(placed, str)


def _above(aat: str, nodes: Mapping[str, Node]) -> Iterator[str]:
    """The nodes above one, nearest first."""
    seen = {aat}
    node = nodes[aat].parent
    while node is not None and node in nodes and node not in seen:
        seen.add(node)
        yield node
        node = nodes[node].parent


def read_review(path: Path) -> list[dict[str, str]]:
    """The rows of the review file; DataError names a line whose uri is neither empty, a URI nor `-`."""
    rows = []
    for number, line in read_rows(path, ("facet", "tag", "uri")) if path.is_file() else ():
        row = {column: line.get(column, "").strip() for column in _COLUMNS}
        if row["uri"] not in ("", NO_CONCEPT) and not row["uri"].startswith(("http://", "https://")):
            raise DataError(
                f"{path}: line {number}: {row['uri']!r} is not a URI",
                hint=f"write {AAT_URI}…, or {NO_CONCEPT} for a tag without a concept",
            )
        rows.append(row)
    return rows


def _write_review(path: Path, rows: Iterable[Mapping[str, str]]) -> None:
    order = {facet: place for place, facet in enumerate(FACETS)}
    write_text(path, csv_text(_COLUMNS, sorted(rows, key=lambda row: order.get(row["facet"], 9))))


def _row(doubt: Doubt, nodes: Mapping[str, Node]) -> dict[str, str]:
    return {
        "facet": doubt.facet,
        "path": " | ".join(doubt.path),
        "tag": doubt.path[-1],
        "names": ", ".join(dict.fromkeys(doubt.names)),
        "reason": doubt.reason,
        "candidates": "\n".join(_described(aat, nodes) for aat in doubt.candidates),
        "uri": "",
    }


def _described(aat: str, nodes: Mapping[str, Node]) -> str:
    """`http://… bronze (metal) < copper alloy < metal`."""
    chain = [aat, *_above(aat, nodes)]
    labels = [_label(nodes[node]) for node in chain if nodes[node].kind == CONCEPT]
    return f"{AAT_URI}{aat} {' < '.join(labels[:4])}"


def _label(node: Node) -> str:
    english = [texts[0] for language, texts in node.labels.items() if language.startswith("en")]
    return next(iter(english), "") or next((texts[0] for texts in node.labels.values()), "?")


def _add_names(
    root: Root,
    trees: Mapping[str, Hierarchy],
    uris: Mapping[str, Mapping[str, str]],
    concepts: Concepts,
    languages: Sequence[str],
) -> None:
    """Add AAT's preferred labels behind the names that the tags have, and write labels/names.csv."""
    names = names_of(root, trees)
    for facet, found in uris.items():
        for tag, uri in found.items():
            node = concepts.nodes.get(aat_id(uri) or "", Node())
            for language in languages:
                for name in node.labels.get(language, ()):
                    names.add(facet, tag, language, _QUALIFIER.sub("", name))
    write_names(root.names, names)
