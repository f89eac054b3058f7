"""Logit adjustment: tags that training seldom saw rank as if all had been equally frequent."""

import numpy as np
import torch

from eufcc_cli.core.errors import ModelError
from eufcc_cli.core.model.backbone.network import Network
from eufcc_cli.core.model.model_files import ADJUSTED, TAG_IMAGES
from eufcc_cli.core.model.tagging_model import TaggingModel


def adjust_logits(model: TaggingModel, tau: float) -> None:
    """Subtract tau times the logarithm of each tag's share of the training images from its logit, in place.

    Menon et al., Long-tail learning via logit adjustment (ICLR 2021), equation 9: the heads' biases absorb
    it. tau 1 is right where tags are to count equally, 0 changes nothing. The model's calibration is left
    out, since it was fitted to other scores.
    Raises ModelError where the model has no heads, or does not know how often training saw its tags.
    """
    network, seen = model.network, model.config.get(TAG_IMAGES)
    if not isinstance(network, Network):
        raise ModelError(
            f"`logit_adjustment`: {model.name} has no heads", hint="leave it out for CLIP models"
        )
    if seen is None:
        raise ModelError(
            f"`logit_adjustment`: {model.name} does not hold the frequencies of its tags",
            hint="it is older than this option: train it again",
        )
    with torch.no_grad():
        for facet, method in model.methods.items():
            bias = network.heads[facet].get_parameter("bias")
            prior = method.log_prior(np.asarray(seen[facet]["tags"]), int(seen[facet]["images"]))
            bias.sub_(tau * prior.to(bias))
    model.config = {name: value for name, value in model.config.items() if name != "calibration"}
    model.config[ADJUSTED] = tau
    vars(model).pop("digest", None)
