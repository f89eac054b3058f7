"""The optimizer, its layers and its schedule."""

import math
from typing import Any

import torch
from timm.optim import create_optimizer_v2
from torch import nn

from eufcc_cli.core.model.config import TrainConfig

_MUON_FALLBACK = 0.4  # AdamW's learning rate for vectors and heads, as a share of Muon's for matrices


def create_optimizer(network: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """timm's AdamW, or Muon (Jordan 2024) with AdamW for vectors and heads, with layer-wise rates.

    Every group remembers its peak learning rate as `peak_lr`.
    """
    special: dict[str, Any] = {}
    if config.optimizer == "muon":
        special = {"fallback_list": ("heads.*",), "fallback_lr_scale": _MUON_FALLBACK}
    optimizer = create_optimizer_v2(
        network,
        opt=config.optimizer,
        lr=config.lr,
        weight_decay=config.weight_decay,
        layer_decay=config.layer_decay if config.layer_decay < 1 else None,
        **special,
    )
    for group in optimizer.param_groups:
        group["peak_lr"] = config.lr * group.get("lr_scale", 1.0) if config.lr else group["lr"]
    return optimizer


def schedule(done: float, warmup: float) -> float:
    """Share of the peak learning rate after the share `done` of training: linear warm-up, then cosine.

    >>> [round(schedule(done, warmup=0.1), 3) for done in (0.0, 0.05, 0.1, 0.55, 1.0)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    if done < warmup:
        return done / warmup
    share = (min(done, 1.0) - warmup) / max(1 - warmup, 1e-9)
    return 0.5 * (1 + math.cos(math.pi * share))


def set_learning_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Give every group its peak learning rate times a factor."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak_lr"] * factor
