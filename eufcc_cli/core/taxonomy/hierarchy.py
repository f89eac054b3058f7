"""Annotations -> one tree of tags per facet: relations, counts, pruning, label files.

The published convention: a tag is its name. It stands once in the tree of its facet, under the first
parent met in reading order; every other parent is kept in `Counts.parents`. What follows from it:

>>> def drawn(*annotations):
...     print(Hierarchy.from_annotations("materials", dict.fromkeys(annotations, 1)).render())

A name under two parents stays under the first, and what is annotated below it comes there too:

>>> drawn("textile | silk", "animal material | silk | raw silk")
Root
├── textile
│   └── silk
│       └── raw silk
└── animal material

A name that is both at the top and nested stays where it was met first:

>>> drawn("bronze $ metal | bronze")
Root
├── bronze
└── metal
>>> drawn("metal | bronze", "bronze")
Root
└── metal
    └── bronze

A cycle breaks by itself, since a new tag is only ever placed under one that already stands:

>>> drawn("a | b", "b | a")
Root
└── a
    └── b

A name repeated on a path stands once; stray spaces do not count:

>>> drawn("hat | cap | cap", " hat |cap  | beret")
Root
└── hat
    └── cap
        └── beret
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from anytree import ContStyle, NodeMixin, PreOrderIter, RenderTree

from eufcc_cli.core.errors import DataError, did_you_mean
from eufcc_cli.core.files import Root, write_text
from eufcc_cli.core.taxonomy.tables.annotation_files import read_table
from eufcc_cli.core.taxonomy.tables.annotations import FACETS, canonical, distinct, paths
from eufcc_cli.core.taxonomy.tables.counts import Counts, count

if TYPE_CHECKING:
    import pandas as pd

ROOT = "Root"
# Far above any thesaurus; protects recursive functions on trees from hostile tables.
MAX_DEPTH = 100
_LINE = re.compile(r"(?P<indent>(?:│   |    )*)(?:├── |└── )(?P<name>.+)")


class Tag(NodeMixin):
    """A tag in its tree, an anytree node; the nameless root of the tree is called Root."""

    def __init__(self, name: str, parent: "Tag | None" = None) -> None:
        self.name = name
        self.parent = parent

    def __repr__(self) -> str:
        return f"Tag({self.name!r})"


class Hierarchy:
    """The tree of a facet's tags, with the distinct annotations that its counts come from.

    >>> tree = Hierarchy.from_annotations("materials", {"metal | bronze $ paper": 3, "art | bronze": 1})
    >>> tree.path("bronze"), tree.counts.images["metal"], dict(tree.counts.parents["bronze"])
    (('metal', 'bronze'), 4, {'metal': 3, 'art': 1})
    """

    def __init__(self, facet: str) -> None:
        self.facet = facet
        self.root = Tag(ROOT)
        self.annotations: Mapping[str, int] = {}
        self._tags: dict[str, Tag] = {}

    @classmethod
    def from_annotations(cls, facet: str, annotations: Mapping[str, int]) -> "Hierarchy":
        """Build the tree of distinct annotations (in reading order, with the number of rows of each).

        Raises DataError for a path of more than 100 levels.
        """
        tree = cls(facet)
        for path in dict.fromkeys(path for annotation in annotations for path in paths(annotation)):
            parent = None
            for name in path:
                if name not in tree._tags:
                    tree.add(name, parent)
                parent = name
        tree.annotations = annotations
        return tree

    def add(self, name: str, parent: str | None = None) -> Tag:
        """Place a new tag under a parent, None: at the top."""
        above = self.root if parent is None else self._tags[parent]
        if above.depth >= MAX_DEPTH:
            raise DataError(
                f"{self.facet}: {name!r} lies deeper than {MAX_DEPTH} levels",
                hint="remove separators `|` that are too many",
            )
        tag = self._tags[name] = Tag(name, above)
        return tag

    def __len__(self) -> int:
        return len(self._tags)

    def __iter__(self) -> Iterator[str]:
        """The names in the order of the drawing: every tag before its descendants."""
        return (tag.name for tag in PreOrderIter(self.root) if tag is not self.root)

    def __contains__(self, name: str) -> bool:
        return name in self._tags

    def __getitem__(self, name: str) -> Tag:
        """The tag of that name; DataError, with the nearest names, where there is none."""
        if name not in self._tags:
            raise DataError(f"{self.facet} has no tag {name!r}", did_you_mean(name, self._tags, None))
        return self._tags[name]

    def parent(self, name: str) -> str | None:
        """The parent of a tag in the tree, None at the top."""
        parent = self[name].parent
        return None if parent is None or parent is self.root else parent.name

    def path(self, name: str) -> tuple[str, ...]:
        """The names from the top down to the tag."""
        return tuple(tag.name for tag in self[name].path[1:])

    def depth(self, name: str) -> int:
        """The depth of a tag, 1 at the top."""
        return self[name].depth

    def ancestors(self, name: str) -> tuple[str, ...]:
        """The names above a tag, from the top down."""
        return self.path(name)[:-1]

    def children(self, name: str | None = None) -> tuple[str, ...]:
        """The names right below a tag, None: the tags at the top."""
        return tuple(tag.name for tag in (self.root if name is None else self[name]).children)

    def descendants(self, name: str) -> tuple[str, ...]:
        """The names below a tag, in the order of the drawing."""
        return tuple(tag.name for tag in self[name].descendants)

    def leaves(self, name: str | None = None) -> tuple[str, ...]:
        """The tags without children, of the whole tree or below (or at) a tag."""
        leaves = () if not self else (self.root if name is None else self[name]).leaves
        return tuple(tag.name for tag in leaves)

    def cut(self, depth: int) -> "Hierarchy":
        """The tree without what lies deeper than `depth`."""
        return self._only({name for name in self if self.depth(name) <= depth})

    def prune(self, minimum: int) -> tuple["Hierarchy", dict[str, int]]:
        """The tree without the tags that fewer than `minimum` rows name, and those tags with their rows.

        Children of a tag that goes come, in its place, to its nearest ancestor that stays.

        >>> rows = {"metal | alloy | bronze": 1, "metal | bronze": 5}
        >>> pruned, gone = Hierarchy.from_annotations("materials", rows).prune(2)
        >>> print(pruned.render(), gone)
        Root
        └── metal
            └── bronze {'alloy': 1}
        """
        named = self.counts.named
        gone = {name: named[name] for name in self if named[name] < minimum}
        return self._only({name for name in self if name not in gone}), gone

    def _only(self, kept: set[str]) -> "Hierarchy":
        """The kept tags, each under its nearest kept ancestor; counts stay those of the whole tree."""
        tree = Hierarchy(self.facet)
        tree.annotations = self.annotations
        tree.counts = self.counts
        for name in self:
            if name in kept:
                above = (ancestor for ancestor in reversed(self.ancestors(name)) if ancestor in kept)
                tree.add(name, next(above, None))
        return tree

    @cached_property
    def counts(self) -> Counts:
        """How often each tag occurs in `annotations`, counted when first asked for."""
        return count(self.annotations, {name: self.path(name) for name in self})

    @classmethod
    def read(cls, path: Path, facet: str) -> "Hierarchy":
        """Read a label file in the published format; DataError, naming file and line, where it is not."""
        if not path.is_file():
            raise DataError(f"{path}: no such file", hint="run `eufcc fetch` or `eufcc trees --write labels`")
        try:
            lines = path.read_text(encoding="utf-8-sig").split("\n")
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: not UTF-8 text", hint="save the label file in UTF-8") from error
        except OSError as error:
            raise DataError(f"{path}: cannot read: {error.strerror or error}") from error
        if lines[0].strip() != ROOT:
            raise DataError(f"{path}: line 1 is not {ROOT!r}", hint="labels/README.md describes the format")
        tree = cls(facet)
        branch: list[str] = []
        for number, line in enumerate(lines[1:], start=2):
            if not line.strip():
                continue
            match = _LINE.fullmatch(line)
            name = canonical(match["name"]) if match else ""
            depth = len(match["indent"]) // 4 if match else 0
            if not name:
                problem = f"{line.strip()!r} is not a line of a label tree"
            elif depth > len(branch):
                problem = f"{name!r} has no parent"
            elif name in tree:
                problem = f"{name!r} is already at {' | '.join(tree.path(name))}"
            else:
                problem = ""
            if problem:
                hint = "labels/README.md describes the format"
                raise DataError(f"{path}: line {number}: {problem}", hint=hint)
            tree.add(name, branch[depth - 1] if depth else None)
            branch[depth:] = [name]
        return tree

    def render(self, label: Callable[[str], str] = str) -> str:
        """The published drawing: anytree's RenderTree (ContStyle), without a newline at the end.

        `label` makes of a tag's name what is drawn for it.
        """
        first, *rows = RenderTree(self.root, style=ContStyle())
        return "\n".join([first.node.name, *(f"{row.pre}{label(row.node.name)}" for row in rows)])

    def write(self, path: Path) -> None:
        """Write the label file, whole or not at all."""
        write_text(path, self.render())


def build_trees(tables: Iterable["pd.DataFrame"], facets: Iterable[str] = FACETS) -> dict[str, Hierarchy]:
    """One tree per facet from annotation tables, their union in the order given."""
    return {
        facet: Hierarchy.from_annotations(facet, annotations)
        for facet, annotations in distinct(tables, facets).items()
    }


def read_trees(label_files: Iterable[Path]) -> dict[str, Hierarchy]:
    """One tree per label file FACET.txt, in the usual order of the facets; DataError for other names."""
    trees = {}
    for path in label_files:
        if path.stem not in FACETS:
            raise DataError(
                f"{path}: no facet is called {path.stem!r}",
                hint=f"a label file is called {', '.join(f'{facet}.txt' for facet in FACETS)}",
            )
        trees[path.stem] = Hierarchy.read(path, path.stem)
    return {facet: trees[facet] for facet in FACETS if facet in trees}


def root_trees(root: Root) -> dict[str, Hierarchy]:
    """The trees of a collection root: its label files, or those built from all its tables."""
    labelled = [root.label_file(facet) for facet in FACETS if root.label_file(facet).is_file()]
    return read_trees(labelled) or build_trees([read_table(root.table(split)) for split in root.splits()])
