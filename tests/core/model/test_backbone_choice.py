"""Which backbone `auto` takes: a downloaded one where it is there and fast enough, asking no hub."""

from pathlib import Path

import pytest
import timm
from safetensors.torch import save_file

from eufcc_cli.core.model.backbone import backbone_choice
from eufcc_cli.core.model.backbone.backbone_choice import CANDIDATES, Candidate, best_downloaded
from eufcc_cli.core.model.backbone.network import create_backbone
from eufcc_cli.core.training.configuration.config import TrainConfig

NAME = "convnext_atto.d2_in1k"
REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub, a machine of two cores without a GPU, and no network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.file_download.HF_HUB_CACHE", str(tmp_path), raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("socket.socket.connect", None)
    monkeypatch.setenv("EUFCC_MACHINE", "cuda=0,mps=false")
    monkeypatch.setattr(backbone_choice, "cores", lambda: 2)
    monkeypatch.setattr(backbone_choice, "CANDIDATES", (Candidate(NAME, 60.0), Candidate("vit_tiny.x", 90.0)))
    return tmp_path


def download(cache: Path) -> None:
    """As the hub's library leaves it: a revision's files, and the revision of the branch."""
    repository = cache / f"models--timm--{NAME}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(REVISION)
    folder = repository / "snapshots" / REVISION
    folder.mkdir(parents=True)
    save_file(timm.create_model(NAME, pretrained=False).state_dict(), folder / "model.safetensors")


def test_a_downloaded_backbone_is_taken_where_it_is_fast_enough(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert best_downloaded()[0] == TrainConfig().resolved().backbone == "tf_efficientnet_lite0"
    download(cache)
    assert TrainConfig().resolved().backbone == NAME
    assert "downloaded before" in TrainConfig().why()
    assert create_backbone(NAME, pretrained=True).num_features == 320  # its weights come from the cache
    # Not for a training through the backbone, nor where it would take too long.
    assert TrainConfig(time_budget=60).resolved().backbone == "tf_efficientnet_lite0"
    monkeypatch.setattr(backbone_choice, "CANDIDATES", (Candidate(NAME, 2.0),))
    assert best_downloaded()[0] == "tf_efficientnet_lite0"


def test_every_candidate_is_one_of_timms_published_backbones() -> None:
    for candidate in CANDIDATES:
        config = timm.get_pretrained_cfg(candidate.name)
        assert config is not None and config.hf_hub_id in ("timm/", f"timm/{candidate.name}")
