"""How `eufcc trees` prints: for a person on a terminal, plain and complete in a pipe."""

import dataclasses
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from rich.text import Text
from rich.tree import Tree

from eufcc_cli import console
from eufcc_cli.core.errors import number_of
from eufcc_cli.core.files import visible

if TYPE_CHECKING:
    from eufcc_cli.core.taxonomy.hierarchy import Hierarchy, Tag
    from eufcc_cli.core.taxonomy.lint import Finding
    from eufcc_cli.core.taxonomy.search import Place
    from eufcc_cli.core.taxonomy.statistics import Statistics

    Trees = Mapping[str, Hierarchy]
    Shown = Callable[[str], str]

_SHOWN = 10  # findings of a kind that a terminal shows; a pipe gets all of them
_TOP = "(top level)"


def as_json(content: Any) -> None:
    """Print one JSON document."""
    console.line(json.dumps(content, ensure_ascii=False, indent=2))


def draw(trees: "Trees", shown: "Mapping[str, Shown]", *, counts: bool) -> None:
    """Draw trees: coloured on a terminal, in a pipe as in the label files; several are named.

    `shown` gives for each facet what a tag is called.
    """
    for i, (facet, tree) in enumerate(trees.items()):
        if i:
            console.line()
        if console.on_terminal():
            console.out.print(_coloured(tree, shown[facet], counts=counts))
            continue
        if len(trees) > 1:
            console.line(facet)
        console.line(tree.render(_label(tree, shown[facet], counts=counts)))


def _label(tree: "Hierarchy", shown: "Shown", *, counts: bool) -> "Shown":
    return (lambda tag: f"{shown(tag)}  {_counted(tree, tag)}") if counts else shown


def _counted(tree: "Hierarchy", name: str) -> str:
    images = tree.counts.images[name]
    return f"{images:,} ({images / max(tree.counts.annotated, 1):.1%})"


def _coloured(tree: "Hierarchy", shown: "Shown", *, counts: bool) -> Tree:
    about = f"  {number_of(len(tree), 'tag')}"
    about += f", {number_of(tree.counts.annotated, 'image')} annotated" if counts else ""
    drawn = Tree(Text.assemble((tree.facet, "bold cyan"), (about, "dim")), guide_style="dim")

    def grow(branch: Tree, tags: Sequence["Tag"]) -> None:
        for tag in tags:
            label = Text(shown(tag.name), style="bold" if tag.depth == 1 else "")
            if counts:
                label.append(f"  {_counted(tree, tag.name)}", "dim")
            grow(branch.add(label), tag.children)

    grow(drawn, tree.root.children)
    return drawn


def print_places(places: Sequence["Place"], *, as_document: bool) -> None:
    """Print where tags stand, a row each, or as one JSON document."""
    if as_document:
        as_json([dataclasses.asdict(place) for place in places])
        return
    console.table(
        ["facet", "path", "images", "children", "also under"],
        [
            (
                place.facet,
                " | ".join(place.path),
                f"{place.images:,}",
                place.children,
                ", ".join(parent or _TOP for parent in place.other_parents),
            )
            for place in places
        ],
        numeric=["images", "children"],
    )


def print_findings(findings: Sequence["Finding"], kinds: Mapping[str, str], *, as_document: bool) -> None:
    """Print findings kind by kind, then how many there are of each; as one JSON document if asked."""
    counts = Counter(finding.kind for finding in findings)
    if as_document:
        listed = [
            {name: value for name, value in dataclasses.asdict(finding).items() if value}
            for finding in findings
        ]
        as_json({"summary": {kind: counts[kind] for kind in kinds}, "findings": listed})
        return
    for kind, found in groupby(findings, key=lambda finding: finding.kind):
        lines = list(map(str, found))
        shown = lines[:_SHOWN] if console.on_terminal() else lines
        console.line(f"{kind}: {kinds[kind]}")
        for text in shown:
            console.line(f"  {text}")
        if len(shown) < len(lines):
            console.line(f"  … and {len(lines) - len(shown):,} more (--format json lists all)")
        console.line()
    if not findings:
        console.line("Nothing found")
        return
    console.table(
        ["found", "kind", "what"],
        [(f"{counts[kind]:,}", kind, what) for kind, what in kinds.items() if counts[kind]],
        title=number_of(len(findings), "finding"),
        numeric=["found"],
    )


def print_statistics(statistics: "Statistics", *, as_document: bool) -> None:
    """Print a collection in numbers, as a table or as one JSON document."""
    if as_document:
        as_json(
            {
                "images": statistics.total,
                "tables": statistics.images,
                "providers": dict(statistics.providers.most_common()),
                "facets": {
                    facet: {
                        "annotated": numbers.annotated,
                        "coverage": round(statistics.coverage(facet), 6),
                        "tags": len(numbers.images_per_tag),
                        "tags_per_image": {"mean": round(numbers.mean, 6), "max": numbers.most},
                        "tags_per_image_histogram": numbers.tags_per_image,
                        "tags_per_depth": numbers.tags_per_depth,
                    }
                    for facet, numbers in statistics.facets.items()
                },
            }
        )
        return
    tables = ", ".join(f"{visible(name)} {images:,}" for name, images in statistics.images.items())
    console.line(f"{number_of(statistics.total, 'image')} ({tables})")
    most = statistics.providers.most_common(3)
    largest = ", ".join(f"{visible(name)} {images:,}" for name, images in most)
    console.line(
        number_of(len(statistics.providers), "provider") + (f" (largest: {largest})" if largest else "")
    )
    console.line()
    console.table(
        ["facet", "annotated", "coverage", "tags per image", "at most", "tags", "tags per depth"],
        [
            (
                facet,
                f"{numbers.annotated:,}",
                f"{statistics.coverage(facet):.1%}",
                f"{numbers.mean:.2f}",
                numbers.most,
                f"{len(numbers.images_per_tag):,}",
                " ".join(f"{tags:,}" for tags in numbers.tags_per_depth),
            )
            for facet, numbers in statistics.facets.items()
        ],
        numeric=["annotated", "coverage", "tags per image", "at most", "tags"],
    )
