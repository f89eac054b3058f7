"""A backbone whose features hold statistics of every stage."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from eufcc_cli.core.errors import ModelError
from eufcc_cli.core.model.backbone.all_stages import AllStages, has_stages
from eufcc_cli.core.model.backbone.network import Network, create_backbone
from eufcc_cli.core.training.configuration.config import TrainConfig
from eufcc_cli.core.training.loop.optimizer import create_optimizer
from eufcc_cli.core.training.new_model import new_vision_model
from tests.core.evaluation.tiny import make_root, vocabulary

LITE = "tf_efficientnet_lite0"


@pytest.mark.parametrize("name", [LITE, "convnext_mini", "resnet10t", "mobilenetv3_small_050"])
def test_features_are_the_backbones_own_and_statistics_of_what_hooks_see(name: str) -> None:
    torch.manual_seed(0)
    backbone = create_backbone(name).eval()
    images = torch.randn(2, 3, 64, 64)
    seen: dict[str, Tensor] = {}
    for stage in backbone.feature_info:
        module = backbone.get_submodule(stage["module"])
        module.register_forward_hook(lambda _, __, out, at=stage["module"]: seen.__setitem__(at, out))
    with torch.inference_mode():
        own = backbone(images)
        outputs = [seen[stage["module"]] for stage in backbone.feature_info]
        means = [output.mean((2, 3)) for output in outputs]
        spread = [output.std((2, 3), correction=0) for output in outputs]
        network = Network(backbone, {"materials": 3}, all_stages=True).eval()
        torch.testing.assert_close(
            network.features(images), torch.cat([own, *means, *spread], 1), atol=1e-3, rtol=1e-3
        )
        assert network(images)["materials"].shape == (2, 3)
    assert network.width == own.shape[1] + 2 * sum(mean.shape[1] for mean in means)


def test_a_stage_without_any_variation_has_gradients() -> None:
    network = Network(create_backbone("resnet10t"), {"materials": 3}, all_stages=True)
    torch.nn.init.zeros_(network.trunk.layer1[0].bn1.weight)  # as with a dead ReLU
    network(torch.zeros(2, 3, 64, 64))["materials"].sum().backward()
    assert all(p.grad.isfinite().all() for p in network.parameters() if p.grad is not None)


def test_layers_learn_at_the_rates_that_they_have_without() -> None:
    rates = []
    for all_stages in (False, True):
        network = Network(create_backbone(LITE), {"materials": 3}, all_stages=all_stages)
        config = TrainConfig(layer_decay=0.5, pretrained=False, optimizer="adamw", lr=1.0)
        groups = create_optimizer(network, config).param_groups
        rate = {id(p): (group["peak_lr"], group["weight_decay"]) for group in groups for p in group["params"]}
        rates.append({name: rate[id(p)] for name, p in network.trunk.named_parameters()})
    assert rates[0] == rates[1]
    assert len(set(rates[0].values())) > 5


def test_heads_see_all_stages_unless_the_backbone_is_learned_or_has_none(tmp_path: Path) -> None:
    words = vocabulary(make_root(tmp_path))
    counts = {facet: np.ones(len(tags), np.int64) for facet, tags in words.facets.items()}

    def made(**settings: object) -> bool:
        config = TrainConfig(device="cpu", backbone=LITE, **settings).resolved()  # type: ignore[arg-type]
        model = new_vision_model(config, "m", words, counts)
        assert model.config["all_stages"] == isinstance(model.network.backbone, AllStages)
        return model.config["all_stages"]

    assert made(tune="head") and made(tune="head-then-full", all_stages=True)
    assert (
        not made(tune="head-then-full") and not made(tune="full") and not made(tune="head", all_stages=False)
    )
    plain = TrainConfig(device="cpu", backbone="vit_tiny_patch16_224", pretrained=False, all_stages=True)
    assert not has_stages(create_backbone("vit_tiny_patch16_224"))
    with pytest.raises(ModelError, match="`all_stages`: vit_tiny_patch16_224 has no stages"):
        new_vision_model(plain.resolved(), "m", words, counts)
