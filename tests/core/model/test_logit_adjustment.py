import math
from pathlib import Path

import numpy as np
import pytest
import torch

from eufcc_cli.core.errors import ModelError
from eufcc_cli.core.files import Root
from eufcc_cli.core.model.backbone.network import Network
from eufcc_cli.core.model.checkpoint import load_model
from eufcc_cli.core.model.logit_adjustment import adjust_logits
from eufcc_cli.core.model.methods import METHODS
from eufcc_cli.core.model.model_files import TAG_IMAGES
from eufcc_cli.core.model.preprocessing import Preprocessing
from eufcc_cli.core.model.tagging_model import TaggingModel, build_methods
from eufcc_cli.core.taxonomy.tables.annotation_files import read_table
from eufcc_cli.core.taxonomy.vocabulary import FacetVocabulary, Vocabulary
from tests.oracles import method_scores

VISION = [name for name, method in METHODS.items() if not method.reads_texts]
PARENTS = (-1, 0, 0, 2, -1, 4)
COUNTS, IMAGES = [90, 3, 60, 0, 10, 10], 100


def small_model(method: str, **config: object) -> TaggingModel:
    words = Vocabulary({"materials": FacetVocabulary(tuple("abcdef"), PARENTS)})
    methods = build_methods(method, words, {"materials": np.array(COUNTS)})
    backbone = torch.nn.Flatten()
    backbone.num_features = 4  # type: ignore[assignment]
    torch.manual_seed(1)
    network = Network(backbone, {f: made.outputs for f, made in methods.items()}).eval()
    return TaggingModel("small", method, words, network, methods, Preprocessing(2), dict(config))


SEEN = {TAG_IMAGES: {"materials": {"images": IMAGES, "tags": COUNTS}}}


@pytest.mark.parametrize("tau", [0.5, 1.0])
@pytest.mark.parametrize("method", VISION)
def test_scores_are_those_of_logits_less_the_log_of_the_share(method: str, tau: float) -> None:
    model = small_model(method, **SEEN, calibration={"facets": {}})
    features = torch.randn(3, 1, 4)
    with torch.no_grad():
        logits = model.network.logits(features[:, 0])["materials"].tolist()
    before = model.digest
    adjust_logits(model, tau)
    found = model.scores_of(features)["materials"].exp()
    for row, z in zip(found, logits, strict=True):
        shifted = {
            tag: value - tau * math.log((COUNTS[tag] + 0.5) / (IMAGES + 1)) for tag, value in enumerate(z)
        }
        assert row.tolist() == pytest.approx(method_scores(method, PARENTS, shifted), rel=1e-4)
    assert model.digest != before and "calibration" not in model.config


def test_rare_tags_gain_on_frequent_ones() -> None:
    model = small_model("softmax", **SEEN)
    features = torch.randn(1, 1, 4)
    before = model.scores_of(features)["materials"][0]
    adjust_logits(model, 1.0)
    gain = model.scores_of(features)["materials"][0] - before
    assert gain.argsort().tolist() == sorted(range(6), key=lambda tag: (-COUNTS[tag], tag))


def test_what_cannot_be_adjusted_is_named() -> None:
    with pytest.raises(ModelError, match="frequencies of its tags") as caught:
        adjust_logits(small_model("softmax"), 1.0)
    assert caught.value.hint
    model = small_model("softmax", **SEEN)
    model.network = torch.nn.Identity()
    with pytest.raises(ModelError, match="has no heads"):
        adjust_logits(model, 1.0)


def test_training_leaves_the_frequencies_in_the_model(trained: Path) -> None:
    root = Root(trained)
    seen = load_model("small", root, "cpu").config[TAG_IMAGES]
    table = read_table(root.table("train"))
    tags = load_model("small", root, "cpu").vocabulary.facets["materials"].tags
    cells = [set(cell.replace(" $ ", " | ").split(" | ")) for cell in table["materials.hierarchy"] if cell]
    assert seen["materials"]["images"] == len(cells)
    assert seen["materials"]["tags"] == [sum(tag in cell for cell in cells) for tag in tags]
