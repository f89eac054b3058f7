"""The ordered tags of each facet (the columns of every score table), and tables encoded into targets."""

import hashlib
import json
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from eufcc_cli.core.errors import DataError
from eufcc_cli.core.files import Root, visible
from eufcc_cli.core.taxonomy.hierarchy import Hierarchy, build_trees
from eufcc_cli.core.taxonomy.tables.annotations import FACETS, facet_column, factorize, names

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Targets:
    """Which of a facet's n tags each of N images has, as sparse rows (CSR).

    indptr: [N + 1] int64; indices: int64, the sorted tag numbers of row i at indptr[i]:indptr[i + 1];
    annotated: [N] bool, True where the row has at least one tag of the vocabulary (the others take no
    part in training or evaluation); unknown: names outside the vocabulary, with the rows that name them;
    size: n; rejected: where people decided about single tags, the tags that are known to be false of rows
    whose other tags are not known (`core.taxonomy.decided_targets`).
    """

    indptr: np.ndarray
    indices: np.ndarray
    annotated: np.ndarray
    unknown: Counter[str]
    size: int
    rejected: "Targets | None" = None

    def __len__(self) -> int:
        return len(self.annotated)

    def row(self, i: int) -> np.ndarray:
        """The tag numbers of row i, sorted."""
        return self.indices[self.indptr[i] : self.indptr[i + 1]]

    def dense(self, rows: np.ndarray | slice) -> np.ndarray:
        """[B, n] bool: the targets of B rows, given as numbers or as a slice."""
        rows = np.arange(len(self))[rows]
        lengths, flat = _gather(self.indptr, self.indices, rows)
        out = np.zeros((len(rows), self.size), dtype=bool)
        out[np.repeat(np.arange(len(rows)), lengths), flat] = True
        return out

    def known(self, rows: np.ndarray | slice) -> np.ndarray | None:
        """[B, n] bool: the tags of B rows of which it is known whether they are true.

        Of an annotated row all, of another none; None where no row has rejected tags, and so is decided
        tag by tag.
        """
        if self.rejected is None:
            return None
        true = self.dense(rows)
        whole = true.any(1) & ~self.rejected.annotated[rows]
        return true | self.rejected.dense(rows) | whole[:, None]

    def teaching(self, rejections: bool) -> np.ndarray:
        """bool [N]: the rows that a method learns from; rows with only rejected tags if `rejections`."""
        return self.annotated if rejections else np.diff(self.indptr) > 0

    def take(self, rows: np.ndarray) -> "Targets":
        """The targets of some rows, by their numbers."""
        lengths, indices = _gather(self.indptr, self.indices, rows)
        rejected = self.rejected and self.rejected.take(rows)
        return Targets(_indptr(lengths), indices, self.annotated[rows], self.unknown, self.size, rejected)

    def counts(self) -> np.ndarray:
        """[n] int64: the rows that have each tag."""
        return np.bincount(self.indices, minlength=self.size)

    def closed(self, vocabulary: "FacetVocabulary") -> "Targets":
        """The same targets closed under ancestors in the published tree, as the hierarchical methods need.

        A name whose published parent differs from the annotated one gets the published parent too.
        """
        rows = np.repeat(np.arange(len(self)), np.diff(self.indptr))
        above = vocabulary.ancestors[self.indices]  # each tag's own number too
        keys = np.unique((rows[:, None] * self.size + above)[above >= 0])
        rows, indices = np.divmod(keys, max(self.size, 1))
        indptr = _indptr(np.bincount(rows, minlength=len(self)))
        return Targets(indptr, indices, self.annotated, self.unknown, self.size, self.rejected)


