"""multilabel-coherent: multilabel, no tag above its ancestors."""

from typing import TYPE_CHECKING

from eufcc_cli.core.model.methods.method import full_precision, register_method
from eufcc_cli.core.model.methods.multilabel import Multilabel, mean_of_known

if TYPE_CHECKING:
    from torch import Tensor


@register_method("multilabel-coherent")
class CoherentMultilabel(Multilabel):
    """No tag scores above its ancestors: C-HMCNN (Giunchiglia and Lukasiewicz, NeurIPS 2020).

    The score of t is the largest sigmoid of t and its descendants. Their max-constraint loss (equation 3)
    takes, for a true tag, the largest among its true descendants only. The maxima climb the tree from
    the deepest tags, depth by depth; the sigmoid grows with z, so that they are taken of the logits.
    """

    def loss(self, logits: "Tensor", truth: "Tensor", known: "Tensor | None" = None) -> "Tensor":
        z, closed = full_precision(logits).T.contiguous(), self.tree.closed(truth.T.contiguous())
        # Below a tag that is not true there is none that is: one climb gives both maxima.
        losses, known = (
            self.tag_losses(self.tree.largest_below(z, closed), closed),
            self.known_tags(truth, known),
        )
        return losses.mean(0) * truth.any(-1) if known is None else mean_of_known(losses, known.T | closed, 0)

    def log_scores(self, logits: "Tensor") -> "Tensor":
        from torch.nn.functional import logsigmoid

        return logsigmoid(self.tree.largest_below(logits.float().T.contiguous())).T
