"""The memory that scoring images takes on a processor, estimated before it is taken."""

from collections.abc import Sequence

import torch

from eufcc_cli.core.machine import free_memory, threads
from eufcc_cli.core.model.backbone.memory import (
    CANNOT_IMAGINE,
    LIBRARIES,
    engine_memory,
    imagined,
)
from eufcc_cli.core.model.backbone.memory_rule import SHARE, check_room
from eufcc_cli.core.model.backbone.network import Network
from eufcc_cli.core.model.tagging_model import TaggingModel

_LAYERS = 64  # times the numbers of an image: twice what a large network takes at once


def check_memory(models: Sequence[TaggingModel]) -> None:
    """Raise ModelError if the free memory is too small to score one image on a processor."""
    room, needed = SHARE * free_memory(), 0
    for model in models:
        weights = sum(value.nbytes for value in model.network.state_dict().values())
        if LIBRARIES + 3 * weights + threads() * _bound(model) < room // len(models):
            continue  # it need not be known exactly
        once, image = inference_memory(model, engine=model.has_engine)
        needed += once + image
    check_room(needed)


def images_that_fit(models: Sequence[TaggingModel], asked: int) -> int:
    """How many images, at most `asked`, models can compute at once on a processor.

    A step of training is estimated by the same means. Raises ModelError where not one image fits.
    """
    room = SHARE * free_memory()
    if LIBRARIES * len(models) + asked * max(_bound(model) for model in models) < room:
        return asked
    costs = [inference_memory(model, engine=False) for model in models]
    once, image = sum(once for once, _ in costs), max(image for _, image in costs)
    check_room(once + image)
    return min(asked, int((room - once) // image))


def inference_memory(model: TaggingModel, *, engine: bool) -> tuple[int, int]:
    """The estimated bytes for scoring images with a model: fixed, and for every image of a batch.

    engine: OpenVINO computes each image by itself; else PyTorch computes all of them at once.
    """
    preprocessing, network = model.preprocessing, model.network
    side, views = preprocessing.size, preprocessing.views
    pixels = views * 3 * side**2
    if engine:
        assert isinstance(network, Network)
        try:
            return engine_memory(network.backbone, side, threads()), 2 * pixels
        except CANNOT_IMAGINE:
            return LIBRARIES, 2 * pixels
    tower = getattr(network, "clip", None)
    looks = network if tower is None else tower.visual
    try:
        layers = imagined(looks, torch.zeros(1).expand(1, 3, side, side)) * views
    except CANNOT_IMAGINE:
        layers = _LAYERS * 4 * pixels
    return LIBRARIES, layers + (1 + 2 * 4) * pixels  # as bytes, and as numbers in the order of the network


def _bound(model: TaggingModel) -> int:
    """More bytes than a network takes for an image: its largest layers take some 30 times what that does."""
    preprocessing = model.preprocessing
    return _LAYERS * preprocessing.views * 3 * 4 * preprocessing.size**2
