"""Annotations -> one tree of tags per facet: counts, pruning, label files.

A tag is its name: it stands once in the tree of its facet, under the first parent met in reading order
(as in the published label files); every other parent is kept in `Tag.parents`.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pandas as pd
from anytree import ContStyle, NodeMixin, PreOrderIter, RenderTree

from eufcc_cli.core.errors import DataError
from eufcc_cli.core.files import write_text
from eufcc_cli.core.taxonomy.annotations import FACETS, distinct, paths

_LINE = re.compile(r"((?:│   |    )*)(?:├── |└── )(.+)")
ROOT = "Root"


class Tag(NodeMixin):
    """A tag in its tree.

    `images`: rows that hold the tag or a descendant; `tagged`: rows whose annotation names the tag;
    `parents`: every parent met with the number of rows, None for "at the top".
    """

    def __init__(self, name: str, parent: "Tag | None" = None) -> None:
        self.name = name
        self.images = 0
        self.tagged = 0
        self.parents: Counter[str | None] = Counter()
        self.parent = parent


class Hierarchy:
    """The tree of a facet's tags.

    >>> tree = Hierarchy.from_annotations("materials", {"metall | bronze $ paper": 3, "art | bronze": 1})
    >>> print(tree.render())
    Root
    ├── metall
    │   └── bronze
    ├── paper
    └── art
    """

    def __init__(self, facet: str) -> None:
        self.facet = facet
        self.root = Tag(ROOT)
        self.tags: dict[str, Tag] = {}

    @classmethod
    def from_annotations(cls, facet: str, annotations: Mapping[str, int]) -> "Hierarchy":
        """Build the tree of distinct annotations (in reading order, with the number of rows of each)."""
        tree = cls(facet)
        for annotation, rows in annotations.items():
            for path in paths(annotation):
                parent = None
                for name in path:
                    if name != parent:
                        tree.add(name, parent).parents[parent] += rows
                    parent = name
        return tree

    def add(self, name: str, parent: str | None = None) -> Tag:
        """The tag of that name, placed under `parent` (None: at the top) if it is new."""
        tag = self.tags.get(name)
        if tag is None:
            tag = self.tags[name] = Tag(name, self.root if parent is None else self.tags[parent])
        return tag

    def parent(self, name: str) -> str | None:
        """The name of the tag's parent, None at the top."""
        parent = self.tags[name].parent
        return None if parent is None or parent.is_root else parent.name

    def __len__(self) -> int:
        return len(self.tags)

    def __iter__(self) -> Iterator[Tag]:
        """All tags in the order of the drawing."""
        nodes = PreOrderIter(self.root)
        next(nodes)
        return nodes

    @classmethod
    def read(cls, path: Path, facet: str) -> "Hierarchy":
        """Read a label file in the published format."""
        if not path.is_file():
            raise DataError(f"{path}: no such file", hint="run `eufcc fetch` or `eufcc trees --write labels`")
        lines = path.read_text(encoding="utf-8-sig").split("\n")
        tree = cls(facet)
        branch: list[str] = []
        for number, line in enumerate(lines[1:], start=2):
            if not line:
                continue
            match = _LINE.fullmatch(line.rstrip("\r"))
            if not match:
                raise DataError(f"{path}: line {number} is not a line of a label tree")
            depth, name = len(match[1]) // 4, match[2]
            if depth > len(branch):
                raise DataError(f"{path}: line {number} has no parent")
            if name in tree.tags:
                raise DataError(f"{path}: line {number}: {name} stands there twice")
            tree.add(name, branch[depth - 1] if depth else None)
            branch[depth:] = [name]
        return tree

    def render(self) -> str:
        """The published drawing: anytree's RenderTree (ContStyle), without a newline at the end."""
        return "\n".join(f"{row.pre}{row.node.name}" for row in RenderTree(self.root, style=ContStyle()))

    def write(self, path: Path) -> None:
        """Write the label file."""
        write_text(path, self.render())


def build_trees(tables: Iterable[pd.DataFrame], facets: Iterable[str] = FACETS) -> dict[str, Hierarchy]:
    """One tree per facet from annotation tables, the union in the order given."""
    counts = distinct(tables, facets)
    return {facet: Hierarchy.from_annotations(facet, annotations) for facet, annotations in counts.items()}
