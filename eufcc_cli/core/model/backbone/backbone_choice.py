"""The backbone for heads without a GPU: the best that is downloaded and fast enough."""

from dataclasses import dataclass

from eufcc_cli.core.machine import cores
from eufcc_cli.core.model.backbone.bundled_weights import BUNDLED
from eufcc_cli.core.model.backbone.hub import is_downloaded

ENOUGH = 20.0
"""Views a second that this machine has to compute: some 600 photographs a minute."""


@dataclass(frozen=True)
class Candidate:
    """A timm backbone on the hub, and the views a second that one core computes of it (OpenVINO, fp32)."""

    name: str
    speed: float


CANDIDATES = (
    Candidate("convnext_base.fb_in22k", 2.8),
    Candidate("convnext_small.in12k_ft_in1k", 5.5),
    Candidate("convnext_tiny.in12k_ft_in1k", 10.3),
    Candidate("convnext_nano.in12k_ft_in1k", 18.4),
)
"""The best backbones first, by their published results; their speed was measured."""


def best_downloaded() -> tuple[str, str]:
    """The backbone for a processor, and why: a downloaded one that is fast enough here, or BUNDLED.

    The hub is not asked: a backbone that `backbone` named once is downloaded, and can be chosen from then on.
    """
    for candidate in CANDIDATES:
        if candidate.speed * cores() >= ENOUGH and is_downloaded(candidate.name):
            return candidate.name, "the best that was downloaded before and is fast enough"
    return BUNDLED, "its weights come with the installation"
