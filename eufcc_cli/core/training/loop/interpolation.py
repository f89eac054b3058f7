"""Weights between where a training began and where it ended: robust fine-tuning (WiSE-FT).

theta(a) = (1 - a) theta_start + a theta_end (Wortsman et al., CVPR 2022, equation 1), all weights alike,
statistics of batch norm included. The start is a CLIP model as it was published, or the pretrained backbone
with heads fitted to its features. Only collections that were not learned from can show which `a` is best for
such collections: for `auto` some of the training images' providers are held out.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from eufcc_cli.core.errors import DataError
from eufcc_cli.core.taxonomy.tables.annotations import PROVIDER
from eufcc_cli.core.training.loading.data import Split
from eufcc_cli.core.training.loop.validation import Validation
from eufcc_cli.core.training.state.saved_state import load_state, save_state
from eufcc_cli.core.training.state.training_state import START

AUTO = "auto"
GRID = tuple(step / 10 for step in range(11))
_HELD_OUT, _AT_MOST = 0.1, 1 / 3  # the share of images held out: enough, and too much

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class HeldOut:
    """Training images of some providers that are not learned from."""

    providers: tuple[str, ...]
    split: Split


@dataclass(frozen=True)
class Interpolation:
    """The position of a model's weights between the start, 0, and the fine-tuned end, 1."""

    a: float
    held_out: HeldOut | None = None
    r_precision: dict[float, float] | None = None
    """The R-Precision of each value of the grid on the images held out."""

    def to_json(self) -> dict[str, Any]:
        """The part of config.json about it."""
        if self.held_out is None or self.r_precision is None:
            return {"a": self.a}
        return {
            "a": self.a,
            "held_out": list(self.held_out.providers),
            "images": len(self.held_out.split),
            "r_precision": {str(a): figure for a, figure in self.r_precision.items()},
        }


def hold_out(split: Split, seed: int) -> tuple[Split, HeldOut]:
    """A training split without the images of some providers, a tenth of it or a little more; and those.

    The seed draws them; where all are larger it is the smallest, if that is not more than a third.
    Raises DataError if no provider can be held out.
    """
    providers = split.frame[PROVIDER].to_numpy(str) if PROVIDER in split.frame else np.full(len(split), "")
    names, number, sizes = np.unique(providers, return_inverse=True, return_counts=True)
    known = np.flatnonzero(names != "")
    enough = _HELD_OUT * len(split)
    chosen: list[int] = []
    for one in np.random.default_rng(seed).permutation(known):
        taken = sizes[chosen].sum()
        if taken < enough and taken + sizes[one] <= 1.5 * enough:
            chosen.append(one)
    if not chosen and len(known) > 1:
        smallest = known[np.argmin(sizes[known])]
        chosen = [smallest] if sizes[smallest] <= _AT_MOST * len(split) else []
    if not chosen:
        raise DataError(
            f"`interpolate` auto: {split.name}.csv has no provider that can be held out ({len(known)} there)",
            hint="give a number: `interpolate=0.5` is a good one",
        )
    held = np.isin(number, chosen)
    kept, out = split.without(np.flatnonzero(held)), split.without(np.flatnonzero(~held))
    found = Split("held-out", out.frame, out.files, out.targets, 0)
    return kept, HeldOut(tuple(str(names[one]) for one in sorted(chosen)), found)


def keep_start(folder: Path, network: nn.Module) -> None:
    """Write the weights that a training starts with: its end, also after resuming, needs them."""
    save_state(folder / START, {"network": network.state_dict()})


def between(start: Weights, end: Weights, a: float) -> Weights:
    """(1 - a) start + a end of every tensor of numbers; counters are the end's."""
    return {
        name: start[name].to(tensor).lerp(tensor, a) if tensor.is_floating_point() else tensor
        for name, tensor in end.items()
    }


def interpolate(
    network: nn.Module, folder: Path, amount: str, held_out: HeldOut | None, validation: Validation | None
) -> Interpolation:
    """Move a fine-tuned network `amount` of the way from its start, in place.

    `auto` takes the value of GRID with the best R-Precision on the images held out, of equals the largest.
    """
    start: Weights = load_state(folder / START)["network"]
    end = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
    figures: dict[float, float] | None = None
    if amount == AUTO:
        assert validation is not None
        figures = {}
        for a in GRID:
            network.load_state_dict(between(start, end, a))
            figures[a] = validation.measure(network)["overall"]["r_precision"]
        best = max(GRID, key=lambda a: (figures[a], a))
    else:
        best = float(amount)
    network.load_state_dict(between(start, end, best))
    return Interpolation(best, held_out, figures)
