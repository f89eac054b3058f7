"""Trees for other programs: JSON and Graphviz (for SKOS see skos.py)."""

from collections.abc import Callable
from typing import Any

from anytree.exporter import DotExporter

from eufcc_cli.core.taxonomy.hierarchy import Hierarchy, Tag


def other_parents(tree: Hierarchy, name: str) -> list[str | None]:
    """The other parents of a tag in annotations, besides its parent in the tree; None: the top level."""
    return [parent for parent in tree.counts.parents.get(name, ()) if parent != tree.parent(name)]


def share(tree: Hierarchy, name: str) -> float:
    """The share of the facet's annotated rows that have the tag or a descendant."""
    return tree.counts.images[name] / max(tree.counts.annotated, 1)


def to_json(tree: Hierarchy, shown: Callable[[str], str] | None = None) -> dict[str, Any]:
    """A tree as nested dictionaries; the counts are there when the tree has annotations, and with `shown`,
    which gives a tag's name, the names.

    >>> to_json(Hierarchy.from_annotations("subjects", {"portrait | self-portrait": 2, "nude": 2}))["tags"][0]
    {'tag': 'portrait', 'images': 2, 'share': 0.5, 'named': 2,
     'children': [{'tag': 'self-portrait', 'images': 2, 'share': 0.5, 'named': 2}]}
    """

    def entry(tag: Tag) -> dict[str, Any]:
        name = tag.name
        content: dict[str, Any] = {"tag": name}
        if shown:
            content["name"] = shown(name)
        if tree.annotations:
            content |= {
                "images": tree.counts.images[name],
                "share": round(share(tree, name), 6),
                "named": tree.counts.named[name],
            }
        if others := other_parents(tree, name):
            content["other_parents"] = others
        if tag.children:
            content["children"] = [entry(child) for child in tag.children]
        return content

    return {
        "facet": tree.facet,
        "size": len(tree),
        "annotated": tree.counts.annotated,
        "tags": [entry(tag) for tag in tree.root.children],
    }


def to_dot(tree: Hierarchy, *, counts: bool = False, shown: Callable[[str], str] = str) -> str:
    """A tree as a Graphviz digraph; `shown` gives the name of a tag. Other parents are dashed edges."""

    def key(name: str) -> str:
        return f"{tree.facet}:{name}"

    def label(tag: Tag) -> str:
        name, number = (
            (tree.facet, tree.counts.annotated)
            if tag.is_root
            else (shown(tag.name), tree.counts.images[tag.name])
        )
        return f'label="{DotExporter.esc(f"{name} ({number:,})" if counts else name)}"'

    *lines, end = DotExporter(
        tree.root,
        name=tree.facet,
        options=["rankdir=LR;", "node [shape=box, style=rounded];"],
        nodenamefunc=lambda tag: tree.facet if tag.is_root else key(tag.name),
        nodeattrfunc=label,
    )
    dashed = (
        f'    "{DotExporter.esc(key(parent))}" -> "{DotExporter.esc(key(name))}" [style=dashed];'
        for name in tree
        for parent in other_parents(tree, name)
        if parent is not None and parent != name and parent in tree
    )
    return "\n".join([*lines, *dashed, end])
