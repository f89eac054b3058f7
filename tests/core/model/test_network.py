from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from eufcc_cli.core.errors import ModelError
from eufcc_cli.core.model.backbone.network import Network, check_image_size, create_backbone, freeze_stages
from eufcc_cli.core.model.checkpoint import save_weights
from eufcc_cli.core.model.model_files import WEIGHTS
from eufcc_cli.core.model.preprocessing import Preprocessing
from eufcc_cli.core.training.configuration.config import TrainConfig
from eufcc_cli.core.training.loop.muon import orthogonalised
from eufcc_cli.core.training.loop.optimizer import create_optimizer

ATTO = "convnext_atto"


def test_one_head_per_facet_and_every_parameter_learns() -> None:
    network = Network(create_backbone("convnext_mini"), {"materials": 5, "subjects": 3})
    logits = network(torch.randn(2, 3, 32, 32))
    assert {facet: tuple(values.shape) for facet, values in logits.items()} == {
        "materials": (2, 5),
        "subjects": (2, 3),
    }
    sum(values.square().sum() for values in logits.values()).backward()
    without = [name for name, parameter in network.named_parameters() if parameter.grad is None]
    assert without == []


def test_weights_from_a_file_equal_the_backbone_they_come_from(tmp_path: Path) -> None:
    torch.manual_seed(1)
    source = timm.create_model(ATTO, num_classes=7)  # a classifier in the file is left out
    save_file(source.state_dict(), tmp_path / "atto.safetensors")
    loaded = create_backbone(ATTO, weights=tmp_path / "atto.safetensors").eval()
    images = torch.randn(2, 3, 64, 64)
    source.reset_classifier(0)
    torch.testing.assert_close(loaded(images), source.eval()(images))


@pytest.mark.parametrize("all_stages", [False, True])
def test_weights_of_a_saved_model_are_those_of_its_backbone(tmp_path: Path, all_stages: bool) -> None:
    network = Network(create_backbone(ATTO), {"materials": 5}, all_stages=all_stages)
    save_weights(tmp_path, network)
    loaded = create_backbone(ATTO, weights=tmp_path / WEIGHTS).state_dict()
    wanted = network.trunk.state_dict()
    assert loaded.keys() == wanted.keys()
    assert all(torch.equal(loaded[name], value) for name, value in wanted.items())


def test_weights_that_do_not_fit_are_named(tmp_path: Path) -> None:
    save_file(timm.create_model(ATTO, num_classes=0).state_dict(), tmp_path / "atto.safetensors")
    with pytest.raises(ModelError, match=r"atto\.safetensors: .* missing|backbone's"):
        create_backbone("convnext_femto", weights=tmp_path / "atto.safetensors")
    (tmp_path / "torn.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}")
    with pytest.raises(ModelError, match=r"torn\.safetensors"):
        create_backbone(ATTO, weights=tmp_path / "torn.safetensors")
    with pytest.raises(ModelError, match=r"none\.safetensors"):
        create_backbone(ATTO, weights=tmp_path / "none.safetensors")


def test_an_unknown_backbone_names_near_ones() -> None:
    with pytest.raises(ModelError, match="convnext_atoo") as caught:
        create_backbone("convnext_atoo")
    assert "convnext_atto" in (caught.value.hint or "")


@pytest.mark.parametrize("name", ["convnext_mini", "mobilenetv3_small_050", "efficientvit_b0", "resnet18"])
def test_heads_are_as_wide_as_the_backbones_features(name: str) -> None:
    network = Network(create_backbone(name), {"materials": 3}).eval()
    assert network(torch.randn(1, 3, 64, 64))["materials"].shape == (1, 3)


@pytest.mark.parametrize("name", ["convnext_mini", "vit_tiny_patch16_224"])
def test_a_backbone_is_built_for_the_image_size(name: str) -> None:
    network = Network(create_backbone(name, image_size=48), {"materials": 3})
    check_image_size(network, name, 48)
    assert network(torch.randn(1, 3, 48, 48))["materials"].shape == (1, 3)


@pytest.mark.parametrize(
    ("name", "size"), [("convnext_mini", 8), ("vit_tiny_patch16_224", 8), ("swin_tiny_patch4_window7_224", 3)]
)
def test_an_image_size_that_a_backbone_cannot_take_is_refused(name: str, size: int) -> None:
    with pytest.raises(ModelError, match=f"`image_size` {size}: {name}"):
        check_image_size(Network(create_backbone(name, image_size=size), {"materials": 3}), name, size)


def test_freezing_stops_the_lower_stages_only() -> None:
    backbone = create_backbone("convnext_mini")
    freeze_stages(backbone, 2)
    frozen = {
        name.split(".")[0] + name.split(".")[1]
        for name, p in backbone.named_parameters()
        if not p.requires_grad
    }
    assert {"stages0", "stages1"} <= frozen
    assert not {"stages2", "stages3"} & frozen
    with pytest.raises(ModelError, match="`freeze` 9"):
        freeze_stages(backbone, 9)


