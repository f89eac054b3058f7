"""The costs of a training step, and what they determine: images computed at once, and threads."""

import math
from dataclasses import dataclass

from torch import nn

from eufcc_cli.core.errors import ModelError
from eufcc_cli.core.model.backbone.memory_rule import SHARE, gigabytes

_THREAD = 32 << 20  # bytes of tensors in a step for which another thread is worth its waiting


@dataclass(frozen=True)
class Costs:
    """Bytes and seconds of a training step on this machine, for one process."""

    used: int
    """Bytes the process has before the first step."""
    free: int
    """Bytes it can still take."""
    fixed: int
    """Bytes of gradients, the optimizer's state and libraries."""
    ending: int
    """Bytes of the optimizer's state, and of the engine that computes the scores for the calibration."""
    waiting: int
    """Bytes of an image that waits for its part of the batch to be computed."""
    image: int
    """Bytes of an image while it is computed."""
    seconds: float
    """Of an image's forward and backward pass."""
    update: float
    """Seconds of the optimizer's step."""
    validation: float
    """Seconds of one pass over the validation images."""
    opening: float = 0.0
    """Seconds to open the engine that computes the scores for the calibration."""

    def memory(self, share: int, part: int) -> int:
        """The most bytes beyond those used, with `part` of `share` images computed at once."""
        return max(self.fixed + share * self.waiting + part * self.image, self.ending)

    def step(self, share: int) -> float:
        """Seconds of a step of `share` images."""
        return share * self.seconds + self.update


def part_that_fits(costs: Costs, share: int, asked: int) -> int | None:
    """Images computed at once: as many as asked for, or the largest even part of the share that fits.

    None where not even one image does.
    """
    room = SHARE * costs.free
    for parts in range(math.ceil(share / asked), share + 1):
        part = math.ceil(share / parts)
        if costs.memory(share, part) <= room:
            return part
    return None


def batch_norm(network: nn.Module) -> bool:
    """Whether an image's outputs in training depend on the other images of its batch."""
    kinds = (nn.modules.batchnorm._BatchNorm,)
    return any(isinstance(module, kinds) and module.training for module in network.modules())


def note_of_parts(costs: Costs, share: int, part: int, network: nn.Module) -> str | None:
    """One line about a batch that is computed in parts because it does not fit."""
    text = (
        f"{share} images at once need {gigabytes(costs.memory(share, share))} of memory, "
        f"{gigabytes(costs.free)} are free: they are computed {part} at a time"
    )
    if batch_norm(network):
        return f"{text}, and batch norm sees {part}: the result differs slightly from that of {share}"
    return f"{text}, with the same result"


def check_time_budget(costs: Costs, share: int, budget: float, elapsed: float, closing: float = 2.0) -> None:
    """Raise ModelError where not even one step, and `closing` validations, end within a time budget."""
    step, ending = costs.step(share), closing * costs.validation + costs.opening
    if elapsed + step + ending <= budget:
        return
    needed = math.ceil(elapsed + 2 * step + 1.1 * ending)
    raise ModelError(
        f"`time_budget` {budget:g}: one step of {share} images takes about {step:.1f} s here, and the "
        f"validation {ending:.1f} s: too long",
        hint=f"give `time_budget` {needed}, or a smaller `backbone`, `image_size` or `batch_size`",
    )


def threads_worth(costs: Costs, part: int) -> int:
    """How many threads a step can use: in small networks, more would mostly wait for each other.

    It depends on the network and the batch only, so that a repeated run computes the same.
    """
    return part * costs.image // _THREAD
