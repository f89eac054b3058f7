"""Images grouped by their sets of tags: many images have the same set, and are counted together."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from scipy.sparse import csr_array, hstack, vstack

from eufcc_cli.core.taxonomy.hierarchy import Hierarchy
from eufcc_cli.core.taxonomy.vocabulary import Vocabulary

Cells = tuple[np.ndarray, list[str]]
"""The number of each image's annotation, and the distinct annotations."""


@dataclass(frozen=True)
class TagSets:
    """N images, or units of images that stay together, grouped by their tags.

    of: [N] int, the number of each unit's set; has: [sets, tags] int, how many images of a unit with this
    set have each tag; sizes: [sets] int, the images of a unit with this set.
    """

    of: np.ndarray
    has: csr_array
    sizes: np.ndarray

    @classmethod
    def of_annotations(cls, cells: Mapping[str, Cells], trees: Mapping[str, Hierarchy]) -> Self:
        """The sets of N images by their annotations, the tags of all facets side by side."""
        of = np.zeros(len(next(iter(cells.values()))[0]), dtype=np.int64)
        for codes, texts in cells.values():
            of = pd.factorize(of * len(texts) + codes)[0]
        first = _first_of_each(of)
        blocks = [csr_array((len(first), 0), dtype=np.int32)]
        for facet, vocabulary in Vocabulary.from_trees(trees).facets.items():
            codes, texts = cells[facet]
            targets = vocabulary.encode_distinct(np.arange(len(texts)), texts)
            ones = np.ones(len(targets.indices), dtype=np.int32)
            of_text = csr_array((ones, targets.indices, targets.indptr), shape=(len(texts), targets.size))
            blocks.append(of_text[codes[first]])
        return cls(of, hstack(blocks, format="csr"), np.ones(len(first), dtype=np.int64))

    @classmethod
    def of_rows(cls, of: np.ndarray, has: csr_array, sizes: np.ndarray) -> Self:
        """The units, with equal sets joined into one."""
        numbers = np.random.default_rng(0).integers(1, 2**62, has.shape[1] + 1, dtype=np.uint64)
        keys = sizes.astype(np.uint64) * numbers[-1]
        rows = np.repeat(np.arange(len(sizes)), np.diff(has.indptr))
        np.add.at(keys, rows, numbers[has.indices] * has.data.astype(np.uint64))
        merged, _ = pd.factorize(keys)
        first = _first_of_each(merged)
        return cls(merged[of], has[first], sizes[first])

    def images(self, rows: np.ndarray | slice = slice(None)) -> np.ndarray:
        """[tags] int: how many images, or those of some rows, have each tag."""
        return self.has.T @ np.bincount(self.of[rows], minlength=len(self.sizes))

    def having(self, tags: np.ndarray) -> np.ndarray:
        """[N] bool: the units with any of some tags ([tags] bool)."""
        return np.asarray(self.has @ tags.astype(np.int64) > 0)[self.of]

    def part(self, rows: np.ndarray | slice, tags: np.ndarray | slice = slice(None)) -> Self:
        """Only some rows, and some tags."""
        return type(self)(self.of[rows], self.has[:, tags].tocsr(), self.sizes)

    def sum(self, group: np.ndarray, groups: int) -> csr_array:
        """[groups, tags] int: how many images of each group have each tag."""
        ones = np.ones(len(group), dtype=np.int32)
        return csr_array((ones, (group, self.of)), shape=(groups, len(self.sizes))) @ self.has

    def units(self, unit: np.ndarray) -> Self:
        """The units that images belong to ([N] int, each number from 0 on)."""
        images = np.bincount(unit)
        together = np.flatnonzero(images > 1)
        number = np.full(len(images), -1)
        number[together] = np.arange(len(together))
        inside = np.flatnonzero(number[unit] >= 0)
        of = np.empty(len(images), dtype=np.int64)
        of[unit] = self.of
        of[together] = len(self.sizes) + np.arange(len(together))
        summed = self.part(inside).sum(number[unit[inside]], len(together))
        sizes = np.concatenate([self.sizes, images[together]])
        return self.of_rows(of, vstack([self.has, summed], format="csr"), sizes)


def _first_of_each(numbers: np.ndarray) -> np.ndarray:
    """[n] int: the first position of each number, from 0 on."""
    first = np.empty(int(numbers.max(initial=-1)) + 1, dtype=np.int64)
    first[numbers[::-1]] = np.arange(len(numbers))[::-1]
    return first
