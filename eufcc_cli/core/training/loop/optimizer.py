"""The optimizer, its layers and its schedule."""

import math
from collections.abc import Iterator
from typing import Any

import torch
from timm.optim import param_groups_layer_decay, param_groups_weight_decay
from torch import nn

from eufcc_cli.core.training.configuration.config import TrainConfig
from eufcc_cli.core.training.loop.muon import Muon

_ADAMW_SHARE = 0.4  # AdamW's learning rate for vectors and heads, as a share of Muon's for matrices


def create_optimizer(network: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW, or Muon with AdamW for vectors, depthwise filters and heads; timm's layer-wise rates.

    Every group remembers its peak learning rate as `peak_lr`.
    """
    assert config.lr is not None
    shared: dict[str, Any] = {
        "weight_decay": config.weight_decay,
        "no_weight_decay_list": network.no_weight_decay(),  # type: ignore[operator]
        "fallback_list": ("heads.*", "*_embedding*"),
    }
    if config.layer_decay == 1:
        groups = [group | {"lr_scale": 1.0} for group in param_groups_weight_decay(network, **shared)]
    else:
        groups = param_groups_layer_decay(network, layer_decay=config.layer_decay, **shared)
    groups = list(_with_heads_apart(groups, network, config.head_lr or 1.0))
    optimizer: torch.optim.Optimizer
    if config.optimizer == "muon":
        optimizer = Muon(list(_kinds(groups)), lr=config.lr)
    else:
        kept = ("params", "weight_decay", "lr_scale")
        groups = [{key: group[key] for key in kept} for group in groups]
        fused = all(parameter.device.type in ("cpu", "cuda") for parameter in network.parameters())
        optimizer = torch.optim.AdamW(groups, lr=config.lr, fused=fused)
    for group in optimizer.param_groups:
        group["peak_lr"] = config.lr * group["lr_scale"] * (_ADAMW_SHARE if group.get("adamw") else 1.0)
    return optimizer


def _with_heads_apart(
    groups: list[dict[str, Any]], network: nn.Module, factor: float
) -> Iterator[dict[str, Any]]:
    """The groups, the parameters of heads in groups of their own with `factor` times the learning rate."""
    heads = {id(parameter) for parameter in getattr(network, "heads", nn.Module()).parameters()}
    for group in groups if factor != 1 else ():
        own = [parameter for parameter in group["params"] if id(parameter) in heads]
        others = [parameter for parameter in group["params"] if id(parameter) not in heads]
        if own:
            yield group | {"params": own, "lr_scale": group["lr_scale"] * factor}
        if others:
            yield group | {"params": others}
    if factor == 1:
        yield from groups


def _kinds(groups: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """timm's groups, each divided into matrices for Muon and the rest for AdamW."""
    for group in groups:
        matrices = [] if group.get("use_fallback") else [p for p in group["params"] if _is_matrix(p)]
        taken = set(map(id, matrices))
        others = [parameter for parameter in group["params"] if id(parameter) not in taken]
        shared = {key: group[key] for key in ("weight_decay", "lr_scale")}
        if matrices:
            yield {"params": matrices, "adamw": False, **shared}
        if others:
            yield {"params": others, "adamw": True, **shared}


def _is_matrix(parameter: nn.Parameter) -> bool:
    # A depthwise filter has one input channel: its rows are independent, there is nothing to orthogonalise.
    return parameter.ndim >= 2 and parameter.shape[1] > 1


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
