"""asl: multilabel with asymmetric focus on rare positives."""

from typing import TYPE_CHECKING

from eufcc_cli.core.model.methods.method import register_method
from eufcc_cli.core.model.methods.multilabel import Multilabel
from eufcc_cli.core.settings import setting

if TYPE_CHECKING:
    from torch import Tensor


@register_method("asl")
class AsymmetricLoss(Multilabel):
    """Asymmetric loss (Ridnik et al. 2021, equations 4 to 7), the mean over the tags.

    L+ = -(1-p)^gamma_pos log p, L- = -q^gamma_neg log(1-q), where q = max(p - asl_clip, 0).
    """

    gamma_pos: float = setting(0.0, "Focus of positives.", minimum=0)
    gamma_neg: float = setting(2.0, "Focus of negatives.", minimum=0)
    asl_clip: float = setting(0.05, "Probability shift of negatives.", minimum=0, below=1)

    def tag_losses(self, z: "Tensor", truth: "Tensor") -> "Tensor":
        import torch
        from torch.nn.functional import logsigmoid

        log_p, log_not_p = logsigmoid(z), logsigmoid(-z)
        positive = log_p * (self.gamma_pos * log_not_p).exp()
        if self.asl_clip:
            # Not below the smallest number: the gradient of 0 ** gamma would be infinite for gamma < 1.
            q = (log_p.exp() - self.asl_clip).clamp_min(torch.finfo(z.dtype).tiny)
            negative = torch.log1p(-q) * q**self.gamma_neg
        else:
            negative = log_not_p * (self.gamma_neg * log_p).exp()
        return -torch.where(truth, positive, negative)
