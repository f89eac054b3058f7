"""A vision model before its training: backbone, new heads, and biases from the tags' frequencies."""

from pathlib import Path

import numpy as np
import torch

from eufcc_cli.core.errors import ModelError
from eufcc_cli.core.model.backbone.all_stages import has_stages
from eufcc_cli.core.model.backbone.network import (
    Network,
    check_image_size,
    create_backbone,
    freeze_stages,
    initialise,
)
from eufcc_cli.core.model.preprocessing import Preprocessing
from eufcc_cli.core.model.tagging_model import TaggingModel, build_methods
from eufcc_cli.core.taxonomy.vocabulary import Vocabulary
from eufcc_cli.core.training.configuration.config import TrainConfig
from eufcc_cli.core.training.loading.data import Split


def new_vision_model(
    config: TrainConfig, name: str, vocabulary: Vocabulary, counts: dict[str, np.ndarray]
) -> TaggingModel:
    """A model to train with one of the vision methods; raises ModelError for its settings."""
    assert config.backbone is not None
    options = config.method_options
    backbone = create_backbone(
        config.backbone,
        pretrained=config.pretrained,
        weights=Path(config.weights) if config.weights else None,
        drop_path=config.drop_path,
        image_size=config.image_size,
    )
    methods = build_methods(config.method, vocabulary, counts, **options)
    outputs = {facet: made.outputs for facet, made in methods.items()}
    all_stages = _sees_all_stages(config, backbone)
    network = Network(backbone, outputs, config.dropout, all_stages=all_stages)
    if config.from_scratch:
        initialise(network)
    freeze_stages(backbone, config.freeze)
    if config.image_size and config.tune == "head":  # else a step of training is simulated
        check_image_size(network, config.backbone, config.image_size)
    preprocessing = Preprocessing.of_backbone(backbone, config.image_size)
    if config.views is not None:
        preprocessing = preprocessing.with_views(config.views)
    about = {"method_options": dict(options), "all_stages": all_stages}
    return TaggingModel(name, config.method, vocabulary, network, methods, preprocessing, about)


def _sees_all_stages(config: TrainConfig, backbone: torch.nn.Module) -> bool:
    there = has_stages(backbone)
    if config.all_stages and not there:
        raise ModelError(
            f"`all_stages`: {config.backbone} has no stages",
            hint="leave it out, or choose another `backbone`",
        )
    return there and (config.tune == "head" if config.all_stages is None else config.all_stages)


def priors_of(model: TaggingModel, split: Split, counts: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """The biases with which every head gives its tags their frequencies."""
    return {
        facet: method.prior_bias(counts[facet], int(split.targets[facet].annotated.sum()))
        for facet, method in model.methods.items()
    }


def start_from_priors(model: TaggingModel, priors: dict[str, torch.Tensor]) -> None:
    """Start every head at its tags' frequencies, so that the first steps need not learn them."""
    with torch.no_grad():
        for facet, prior in priors.items():
            model.network.get_parameter(f"heads.{facet}.bias").copy_(prior)
