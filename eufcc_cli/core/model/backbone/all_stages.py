"""A backbone that gives the heads statistics of all its stages beside its own features."""

import re
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

_LEAST = 1e-6  # of a variance: at 0 its root has no gradient


class AllStages(nn.Module):
    """A timm backbone, its features followed by means and deviations over each stage's output.

    Images [B, 3, H, W] -> [B, D + 2 C]: first the D features of the backbone, then for each of the C channels
    of all stages, from the lowest up, its mean over the picture, then for each its standard deviation. Lower
    stages respond to colour, texture and small parts, of which the last layer keeps little. After Head2Toe
    (Evci et al. 2022, Utilizing Intermediate Representations for Better Transfer Learning), without its
    selection of features: the heads are regularised instead.
    """

    def __init__(self, trunk: Any) -> None:
        super().__init__()
        self.trunk = trunk
        self.num_features: int = width(trunk) + 2 * sum(stage["num_chs"] for stage in _stages(trunk))

    def forward(self, images: Tensor) -> Tensor:
        last, stages = self.trunk.forward_intermediates(images)
        flat = [stage.flatten(2).float() for stage in stages]
        means = [stage.mean(2) for stage in flat]
        spread = [stage.var(2, correction=0).add(_LEAST).sqrt() for stage in flat]
        return torch.cat([self.trunk.forward_head(last), *means, *spread], 1)

    def extra_repr(self) -> str:
        """What else than its parts determines the features: `backbone_digest` reads it."""
        return f"{self.num_features} features: own, means, deviations"

    def no_weight_decay(self) -> set[str]:
        names = self.trunk.no_weight_decay() if hasattr(self.trunk, "no_weight_decay") else set()
        return {f"trunk.{name}" for name in names}

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """timm's layers from the stem up, for layer-wise learning rates."""
        return below("trunk", self.trunk.group_matcher(coarse=coarse))


def width(backbone: Any) -> int:
    """How many features a backbone has."""
    # Some backbones widen their features behind the pooling, and have that width under another name.
    return getattr(backbone, "head_hidden_size", None) or backbone.num_features


def has_stages(backbone: Any) -> bool:
    """Whether a backbone's outputs become smaller stage by stage (a plain transformer's do not)."""
    sizes = [stage["reduction"] for stage in _stages(backbone)]
    known = hasattr(backbone, "forward_intermediates") and len(sizes) > 1
    return known and all(below < above for below, above in pairwise(sizes))


def _stages(backbone: Any) -> list[dict[str, Any]]:
    return list(getattr(backbone, "feature_info", None) or [])


def below(name: str, matcher: dict[str, Any]) -> dict[str, Any]:
    """timm's patterns of parameters' names, for a module that is called `name` in another one."""
    # The patterns are anchored to the module's own names.
    return {
        group: [_below(name, entry) for entry in patterns]
        if isinstance(patterns, list | tuple)
        else _below(name, patterns)
        for group, patterns in matcher.items()
    }


def _below(name: str, pattern: Any) -> Any:
    if isinstance(pattern, str):
        return re.sub(r"^\^(.*)$", rf"^{name}\\.(?:\1)", pattern)
    if isinstance(pattern, list | tuple) and pattern and isinstance(pattern[0], str):
        return (_below(name, pattern[0]), *pattern[1:])
    return pattern
