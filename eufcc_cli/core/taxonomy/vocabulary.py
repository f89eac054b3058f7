"""The ordered tags of each facet (the columns of every score table), and tables encoded into targets."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from eufcc_cli.core.errors import DataError
from eufcc_cli.core.taxonomy.annotations import facet_column, paths
from eufcc_cli.core.taxonomy.hierarchy import Hierarchy


@dataclass(frozen=True)
class Targets:
    """Which tags of one facet each of N images has, as sparse rows (CSR).

    indptr: [N + 1] int64; indices: sorted tag numbers of row i at indptr[i]:indptr[i + 1];
    annotated: [N] bool, True where the row has at least one tag of the vocabulary (the others take no
    part in training or evaluation); unknown: tags outside the vocabulary, with the images that name them;
    size: the number n of tags in the vocabulary.
    """

    indptr: np.ndarray
    indices: np.ndarray
    annotated: np.ndarray
    unknown: Counter[str]
    size: int

    def __len__(self) -> int:
        return len(self.annotated)

    def row(self, i: int) -> np.ndarray:
        """The tag numbers of row i, sorted."""
        return self.indices[self.indptr[i] : self.indptr[i + 1]]

    def dense(self, rows: np.ndarray | slice) -> np.ndarray:
        """[B, n] bool: the targets of some rows (numbers or a slice), side by side."""
        rows = np.arange(len(self))[rows]
        out = np.zeros((len(rows), self.size), dtype=bool)
        lengths, flat = _gather(self.indptr, self.indices, rows)
        out[np.repeat(np.arange(len(rows)), lengths), flat] = True
        return out

    def closed(self, vocabulary: "FacetVocabulary") -> "Targets":
        """The same targets closed under ancestors: who has a tag has all that stand above it."""
        lengths = np.diff(self.indptr)
        above = vocabulary.ancestors[self.indices]
        rows = np.repeat(np.arange(len(self)), lengths)
        keys = (rows[:, None] * self.size + above)[above >= 0]
        keys = np.unique(keys)
        rows, indices = np.divmod(keys, max(self.size, 1))
        indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(self)))])
        return Targets(indptr, indices, self.annotated, self.unknown, self.size)


def _gather(indptr: np.ndarray, indices: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lengths and concatenated content of some rows of a CSR structure."""
    lengths = indptr[rows + 1] - indptr[rows]
    ends = np.cumsum(lengths)
    starts = np.repeat(indptr[rows] - (ends - lengths), lengths)
    return lengths, indices[starts + np.arange(ends[-1] if len(ends) else 0)]


@dataclass(frozen=True)
class FacetVocabulary:
    """The n ordered tags of a facet; `parents[i]` is the number of tag i's parent, -1 at the top."""

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
            chains.append([i, *(chains[parent] if parent >= 0 else [])])
        out = np.full((len(chains), max(map(len, chains), default=0)), -1, dtype=np.int64)
        for i, chain in enumerate(chains):
            out[i, : len(chain)] = chain
        return out

    @cached_property
    def depths(self) -> np.ndarray:
        """[n] int64: the depth of each tag, 1 at the top."""
        return (self.ancestors >= 0).sum(axis=1)

    def path(self, i: int) -> tuple[str, ...]:
        """The names from the top down to tag i."""
        return tuple(self.tags[j] for j in reversed(self.ancestors[i][: self.depths[i]]))

    def encode(self, annotations: pd.Series) -> Targets:
        """Encode N annotations of this facet."""
        codes, texts = pd.factorize(annotations)
        rows_of = np.bincount(codes, minlength=len(texts))
        index, unknown = self.index, Counter[str]()
        known: list[list[int]] = []
        for text, rows in zip(texts, rows_of.tolist(), strict=True):
            names = {name for path in paths(text) for name in path}
            known.append(sorted(index[name] for name in names if name in index))
            for name in names:
                if name not in index:
                    unknown[name] += rows
        pointers = np.cumsum([0, *map(len, known)])
        flat = np.array([i for indices in known for i in indices], dtype=np.int64)
        lengths, indices = _gather(pointers, flat, codes)
        indptr = np.concatenate([[0], np.cumsum(lengths)])
        return Targets(indptr, indices, lengths > 0, unknown, len(self))


@dataclass(frozen=True)
class Vocabulary:
    """The facets of a model or a collection, in order, each with its ordered tags."""

    facets: dict[str, FacetVocabulary]

    @classmethod
    def from_trees(cls, trees: Mapping[str, Hierarchy]) -> "Vocabulary":
        """The tags of each tree in the order of its drawing; facets without tags are left out."""
        facets = {}
        for facet, tree in trees.items():
            if len(tree):
                number = {tag.name: i for i, tag in enumerate(tree)}
                parents = (-1 if (parent := tree.parent(name)) is None else number[parent] for name in number)
                facets[facet] = FacetVocabulary(tuple(number), tuple(parents))
        return cls(facets)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over facets, names, order and parents."""
        return hashlib.sha256(json.dumps(self._content(), ensure_ascii=True).encode()).hexdigest()

    def _content(self) -> dict[str, Any]:
        return {
            facet: {"tags": list(vocabulary.tags), "parents": list(vocabulary.parents)}
            for facet, vocabulary in self.facets.items()
        }

    def to_json(self) -> dict[str, Any]:
        """The vocabulary for a model's config.json."""
        return {"digest": self.digest, "facets": self._content()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Vocabulary":
        """The vocabulary of a model's config.json; raises DataError where it does not match its digest."""
        facets = {
            facet: FacetVocabulary(tuple(entry["tags"]), tuple(entry["parents"]))
            for facet, entry in content["facets"].items()
        }
        vocabulary = cls(facets)
        if vocabulary.digest != content["digest"]:
            raise DataError("the vocabulary does not match its digest")
        return vocabulary

    def subset(self, facets: Iterable[str]) -> "Vocabulary":
        """Only some facets, in the vocabulary's order."""
        wanted = set(facets)
        if missing := wanted - set(self.facets):
            raise DataError(f"facet {sorted(missing)[0]} is not in the vocabulary ({', '.join(self.facets)})")
        return Vocabulary({facet: v for facet, v in self.facets.items() if facet in wanted})

    def encode(self, frame: pd.DataFrame) -> dict[str, Targets]:
        """Encode a table of N rows: one Targets per facet; a facet without a column is unannotated."""
        empty = pd.Series([""] * len(frame), dtype="str")
        return {
            facet: vocabulary.encode(frame.get(facet_column(facet), empty))
            for facet, vocabulary in self.facets.items()
        }
