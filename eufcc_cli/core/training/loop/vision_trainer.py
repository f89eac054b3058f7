"""Training a vision model: every facet that an image is annotated in is one term of the loss."""

import contextlib

import numpy as np
import torch
from torch import Tensor, nn

from eufcc_cli.core.training.loop.trainer import Trainer


class VisionTrainer(Trainer):
    """Compares what the heads say of an image with its tags, facet by facet."""

    def _pairs(self, rows: np.ndarray) -> int:
        methods = self.model.methods
        return sum(
            int(targets.teaching(methods[facet].learns_rejections)[rows].sum())
            for facet, targets in self.split.targets.items()
        )

    def backward(
        self, network: nn.Module, images: Tensor, rows: np.ndarray, positions: np.ndarray, factor: float
    ) -> Tensor:
        device = images.device
        truth = {facet: t.to(device, non_blocking=True) for facet, t in self.split.truth(rows).items()}
        known = {facet: t.to(device, non_blocking=True) for facet, t in self.split.known(rows).items()}
        total = torch.zeros((), device=device)
        if not len(rows):  # the other processes wait for gradients: these are all zero
            with self.accelerator.autocast():
                logits = network(images)
            self.accelerator.backward(sum(values.sum() for values in logits.values()) * 0.0)
            return total
        parts = torch.arange(len(rows)).tensor_split(self._parts(len(rows)))
        for number, part in enumerate(parts, start=1):
            last = number == len(parts)
            with contextlib.nullcontext() if last else self.accelerator.no_sync(network):
                with self.accelerator.autocast():
                    logits = network(images[part])
                losses = [
                    method.loss(logits[facet], truth[facet][part]).sum()
                    if facet not in known or not method.learns_rejections
                    else method.loss(logits[facet], truth[facet][part], known[facet][part]).sum()
                    for facet, method in self.model.methods.items()
                ]
                loss = torch.stack(losses).sum()
                self.accelerator.backward(loss * factor)
                total += loss.detach()
        return total
