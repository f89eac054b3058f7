"""The tree of a facet's tags as index arrays: what a method computes along it, for a whole batch at once."""

import numpy as np
import torch
from torch import Tensor, nn

from eufcc_cli.core.taxonomy.vocabulary import FacetVocabulary


class Tree(nn.Module):
    """Sums and maxima along a facet's tree; every array is laid out tags x batch."""

    above: Tensor
    below: Tensor
    by_depth: Tensor
    parents: Tensor
    place: Tensor

    def __init__(self, vocabulary: FacetVocabulary) -> None:
        super().__init__()
        self.tags = len(vocabulary)
        ancestors = vocabulary.ancestors
        # All pairs of a tag and one of its ancestors, itself included.
        below, column = np.nonzero(ancestors >= 0)
        # The tags in the order of their depths, and where among the tags one depth higher each parent is.
        depths = vocabulary.depths
        by_depth = np.argsort(depths, kind="stable")
        place = np.empty(self.tags, np.int64)
        place[by_depth] = np.arange(self.tags)
        self.sizes = np.bincount(depths)[1:].tolist()
        starts = np.cumsum([0, *self.sizes])
        parents = np.asarray(vocabulary.parents, np.int64)[by_depth]
        for depth, size in enumerate(self.sizes[1:], start=1):
            rows = slice(starts[depth], starts[depth] + size)
            parents[rows] = place[parents[rows]] - starts[depth - 1]
        for name, index in {
            "below": below,
            "above": ancestors[below, column],
            "by_depth": by_depth,
            "parents": parents,
            "place": place,
        }.items():
            self.register_buffer(name, torch.from_numpy(index), persistent=False)

    def closed(self, truth: Tensor) -> Tensor:
        """The true tags bool [n, B] and all their ancestors."""
        true = truth.float()
        return torch.zeros_like(true).index_add(0, self.above, true.index_select(0, self.below)) > 0

    def below_the_last(self, truth: Tensor) -> Tensor:
        """The tags bool [n, B] below those where an annotation ends, from the true tags bool [n, B]."""
        closed = self.closed(truth)
        true = closed.float()
        within = torch.zeros_like(true).index_add(0, self.above, true.index_select(0, self.below))
        ends = closed & (within == 1)  # none of its descendants is true
        return (self.sum_above(ends.float()) > 0) & ~closed

    def sum_above(self, x: Tensor) -> Tensor:
        """The sum of x [n, B] over each tag and its ancestors."""
        return torch.zeros_like(x).index_add(0, self.below, x.index_select(0, self.above))

    def largest_below(self, x: Tensor, true: Tensor | None = None) -> Tensor:
        """The maximum of x [n, B] over each tag and its descendants, depth by depth from the deepest.

        With true tags bool [n, B] (and all their ancestors): for a true tag over its true descendants only.
        """
        levels = list(x.index_select(0, self.by_depth).split(self.sizes))
        parents = self.parents.split(self.sizes)
        marks = None if true is None else true.index_select(0, self.by_depth).split(self.sizes)
        for depth in range(len(levels) - 1, 0, -1):
            below = levels[depth]
            if marks is not None:
                kept = marks[depth] | ~marks[depth - 1].index_select(0, parents[depth])
                below = torch.where(kept, below, -torch.inf)
            where = parents[depth][:, None].expand_as(below)
            levels[depth - 1] = levels[depth - 1].scatter_reduce(0, where, below, "amax")
        return torch.cat(levels).index_select(0, self.place)
