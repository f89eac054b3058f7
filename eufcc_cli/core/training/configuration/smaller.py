"""What to train instead if a network does not fit into memory, found without allocating any."""

from functools import partial
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from eufcc_cli.core.errors import ModelError
from eufcc_cli.core.model.backbone.bundled_weights import BUNDLED
from eufcc_cli.core.model.backbone.memory import (
    CANNOT_IMAGINE,
    LIBRARIES,
    engine_memory,
    imagined,
    imagined_network,
)
from eufcc_cli.core.model.backbone.memory_rule import SHARE, gigabytes
from eufcc_cli.core.model.backbone.network import create_backbone
from eufcc_cli.core.model.methods import find_method
from eufcc_cli.core.training.configuration.config import TrainConfig
from eufcc_cli.core.training.configuration.usual_settings import SMALL_BACKBONE

_SIZES = (384, 320, 288, 256, 224, 192, 160, 128, 96, 64, 32)  # pixels
_STREAMS = 4  # images that an engine may compute at once, at most


def needed_memory(network: nn.Module, looks: nn.Module, size: int, mode: FakeTensorMode | None = None) -> int:
    """Bytes that a training step of one image takes at least: AdamW's two moments, layers or gradients.

    While the gradients are computed, from the last layer to the first, the layers are freed. It is within
    15 % of what seven networks took.

    looks: the part of the network that sees images. Raises what `imagined` does.
    """
    learned = sum(value.nbytes for value in network.parameters() if value.requires_grad)
    image = torch.zeros(1).expand(1, 3, size, size)
    return max(imagined(looks, image, learning=True, mode=mode), learned) + 2 * learned + LIBRARIES


def does_not_fit(config: TrainConfig, needed: int, free: int) -> ModelError:
    """The error of a training that does not fit into memory; its hint proposes one that does."""
    return ModelError(
        f"training needs at least {gigabytes(needed)} of memory, {gigabytes(free)} are free",
        hint=_hint(config, free),
    )


def _hint(config: TrainConfig, free: int) -> str:
    if find_method(config.method).reads_texts:
        if not config.on_gpu and _fits(BUNDLED, None, free, frozen=True):
            return "close other programs, or train without any settings, which fits"
        return "close other programs"
    assert config.backbone is not None
    if not config.from_scratch and _fits(config.backbone, config.image_size, free, frozen=True):
        return "close other programs, or train only the heads: `tune=head`"
    for size in _SIZES:
        if config.image_size is not None and size >= config.image_size:
            continue
        if _fits(config.backbone, size, free):
            return f"close other programs, or choose `image_size={size}`"
    for smallest in (None, 32):
        if _fits(SMALL_BACKBONE, smallest, free):
            at = f" and `image_size={smallest}`" if smallest else ""
            return f"close other programs, or choose `backbone={SMALL_BACKBONE}`, `pretrained=False`{at}"
    return "close other programs: not even the smallest network fits"


def _fits(name: str, size: int | None, free: int, *, frozen: bool = False) -> bool:
    """Whether a backbone can be loaded and trained (frozen: only computed) in so many bytes."""
    try:
        backbone, mode = imagined_network(partial(create_backbone, name, image_size=size))
        config: Any = backbone.pretrained_cfg
        side: int = size or config["input_size"][-1]
        weights = sum(value.nbytes for value in backbone.state_dict().values())
        if frozen:
            needed = engine_memory(backbone, side, _STREAMS, mode)
        else:
            needed = needed_memory(backbone, backbone, side, mode)
    except (*CANNOT_IMAGINE, ModelError):
        return False
    return weights + needed <= SHARE * free
