"""hsoftmax-nodes: a softmax for the children of each tag."""

from typing import TYPE_CHECKING, ClassVar

from eufcc_cli.core.model.methods.hsoftmax_levels import Hierarchical
from eufcc_cli.core.model.methods.method import register_method
from eufcc_cli.core.settings import setting

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from eufcc_cli.core.taxonomy.vocabulary import FacetVocabulary


@register_method("hsoftmax-nodes")
class HSoftmaxNodes(Hierarchical):
    """H-Softmax over nodes: one group for the children of each tag, and one for the top level.

    With `stop`, each group below the top has one more output, "none of these", true where the annotation
    ends at the parent: an only child then scores below its parent, and annotations that end at inner tags
    are learned. The stop outputs come after the tags', in the order of the inner tags.
    """

    paper: ClassVar = "H-Softmax (nodes)"
    stop: bool = setting(False, "Learn where annotations end, by one more output per inner tag.")

    def groups_of(self, vocabulary: "FacetVocabulary") -> "np.ndarray":
        import numpy as np

        parents = np.asarray(vocabulary.parents, np.int64)
        # Group 0 holds the top-level tags, group k the children of the k-th inner tag.
        inner = np.unique(parents[parents >= 0])
        group = np.where(parents < 0, 0, 1 + np.searchsorted(inner, parents))
        return np.append(group, 1 + np.arange(len(inner))) if self.stop else group

    def prepare(self, vocabulary: "FacetVocabulary", tag_counts: "np.ndarray | None") -> None:
        import torch

        super().prepare(vocabulary, tag_counts)
        inner = sorted({parent for parent in vocabulary.parents if parent >= 0})
        self.inner = torch.tensor(inner, dtype=torch.int64)

    def true_outputs(self, truth: "Tensor") -> "Tensor":
        import torch

        closed = super().true_outputs(truth)
        if not self.stop:
            return closed
        children = closed.new_zeros(self.groups, closed.shape[1], dtype=torch.float32)
        children = children.index_add(0, self.group[: self.tree.tags], closed.float())
        return torch.cat([closed, closed.index_select(0, self.inner) & (children[1:] == 0)])

    def prior_bias(self, counts: "np.ndarray", images: int) -> "Tensor":
        import numpy as np

        if self.stop:
            below = np.zeros(self.groups)
            np.add.at(below, self.group[: len(counts)].cpu().numpy(), counts)
            # Images with several children of one parent are counted more than once: stops are estimates.
            counts = np.append(counts, np.maximum(counts[self.inner.cpu().numpy()] - below[1:], 0))
        return super().prior_bias(counts, images)
