"""hsoftmax-levels: a softmax for each depth of the tree; and what the methods along a tree share."""

from typing import TYPE_CHECKING, ClassVar

from eufcc_cli.core.model.methods.method import register_method
from eufcc_cli.core.model.methods.softmax import Grouped

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from eufcc_cli.core.taxonomy.vocabulary import FacetVocabulary


class Hierarchical(Grouped):
    """Softmax inside groups along a tree; a tag's score is the product over it and its ancestors."""

    def prepare(self, vocabulary: "FacetVocabulary", tag_counts: "np.ndarray | None") -> None:
        from eufcc_cli.core.model.methods.tag_tree import Tree

        super().prepare(vocabulary, tag_counts)
        self.tree = Tree(vocabulary)

    def true_outputs(self, truth: "Tensor") -> "Tensor":
        return self.tree.closed(truth)

    def log_scores(self, logits: "Tensor") -> "Tensor":
        return self.tree.sum_above(self.log_probabilities(self.columns(logits.float()))[: self.tree.tags]).T


@register_method("hsoftmax-levels")
class HSoftmaxLevels(Hierarchical):
    """H-Softmax over levels: one group for each depth of the tree."""

    paper: ClassVar = "H-Softmax (levels)"

    def groups_of(self, vocabulary: "FacetVocabulary") -> "np.ndarray":
        return vocabulary.depths - 1
