"""multilabel: an independent yes or no for every tag."""

from typing import TYPE_CHECKING, ClassVar

from eufcc_cli.core.model.methods.method import Method, full_precision, register_method
from eufcc_cli.core.settings import setting

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from eufcc_cli.core.taxonomy.vocabulary import FacetVocabulary


@register_method("multilabel")
class Multilabel(Method):
    """Every tag is a question of its own: sigmoid and binary cross-entropy, the mean over the tags.

    With `deeper_unknown` the tags below those where an annotation ends have no loss: the record says bronze,
    and not which kind. Records that were decided tag by tag are taken as they are.
    """

    paper: ClassVar = "Multi-label"
    learns_rejections: ClassVar = True
    deeper_unknown: bool = setting(
        False,
        "Tags below where an annotation ends are unknown, not wrong: for records that often stop early.",
    )

    def prepare(self, vocabulary: "FacetVocabulary", tag_counts: "np.ndarray | None") -> None:
        from eufcc_cli.core.model.methods.tag_tree import Tree

        super().prepare(vocabulary, tag_counts)
        self.tree = Tree(vocabulary)

    def loss(self, logits: "Tensor", truth: "Tensor", known: "Tensor | None" = None) -> "Tensor":
        losses, known = self.tag_losses(full_precision(logits), truth), self.known_tags(truth, known)
        return losses.mean(-1) * truth.any(-1) if known is None else mean_of_known(losses, known, -1)

    def known_tags(self, truth: "Tensor", known: "Tensor | None") -> "Tensor | None":
        """The tags bool [B, n] that have a loss, None for all of every row with a true tag."""
        if not self.deeper_unknown:
            return known
        if known is None:
            known = truth.any(-1, keepdim=True).expand_as(truth)
        unknown = self.tree.below_the_last(truth.T.contiguous()).T
        return known & ~(unknown & known.all(-1, keepdim=True))

    def tag_losses(self, z: "Tensor", truth: "Tensor") -> "Tensor":
        """The loss of every tag, from logits and true tags of equal shape."""
        from torch.nn.functional import binary_cross_entropy_with_logits

        return binary_cross_entropy_with_logits(z, truth.to(z.dtype), reduction="none")

    def log_scores(self, logits: "Tensor") -> "Tensor":
        from torch.nn.functional import logsigmoid

        return logsigmoid(logits.float())

    def prior_bias(self, counts: "np.ndarray", images: int) -> "Tensor":
        import numpy as np
        import torch

        share = (counts + 0.5) / (images + 1.0)
        return torch.from_numpy(np.log(share) - np.log1p(-share)).float()

    def log_prior(self, counts: "np.ndarray", images: int) -> "Tensor":
        import numpy as np
        import torch

        return torch.from_numpy(np.log((counts + 0.5) / (images + 1.0))).float()


def mean_of_known(losses: "Tensor", known: "Tensor", dim: int) -> "Tensor":
    """The mean of the tags' losses along a dimension over the known ones; 0 where none is known."""
    return (losses * known).sum(dim) / known.sum(dim).clamp_min(1)
