"""The contrastive loss of CLIP, and its gradients for batches larger than memory."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, distributed
from torch.distributed.nn.functional import all_gather

Features = tuple[Tensor, Tensor, Tensor]
"""Of images [b, D] and of their captions [b, D], both of length 1, and the factor of their cosines."""


def contrastive_loss(
    images: Tensor, captions: Tensor, scale: Tensor, keys: Tensor, *, together: bool = False
) -> Tensor:
    """The sum over pairs of half the cross-entropies image -> captions and caption -> images.

    keys [b] int64: pairs of one key (equal captions) are positives of each other, not negatives. An image's
    term is the mean over its positives of -log(e^s / (e^s + the sum of e^t over its negatives)), s and t
    being scaled cosines; a caption's likewise. Keys that all differ give the loss of Radford et al. 2021.
    (Targets that equal captions share evenly, Yang et al. 2022, would change nothing but rounding: equal
    captions have equal features, and what one repels another attracts.)

    together: compare with the pairs of all processes of torch.distributed; the sum is over this process's
    own.
    """
    every_image, every_caption, every_key = images, captions, keys
    if together:
        every_image, every_caption, every_key = map(_of_all_processes, (images, captions, keys))
    positive = keys[:, None] == every_key
    image_loss = _loss(scale * images @ every_caption.T, positive)
    caption_loss = _loss(scale * captions @ every_image.T, positive)
    return (image_loss + caption_loss) / 2


def _loss(logits: Tensor, positive: Tensor) -> Tensor:
    negatives = logits.masked_fill(positive, -torch.inf).logsumexp(1, keepdim=True)
    return (F.softplus(negatives - logits) * positive / positive.sum(1, keepdim=True)).sum()


def _of_all_processes(rows: Tensor) -> Tensor:
    """The rows of all processes, in their order; gradients go back to the process a row came from."""
    own = torch.tensor([len(rows)], device=rows.device)
    sizes = [torch.empty_like(own) for _ in range(distributed.get_world_size())]
    distributed.all_gather(sizes, own)
    counts = [int(size) for size in sizes]
    # All processes have to send the same number of rows: the last batch's shares may differ by one.
    padded = F.pad(rows, (0, 0) * (rows.ndim - 1) + (0, max(counts) - len(rows)))
    return torch.cat([part[:count] for part, count in zip(all_gather(padded), counts, strict=True)])


def cached_gradients(
    forward: Callable[[int], Features],
    parts: int,
    loss: Callable[[Tensor, Tensor, Tensor], Tensor],
    backward: Callable[[Tensor], None],
    device: torch.device,
    around: Callable[[int], AbstractContextManager[None]] = lambda part: nullcontext(),
) -> Tensor:
    """The loss of a batch whose features are computed in parts; its gradients are exactly the batch's.

    Only one part's activations are held at a time: the features of all parts are computed without them,
    then the gradients of the features, then part by part the features once more and the gradients behind
    them (GradCache, Gao et al. 2021). forward(part) computes a part's features, on the device; backward(x)
    runs x's backward pass; `around` is entered for each part's second pass. Dropout draws the same numbers
    in both passes.
    """
    devices = [device] if device.type == "cuda" else []
    states, features = [], []
    with torch.no_grad():
        for part in range(parts):
            states.append((torch.get_rng_state(), [torch.cuda.get_rng_state(d) for d in devices]))
            features.append(forward(part))
    images, captions, scales = zip(*features, strict=True)
    leaves = [x.detach().requires_grad_() for x in (torch.cat(images), torch.cat(captions), scales[0])]
    value = loss(*leaves)
    by_images, by_captions, by_scale = torch.autograd.grad(value, leaves)
    sizes = [len(rows) for rows in images]
    gradients = zip(by_images.split(sizes), by_captions.split(sizes), strict=True)
    for part, (by_image, by_caption) in enumerate(gradients):
        with around(part):
            with torch.random.fork_rng(devices):
                _set_random_state(*states[part], devices)
                image, caption, scale = forward(part)
            behind = (image * by_image).sum() + (caption * by_caption).sum()
            # The factor is one number for all parts: its gradient belongs to the whole batch.
            backward(behind + (scale * by_scale).sum() if part == parts - 1 else behind)
    return value.detach()


def _set_random_state(cpu: Tensor, others: list[Tensor], devices: list[torch.device]) -> None:
    torch.set_rng_state(cpu)
    for device, state in zip(devices, others, strict=True):
        torch.cuda.set_rng_state(state, device)
