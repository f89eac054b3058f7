import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from eufcc_cli.core.model.backbone.network import Network, create_backbone
from eufcc_cli.core.model.backbone.openvino_engine import open_engine
from eufcc_cli.core.model.methods import METHODS
from eufcc_cli.core.model.preprocessing import Preprocessing, as_images
from eufcc_cli.core.model.tagging_model import TaggingModel
from eufcc_cli.core.taxonomy.vocabulary import FacetVocabulary, Vocabulary

VOCABULARY = Vocabulary({"materials": FacetVocabulary(("metal", "bronze", "paper"), (-1, 0, -1))})


def tagging_model(backbone: str, size: int, views: str, *, pretrained: bool = False) -> TaggingModel:
    torch.manual_seed(0)
    network = Network(create_backbone(backbone, pretrained=pretrained), {"materials": 3}).eval()
    preprocessing = Preprocessing.of_backbone(network.backbone, size).with_views(views)
    methods = {"materials": METHODS["softmax"].for_facet(VOCABULARY.facets["materials"])}
    return TaggingModel("m", "softmax", VOCABULARY, network, methods, preprocessing)


@pytest.mark.parametrize(
    ("backbone", "size", "views", "pretrained"),
    [
        ("convnext_mini", 32, "whole+center+mirror", False),
        ("tf_efficientnet_lite0", 64, "whole+mirror", True),
        ("test_vit", 160, "center", False),
    ],
)
def test_features_and_scores_are_those_of_pytorch(
    backbone: str, size: int, views: str, pretrained: bool
) -> None:
    model = tagging_model(backbone, size, views, pretrained=pretrained)
    random = np.random.default_rng(0)
    photographs = random.integers(0, 255, (5, 50, 70, 4), dtype=np.uint8)
    squares = [model.preprocessing.seen(pixels) for pixels in photographs]
    engine = model.engine()
    assert engine is not None and model.engine() is engine
    found = torch.from_numpy(engine.features(squares))
    expected = model.features(as_images(np.concatenate(squares)).unflatten(0, (5, -1)))
    assert found.shape == expected.shape == (5, model.preprocessing.views, model.network.width)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(model.scores_of(found), model.scores_of(expected), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_features_do_not_depend_on_the_number_of_threads(precision: torch.dtype) -> None:
    """To the last bit. PyTorch's may: with three threads this network's differ by 1e-6."""
    model = tagging_model("test_convnext3", 64, "center")
    squares = list(np.random.default_rng(0).integers(0, 255, (16, 1, 64, 64, 3), dtype=np.uint8))
    found = []
    for threads in (1, 3):
        engine = open_engine(model.network.backbone, model.preprocessing, threads, precision)
        assert engine is not None
        found.append(engine.features(squares))
    np.testing.assert_array_equal(*found)


def test_changed_weights_make_another_engine() -> None:
    model = tagging_model("test_convnext3", 32, "center")
    square = [np.random.default_rng(0).integers(0, 255, (1, 32, 32, 3), dtype=np.uint8)]
    before = model.engine().features(square)
    with torch.no_grad():
        model.network.backbone.stem[0].weight.neg_()
    after = model.engine().features(square)
    assert np.abs(after - before).max() > 1e-3
    expected = model.features(as_images(square[0])[None])
    np.testing.assert_allclose(after, expected.numpy(), atol=1e-4)


def test_what_was_converted_is_kept_and_may_be_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tagging_model("test_convnext3", 32, "center")
    settings = (model.network.backbone, model.preprocessing, 1, torch.float32, tmp_path)
    square = [np.full((1, 32, 32, 3), 99, np.uint8)]
    first = open_engine(*settings).features(square)
    (kept,) = tmp_path.glob("*.xml")
    with monkeypatch.context() as patch:
        patch.setattr("openvino.convert_model", None)  # it need not be converted again
        np.testing.assert_array_equal(open_engine(*settings).features(square), first)
    kept.write_text("<net")
    np.testing.assert_array_equal(open_engine(*settings).features(square), first)
    assert "</net>" in kept.read_text()


def test_where_openvino_cannot_pytorch_does(monkeypatch: pytest.MonkeyPatch) -> None:
    def unable(*args: object, **options: object) -> None:
        raise RuntimeError("no such operation")

    monkeypatch.setattr("openvino.convert_model", unable)
    assert tagging_model("test_convnext3", 32, "center").engine() is None


def test_openvino_does_not_report_its_use() -> None:
    code = (
        "import sys, multiprocessing.process as processes\n"
        "from eufcc_cli.core.model.backbone.openvino_engine import silent_openvino\n"
        "silent_openvino().Core()\n"
        "print(sys.modules['openvino_telemetry'], len(processes._children), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["None", "0", "False"], done.stderr
