"""A process that has every second pair of a batch. It is a module of its own for a quick start."""

import torch
from torch import distributed, nn

from eufcc_cli.core.model.clip.contrastive import contrastive_loss


def features(rows, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    images, captions = torch.randn(2, rows, 5, dtype=dtype, generator=generator)
    return nn.functional.normalize(images, dim=-1), nn.functional.normalize(captions, dim=-1)


def one_of_two(rank, store, target):
    """Save the loss and the gradients of this process's share of seven pairs."""
    distributed.init_process_group("gloo", store=distributed.FileStore(store, 2), rank=rank, world_size=2)
    images, captions = (rows[rank::2].clone().requires_grad_() for rows in features(7))  # 4 and 3 rows
    scale, keys = torch.tensor(4.0, requires_grad=True), torch.tensor([0, 1, 0, 2, 3, 0, 2])[rank::2]
    loss = contrastive_loss(images, captions, scale, keys, together=True)
    loss.backward()
    torch.save([loss.detach(), images.grad, captions.grad, scale.grad], f"{target}.{rank}")
    distributed.destroy_process_group()
