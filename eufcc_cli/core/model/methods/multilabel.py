"""multilabel: every tag is a yes or no of its own."""

from typing import TYPE_CHECKING, ClassVar

from eufcc_cli.core.model.methods.method import Method, full_precision, register_method

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


@register_method("multilabel")
class Multilabel(Method):
    """Every tag is a question of its own: sigmoid and binary cross-entropy, the mean over the tags."""

    paper: ClassVar = "Multi-label"
    learns_rejections: ClassVar = True

    def loss(self, logits: "Tensor", truth: "Tensor", known: "Tensor | None" = None) -> "Tensor":
        losses = self.tag_losses(full_precision(logits), truth)
        return losses.mean(-1) * truth.any(-1) if known is None else mean_of_known(losses, known, -1)

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


def mean_of_known(losses: "Tensor", known: "Tensor", dim: int) -> "Tensor":
    """The mean of the tags' losses along a dimension over the known ones; 0 where none is known."""
    return (losses * known).sum(dim) / known.sum(dim).clamp_min(1)
