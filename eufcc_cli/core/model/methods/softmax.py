"""softmax: one softmax over a facet's tags; and what all methods share that normalise inside groups."""

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from eufcc_cli.core.model.methods.method import Method, full_precision, register_method

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

    from eufcc_cli.core.taxonomy.vocabulary import FacetVocabulary


class Grouped(Method):
    """Softmax inside groups of outputs; the target inside a group is uniform over its true outputs.

    Groups without a true output give no loss. For the target shared between several true tags: Mahajan et
    al. 2018, section 2.
    """

    group: "Tensor"
    """int [outputs]: the number of each output's group."""
    groups: int

    @abstractmethod
    def groups_of(self, vocabulary: "FacetVocabulary") -> "np.ndarray":
        """int [outputs]: the number of each output's group, from 0; those of the tags come first."""

    def prepare(self, vocabulary: "FacetVocabulary", tag_counts: "np.ndarray | None") -> None:
        import torch

        group = self.groups_of(vocabulary)
        self.outputs, self.groups = len(group), int(group.max()) + 1
        self.group = torch.from_numpy(group)

    def true_outputs(self, truth: "Tensor") -> "Tensor":
        """Which outputs bool [outputs, B] are true, from the true tags bool [n, B]."""
        return truth

    def log_probabilities(self, z: "Tensor") -> "Tensor":
        """The log-softmax of z [outputs, B] inside each group."""
        if self.groups == 1:  # one pass over memory instead of several
            return z.T.log_softmax(1).T
        size = (self.groups, z.shape[1])
        where = self.group[:, None].expand_as(z)
        # The largest logit of a group cancels out, so that no gradient has to go through it.
        largest = z.new_zeros(size).scatter_reduce(0, where, z.detach(), "amax", include_self=False)
        z = z - largest.index_select(0, self.group)
        total = z.new_zeros(size).index_add(0, self.group, z.exp())
        return z - total.log().index_select(0, self.group)

    def targets(self, truth: "Tensor", dtype: "torch.dtype") -> "Tensor":
        """What each output [outputs, B] has to be: true outputs share their group, groups share 1."""
        true = self.true_outputs(truth).to(dtype)
        if self.groups == 1:
            return true / true.sum(0).clamp_min(1)
        in_group = true.new_zeros(self.groups, true.shape[1]).index_add(0, self.group, true)
        groups = (in_group > 0).sum(0).clamp_min(1)
        return true * (in_group * groups).clamp_min(1).reciprocal().index_select(0, self.group)

    def loss(self, logits: "Tensor", truth: "Tensor", known: "Tensor | None" = None) -> "Tensor":
        z = self.columns(full_precision(logits))
        return -(self.targets(self.columns(truth), z.dtype) * self.log_probabilities(z)).sum(0)

    def log_scores(self, logits: "Tensor") -> "Tensor":
        return self.log_probabilities(self.columns(logits.float())).T

    def columns(self, table: "Tensor") -> "Tensor":
        """[B, n] as [n, B], laid out so that groups, which are sums of its rows, are computed fast."""
        return table.T if self.groups == 1 else table.T.contiguous()

    def prior_bias(self, counts: "np.ndarray", images: int) -> "Tensor":
        import numpy as np
        import torch

        return torch.from_numpy(np.log(counts + 0.5)).float()


@register_method("softmax")
class Softmax(Grouped):
    """One softmax over all tags of the facet."""

    paper: ClassVar = "Softmax"

    def groups_of(self, vocabulary: "FacetVocabulary") -> "np.ndarray":
        import numpy as np

        return np.zeros(len(vocabulary), np.int64)
