from importlib.metadata import PackagePath
from pathlib import Path

import pytest
import timm
import torch

from eufcc_cli.core.errors import ModelError
from eufcc_cli.core.model.backbone import bundled_weights
from eufcc_cli.core.model.backbone.bundled_weights import BUNDLED, load_bundled_weights
from eufcc_cli.core.model.backbone.network import create_backbone
from eufcc_cli.core.model.preprocessing import Preprocessing, as_images

_SHOES = [514, 570, 630, 770, 774, 788]  # ImageNet: boot, clog (as sabot), loafer, running shoe, sandal, shop


@pytest.fixture(autouse=True)
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def test_the_classifier_recognises_shoes_among_real_photographs(shared_data: Path) -> None:
    model = timm.create_model(BUNDLED)
    load_bundled_weights(model)
    model.eval()
    preprocessing = Preprocessing.of_backbone(model, None)
    assert preprocessing.mean == preprocessing.std == (0.5, 0.5, 0.5)

    def share(kind: str) -> float:
        files = sorted((shared_data / "clothing" / "images").glob(f"clothing_te_{kind}_*.jpg"))
        squares = torch.cat([as_images(preprocessing.load(file)[None]) for file in files])
        with torch.inference_mode():
            classes = model(preprocessing.normalise(preprocessing.middle(squares))).topk(3).indices
        return float(torch.isin(classes, torch.tensor(_SHOES)).any(1).float().mean())

    assert share("shoes") > 0.8 > 0.2 > share("dress")


def test_a_backbone_has_the_same_tensors_with_and_without_classifier() -> None:
    backbone = create_backbone(BUNDLED, pretrained=True)
    model = timm.create_model(BUNDLED)
    load_bundled_weights(model)
    for name, tensor in backbone.state_dict().items():
        torch.testing.assert_close(tensor, model.state_dict()[name])
    assert float(model.get_classifier().weight.detach().std()) > 0.01
    untouched = create_backbone(BUNDLED, pretrained=False).state_dict()["conv_stem.weight"]
    assert not torch.equal(untouched, backbone.state_dict()["conv_stem.weight"])


def test_a_changed_or_missing_file_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    changed = tmp_path / bundled_weights._FILE
    changed.write_bytes(b"\x80\x02}q\x00.")

    class Changed(PackagePath):
        def locate(self) -> Path:
            return changed

    monkeypatch.setattr(bundled_weights, "files", lambda name: [Changed(bundled_weights._FILE)])
    with pytest.raises(ModelError, match="not the file that was published"):
        create_backbone(BUNDLED, pretrained=True)
    monkeypatch.setattr(bundled_weights, "files", lambda name: [])
    with pytest.raises(ModelError, match="not installed"):
        create_backbone(BUNDLED, pretrained=True)