@pytest.mark.parametrize("name", ["convnext_mini", "vit_tiny_patch16_224", "resnet18"])
def test_lower_layers_learn_more_slowly(name: str) -> None:
    network = Network(create_backbone(name), {"materials": 3})
    config = TrainConfig(layer_decay=0.5, pretrained=False, optimizer="adamw", lr=1.0)
    groups = create_optimizer(network, config).param_groups
    rate = {id(p): group["peak_lr"] for group in groups for p in group["params"]}
    named = dict(network.named_parameters())
    assert rate[id(named["heads.materials.weight"])] == 1.0
    lowest = next(iter(named.values()))
    assert rate[id(lowest)] == min(rate.values()) < 0.5


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_every_parameter_belongs_to_one_group(optimizer: str) -> None:
    network = Network(create_backbone("convnext_mini"), {"materials": 3})
    config = TrainConfig(pretrained=False, optimizer=optimizer, lr=1e-3)
    groups = create_optimizer(network, config).param_groups
    assert sorted(id(p) for g in groups for p in g["params"]) == sorted(map(id, network.parameters()))


@pytest.mark.parametrize("shape", [(8, 32), (32, 8), (16, 16)])
def test_muon_brings_singular_values_near_one(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    matrix = torch.randn(shape)
    found = orthogonalised(matrix)
    values = torch.linalg.svdvals(found)
    assert values.min() > 0.6
    assert values.max() < 1.3
    # The singular vectors stay: U V^T has the same left and right spaces, in the same order.
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    inside = u.mT @ found @ v.mT
    torch.testing.assert_close(inside, torch.diag(inside.diagonal()), atol=2e-3, rtol=0)


def test_preprocessing_is_the_backbones_own() -> None:
    backbone = create_backbone("convnext_base.fb_in22k")
    found = Preprocessing.of_backbone(backbone, None)
    assert (found.size, found.crop_pct, found.interpolation) == (224, 0.875, "bicubic")
    assert found.stored == 256
    assert Preprocessing.from_json(found.to_json()) == found


def test_the_middle_of_the_stored_square_is_what_the_network_sees() -> None:
    preprocessing = Preprocessing(size=4, crop_pct=0.5, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    images = torch.arange(64, dtype=torch.uint8).view(1, 1, 8, 8).expand(1, 3, 8, 8)
    assert preprocessing.middle(images)[0, 0, 0].tolist() == [18, 19, 20, 21]
    torch.testing.assert_close(preprocessing.normalise(images), images / 255)


def test_the_middle_beside_the_whole_is_a_closer_one() -> None:
    preprocessing = Preprocessing(size=12).with_views("whole+center")
    picture = np.zeros((64, 32, 4), np.uint8)
    picture[16:48] = 200  # as high as wide, and in the middle
    picture[16:18, :2] = picture[46:48, -2:] = 50  # its corners
    whole, middle = preprocessing.seen(picture)
    assert middle.min() == middle.max() == 200 and whole.min() < 100
    assert (preprocessing.views, preprocessing.decoded) == (2, 16)
    assert Preprocessing.from_json(preprocessing.to_json()) == preprocessing
    before = {key: value for key, value in preprocessing.to_json().items() if key != "second_pct"}
    _, old = Preprocessing.from_json(before).seen(picture)  # a model of an earlier version
    assert old.min() < 190


def test_new_heads_learn_faster_than_a_pretrained_backbone() -> None:
    network = Network(create_backbone("convnext_mini"), {"materials": 5})
    for layer_decay in (1.0, 0.7):
        config = TrainConfig(tune="full", layer_decay=layer_decay).resolved()
        rates = {
            parameter: group["peak_lr"]
            for group in create_optimizer(network, config).param_groups
            for parameter in group["params"]
        }
        assert len(rates) == len(list(network.parameters()))
        heads = {rates[parameter] for parameter in network.heads.parameters()}
        below = {rates[parameter] for parameter in network.backbone.parameters()}
        assert heads == {10 * config.lr} and max(below) <= config.lr


def test_statistics_of_batch_norm_can_be_kept_in_training() -> None:
    network = Network(create_backbone("tf_efficientnet_lite0"), {"materials": 5})
    images = torch.randn(2, 3, 32, 32)
    for keeps in (True, False):
        before = {name: value.clone() for name, value in network.backbone.named_buffers()}
        network.keeps_statistics = keeps
        network.train()(images)
        same = [torch.equal(before[name], value) for name, value in network.backbone.named_buffers()]
        assert all(same) if keeps else not any(same)


@pytest.mark.parametrize("broken", [{"size": 0}, {"interpolation": "magic"}, {"crop_mode": "x"}, {"mean": 1}])
def test_preprocessing_from_a_stranger_is_checked(broken: dict[str, object]) -> None:
    with pytest.raises(ModelError):
        Preprocessing.from_json(Preprocessing(size=64).to_json() | broken)