def _indptr(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _gather(indptr: np.ndarray, indices: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lengths and the concatenated content of rows of a CSR structure."""
    lengths = indptr[rows + 1] - indptr[rows]
    begin = np.repeat(indptr[rows] - _indptr(lengths)[:-1], lengths)
    return lengths, indices[begin + np.arange(len(begin))]


@dataclass(frozen=True)
class FacetVocabulary:
    """The n ordered tags of a facet; `parents[i] < i` is the number of tag i's parent, -1 at the top.

    >>> metals = FacetVocabulary(("metal", "bronze", "paper"), (-1, 0, -1))
    >>> metals.path(1), metals.depths.tolist(), metals.ancestors.tolist()
    (('metal', 'bronze'), [1, 2, 1], [[0, -1], [1, 0], [2, -1]])
    """

    tags: tuple[str, ...]
    parents: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.tags)

    @cached_property
    def index(self) -> dict[str, int]:
        """The number of each tag."""
        return {tag: i for i, tag in enumerate(self.tags)}

    @cached_property
    def ancestors(self) -> np.ndarray:
        """[n, max_depth] int64: row i holds i, its parent, its grandparent, …, padded with -1."""
        chains: list[list[int]] = []
        for i, parent in enumerate(self.parents):
            chains.append([i, *(chains[parent] if parent >= 0 else ())])
        out = np.full((len(chains), max(map(len, chains), default=0)), -1, dtype=np.int64)
        for i, chain in enumerate(chains):
            out[i, : len(chain)] = chain
        return out

    @cached_property
    def depths(self) -> np.ndarray:
        """[n] int64: the depth of each tag, 1 at the top."""
        return (self.ancestors >= 0).sum(axis=1)

    def path(self, i: int) -> tuple[str, ...]:
        """The path of tag i: names from the top level to the tag."""
        return tuple(self.tags[j] for j in self.ancestors[i][::-1] if j >= 0)

    def encode(self, annotations: "pd.Series") -> Targets:
        """Encode N annotations of this facet; the work in Python grows with the distinct ones only."""
        return self.encode_distinct(*factorize(annotations))

    def encode_distinct(self, codes: np.ndarray, texts: Sequence[str]) -> Targets:
        """Encode N annotations, given as the number of each one's text ([N] int), and the distinct texts."""
        rows_of = np.bincount(codes, minlength=len(texts)).tolist()
        index, unknown = self.index, Counter[str]()
        known: list[list[int]] = []
        for text, rows in zip(texts, rows_of, strict=True):
            named = names(text)
            known.append(sorted(index[name] for name in named if name in index))
            if len(known[-1]) < len(named):
                unknown.update({name: rows for name in named if name not in index})
        flat = np.array([i for tags in known for i in tags], dtype=np.int64)
        lengths, indices = _gather(_indptr(np.array([len(tags) for tags in known], int)), flat, codes)
        return Targets(_indptr(lengths), indices, lengths > 0, unknown, len(self))


@dataclass(frozen=True)
class Vocabulary:
    """The facets of a model or a collection, in order, each with its ordered tags."""

    facets: dict[str, FacetVocabulary]

    @classmethod
    def from_trees(cls, trees: Mapping[str, Hierarchy]) -> "Vocabulary":
        """The tags of each tree in drawing order; facets without tags are left out.

        >>> tree = Hierarchy.from_annotations("materials", {"metal | bronze $ paper": 1, "metal | gold": 1})
        >>> Vocabulary.from_trees({"materials": tree}).facets["materials"]
        FacetVocabulary(tags=('metal', 'bronze', 'gold', 'paper'), parents=(-1, 0, 0, -1))
        """
        facets = {}
        for facet, tree in trees.items():
            number = {name: i for i, name in enumerate(tree)}
            above = (tree.parent(name) for name in number)
            parents = tuple(-1 if name is None else number[name] for name in above)
            if number:
                facets[facet] = FacetVocabulary(tuple(number), parents)
        return cls(facets)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the facets, names and parents in their order: it changes whenever one of them does."""
        return hashlib.sha256(json.dumps(list(self._content().items())).encode()).hexdigest()

    def _content(self) -> dict[str, Any]:
        return {
            facet: {"tags": list(vocabulary.tags), "parents": list(vocabulary.parents)}
            for facet, vocabulary in self.facets.items()
        }

    def to_json(self) -> dict[str, Any]:
        """The vocabulary as a model's config.json contains it."""
        return {"digest": self.digest, "facets": self._content()}

    @classmethod
    def from_json(cls, content: Any) -> "Vocabulary":
        """The vocabulary from a model's config.json; DataError if it is invalid or its digest differs."""
        try:
            facets = {facet: _checked(facet, entry) for facet, entry in content["facets"].items()}
            digest = content["digest"]
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise DataError(
                f"not a vocabulary: {error}", hint="the model's config.json is damaged"
            ) from error
        vocabulary = cls(facets)
        if vocabulary.digest != digest:
            raise DataError(
                "the vocabulary is not the one that its digest names",
                hint="config.json was changed after training; train again or restore it",
            )
        return vocabulary

    def subset(self, facets: Iterable[str]) -> "Vocabulary":
        """Only these facets, in the vocabulary's order; DataError for an unknown facet."""
        wanted = list(facets)
        for facet in wanted:
            if facet not in self.facets:
                raise DataError(
                    f"facet {facet!r} is not in the vocabulary", hint=f"it has {', '.join(self.facets)}"
                )
        return Vocabulary({facet: tags for facet, tags in self.facets.items() if facet in wanted})

    def encode(self, table: "pd.DataFrame") -> dict[str, Targets]:
        """Encode a table of N rows: one Targets per facet; a facet without a column is unannotated."""
        import pandas as pd

        nothing = pd.Series([""] * len(table), dtype="str")
        return {
            facet: vocabulary.encode(table.get(facet_column(facet), nothing))
            for facet, vocabulary in self.facets.items()
        }


def _checked(facet: str, entry: Mapping[str, Any]) -> FacetVocabulary:
    """A facet's vocabulary from JSON; ValueError where it cannot be one."""
    tags, parents = tuple(entry["tags"]), tuple(entry["parents"])
    if not (all(type(tag) is str and tag for tag in tags) and len(set(tags)) == len(tags) == len(parents)):
        raise ValueError(f"the tags of {facet} are not different names with a parent each")
    if any(visible(tag) != tag for tag in tags):
        raise ValueError(f"a tag of {facet} holds control characters")
    if not all(type(parent) is int and -1 <= parent < i for i, parent in enumerate(parents)):
        raise ValueError(f"the parents of {facet} do not all come before their children")
    return FacetVocabulary(tags, parents)


def training_vocabulary(root: Root, train: "pd.DataFrame", decided: Container[str] = ()) -> Vocabulary:
    """The tags a model learns: the root's label files, or the training annotations' own trees.

    Only facets that the training split annotates take part, and those of `decided` that have a label file.
    """
    annotated = [
        facet
        for facet in FACETS
        if (facet_column(facet) in train and (train[facet_column(facet)] != "").any())
        or (facet in decided and root.label_file(facet).is_file())
    ]
    if not annotated:
        raise DataError(
            f"{root.table('train')}: no facet is annotated", hint="there is nothing to learn from"
        )
    built = build_trees([train], annotated)
    trees = {
        facet: Hierarchy.read(root.label_file(facet), facet)
        if root.label_file(facet).is_file()
        else built[facet]
        for facet in annotated
    }
    return Vocabulary.from_trees(trees)
