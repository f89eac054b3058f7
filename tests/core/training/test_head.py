import dataclasses
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from eufcc_cli.core.errors import ModelError
from eufcc_cli.core.files import Root
from eufcc_cli.core.images.decode import open_pixels
from eufcc_cli.core.model.backbone.network import create_backbone
from eufcc_cli.core.model.checkpoint import load_model
from eufcc_cli.core.model.features import FeatureStore, FeatureTable
from eufcc_cli.core.model.inference.prediction import predict
from eufcc_cli.core.model.methods import METHODS
from eufcc_cli.core.model.model_files import read_config
from eufcc_cli.core.model.preprocessing import as_images
from eufcc_cli.core.taxonomy.decided_targets import with_decisions
from eufcc_cli.core.taxonomy.decisions import Decision
from eufcc_cli.core.taxonomy.tables.annotation_files import read_table
from eufcc_cli.core.taxonomy.vocabulary import FacetVocabulary, Targets
from eufcc_cli.core.training.configuration.config import TrainConfig
from eufcc_cli.core.training.heads import head
from eufcc_cli.core.training.heads.head import fit_heads
from eufcc_cli.core.training.heads.head_scores import Part, measure_heads, score_heads
from eufcc_cli.core.training.loading.data import load_split
from eufcc_cli.core.training.run import train_run
from tests.conftest import compute_by_pytorch

VISION_METHODS = [name for name, method in METHODS.items() if not method.reads_texts]
TAGS = FacetVocabulary(("metal", "bronze", "gold", "paper", "print"), (-1, 0, 0, -1, 3))


def part(images: int, seed: int, views: int = 1, width: int = 12, *, paths: bool = True) -> Part:
    """Features that tell tags apart, with noise; every eighth image is not annotated.

    Every image has one path, or any one tag.
    """
    random = np.random.default_rng(seed)
    tag = random.choice([1, 2, 4] if paths else range(len(TAGS)), images)
    centres = np.random.default_rng(99).normal(size=(len(TAGS), width))
    features = centres[tag][:, None] + random.normal(size=(images, views, width))
    annotated = np.arange(images) % 8 != 0
    indptr = np.concatenate([[0], np.cumsum(annotated)])
    targets = Targets(indptr, tag[annotated], annotated, {}, len(TAGS))
    targets = targets.closed(TAGS) if paths else targets
    cut = images // 3
    halves = [features[:cut].astype(np.float16), features[cut:].astype(np.float16)]
    where = np.array([(0, i) for i in range(cut)] + [(1, i) for i in range(images - cut)])
    return Part(FeatureTable(halves, where), {"materials": targets})


def fit(method: str, train: Part, validation: Part, **options: object) -> head.FittedHeads:
    counts = train.targets["materials"].counts()
    made = METHODS[method].for_facet(TAGS, counts)
    priors = {"materials": made.prior_bias(counts, int(train.targets["materials"].annotated.sum()))}
    return fit_heads(train, validation, {"materials": made}, priors, **options)


def test_a_softmax_head_is_scikit_learns_logistic_regression() -> None:
    from sklearn.linear_model import LogisticRegression

    train, validation = part(400, 0, paths=False), part(100, 1, paths=False)
    strength = 3e-3
    fitted = fit("softmax", train, validation, strengths=(1e-1, 1e-2, strength))
    heads = fitted.heads if fitted.strength == strength else None
    if heads is None:  # the validation split may prefer another
        heads = fit("softmax", train, validation, strengths=(strength,)).heads
    x = train.features.take(np.arange(400))[:, 0]
    mean, deviation = x.mean(0), x.std(0)
    targets = train.targets["materials"]
    rows = np.flatnonzero(targets.annotated)
    expected = LogisticRegression(C=1 / (2 * strength * len(rows)), tol=1e-8, max_iter=5000)
    expected.fit((x[rows] - mean) / deviation, targets.indices)
    (_, scores), *_ = score_heads(
        heads, validation.features, {"materials": METHODS["softmax"].for_facet(TAGS)}
    )
    y = validation.features.take(np.arange(100))[:, 0]
    wanted = expected.predict_log_proba((y - mean) / deviation)
    np.testing.assert_allclose(scores["materials"].numpy(), wanted, atol=2e-2)


@pytest.mark.parametrize("method", VISION_METHODS)
def test_every_method_learns_and_is_repeatable(method: str) -> None:
    train, validation = part(300, 2, views=2), part(120, 3, views=2)
    fitted = fit(method, train, validation)
    methods = {"materials": METHODS[method].for_facet(TAGS)}
    assert measure_heads(fitted.heads, validation, methods)["overall"]["r_precision"] > 0.7
    best = max(row["r_precision"] for row in fitted.history)
    assert best == next(r["r_precision"] for r in fitted.history if r["strength"] == fitted.strength)
    again = fit(method, train, validation)
    assert all(
        torch.equal(a, b) for a, b in zip(fitted.heads["materials"], again.heads["materials"], strict=True)
    )


@pytest.mark.parametrize("in_memory", [1 << 30, 0])
def test_heads_learn_from_images_of_which_only_rejected_tags_are_known(in_memory: int) -> None:
    train, validation = part(300, 2), part(120, 3)
    targets = train.targets["materials"]
    unknown = np.flatnonzero(~targets.annotated)
    rejected = Decision(time="", reviewer="", image="x", facet="materials", tag="bronze", verdict="rejected")
    decided = Part(
        train.features, {"materials": with_decisions(targets, TAGS, {row: [rejected] for row in unknown})}
    )
    methods = {"materials": METHODS["multilabel"].for_facet(TAGS)}
    of_unknown = FeatureTable(train.features.parts, train.features.where[unknown])
    before, after = (
        next(score_heads(fitted.heads, of_unknown, methods))[1]["materials"].exp().mean(0)
        for fitted in (fit("multilabel", one, validation, in_memory=in_memory) for one in (train, decided))
    )
    assert after[1] < before[1] - 0.03
    assert (after[2:] - before[2:]).abs().max() < 0.05  # nothing was said of the others


@pytest.mark.parametrize("method", ["softmax", "multilabel", "hsoftmax-nodes"])
def test_what_does_not_fit_into_memory_is_learnt_batch_by_batch(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(head, "_BATCH", 64)
    monkeypatch.setattr(head, "_FIRST", (240, 1.0))
    train, validation = part(1500, 4), part(200, 5)
    methods = {"materials": METHODS[method].for_facet(TAGS)}
    whole, parts = (fit(method, train, validation, in_memory=size) for size in (1 << 30, 0))
    figures = [
        measure_heads(found.heads, validation, methods)["overall"]["r_precision"] for found in (whole, parts)
    ]
    assert figures[1] > figures[0] - 0.03
    again = fit(method, train, validation, in_memory=0)
    assert torch.equal(again.heads["materials"][0], parts.heads["materials"][0])


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backbone that sees something, though it never learned anything."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "mini.safetensors"
    save_file(create_backbone("convnext_mini").state_dict(), path)
    return path


OWN = {"method": "softmax", "backbone": "convnext_mini", "image_size": 32, "device": "cpu"}


@pytest.fixture(scope="module")
def fitted(drawn: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with a run `heads`, computed by PyTorch."""
    root = Root(tmp_path_factory.mktemp("fitted") / "root")
    shutil.copytree(drawn, root.path)
    with pytest.MonkeyPatch.context() as patch:
        compute_by_pytorch(patch)
        train_run(TrainConfig(tune="head", weights=str(weights), **OWN), root, "heads")
    return root.path


def settings(weights: Path, **others: object) -> TrainConfig:
    return TrainConfig(
        tune="head", backbone="convnext_mini", weights=str(weights), image_size=32, device="cpu", **others
    )


def test_heads_on_stored_features_are_those_learnt_through_the_frozen_backbone(
    drawn: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Root(tmp_path / "root")
    shutil.copytree(drawn, root.path)
    strength = 3e-2
    monkeypatch.setattr(
        head.fit_heads, "__kwdefaults__", {**fit_heads.__kwdefaults__, "strengths": (strength,)}
    )
    monkeypatch.setattr(head, "_STEPS", 300)
    train_run(settings(weights, method="softmax", views="whole+mirror"), root, "heads")
    model = load_model("heads", root, "cpu", "fp32")
    split = load_split(root, "train", model.vocabulary, read_table(root.table("train")))
    split = split.without(np.flatnonzero(~split.annotated))
    seen = [model.preprocessing.seen(open_pixels(file, short_side=32)) for file in split.files]
    squares = as_images(np.concatenate(seen)).unflatten(0, (len(seen), 1))
    with torch.no_grad():
        features = model.features(squares)
    deviation = features.flatten(0, 1).std(0, unbiased=False)
    varies = deviation > 1e-3 * deviation.median()  # the last stage of images of 32 pixels is one pixel
    for facet, method in model.methods.items():
        # The problem is convex: where its gradient, through the backbone, is nothing, there is the solution.
        layer = model.network.heads[facet]
        rows = np.flatnonzero(split.targets[facet].annotated)
        truth = torch.from_numpy(split.targets[facet].dense(rows)).repeat_interleave(2, 0)
        logits = layer(features[rows].flatten(0, 1).clone())
        loss = method.loss(logits, truth).mean() + strength * (layer.weight * deviation).square().sum()
        loss.backward()
        assert float((layer.weight.grad / deviation)[:, varies].abs().max()) < 3e-3, facet
        assert float(layer.bias.grad.abs().max()) < 3e-3, facet


def test_the_saved_model_scores_images_as_features_did(drawn: Path, weights: Path, tmp_path: Path) -> None:
    root = Root(tmp_path / "root")
    shutil.copytree(drawn, root.path)
    trained = train_run(
        settings(weights, method="hsoftmax-levels", views="whole+center+mirror"), root, "heads"
    )
    assert [row["strength"] for row in trained.position.history] == list(head.STRENGTHS)
    model = load_model("heads", root, "cpu", "fp32")
    assert model.store is not None and model.preprocessing.views == 4
    validation = load_split(root, "val", model.vocabulary)
    items = [(str(row), file) for row, file in enumerate(validation.files)]

    def scores() -> list[dict[str, np.ndarray]]:
        return [found.scores for found in predict(model, items)]

    kept = scores()
    model.store = None
    fresh = scores()
    shutil.rmtree(root.data / "features")
    anew = load_model("heads", root, "cpu", "fp32")
    again = [found.scores for found in predict(anew, items)]
    for one, two, three in zip(kept, fresh, again, strict=True):
        for facet in one:
            np.testing.assert_allclose(one[facet], two[facet], atol=2e-2)
            np.testing.assert_allclose(one[facet], three[facet], atol=2e-2)
    record = read_config(root.run("heads"))
    assert record["finished"] and record["tune"] == "head" and "calibration" in record
    best = max(row["r_precision"] for row in trained.position.history)
    assert record["validation"]["overall"]["r_precision"] == pytest.approx(best, abs=1e-6)


@pytest.mark.usefixtures("by_pytorch")
def test_features_are_computed_once(
    fitted: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Root(shutil.copytree(fitted, tmp_path / "root"))
    monkeypatch.setattr("eufcc_cli.core.model.inference.decoding.read_images.open_pixels", None)
    train_run(settings(weights, method="multilabel"), root, "second")
    assert (root.run("second") / "model.safetensors").is_file()


def test_settings_that_contradict_each_other() -> None:
    for wrong in (
        {"tune": "head", "epochs": 3},
        {"tune": "head", "time_budget": 9.0},
        {"tune": "head", "pretrained": False},
        {"tune": "head", "method": "clip-1-tag"},
        {"views": "left"},
    ):
        with pytest.raises(ModelError):
            TrainConfig(**wrong)


def test_what_is_learnt_follows_from_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EUFCC_MACHINE", "cuda=0,mps=false")
    plain = TrainConfig().resolved()
    assert (plain.tune, plain.backbone, plain.views) == ("head", "tf_efficientnet_lite0", "whole+center")
    assert plain.method == "hsoftmax-levels"
    assert TrainConfig(backbone="auto").resolved() == plain
    full = TrainConfig(time_budget=60).resolved()
    assert (full.tune, full.method, full.batch_size, full.head_lr) == ("full", "multilabel", 16, 10.0)
    assert full.views == "whole+center"
    both = TrainConfig(tune="head-then-full").resolved()
    assert (both.method, both.head_lr, both.views) == ("hsoftmax-levels", None, "whole+center")
    scratch = TrainConfig(pretrained=False).resolved()
    assert (scratch.tune, scratch.backbone, scratch.batch_size) == ("full", "convnext_mini", 64)
    assert scratch.views == "center"
    monkeypatch.setenv("EUFCC_MACHINE", "cuda=1,mps=false")
    gpu = TrainConfig().resolved()
    assert (gpu.tune, gpu.backbone, gpu.views) == ("full", "convnext_base.fb_in22k", "center")
    assert (gpu.method, gpu.batch_size, gpu.lr) == ("multilabel", 64, 3e-4)
    assert TrainConfig(device="cpu").resolved() == dataclasses.replace(plain, device="cpu")


@pytest.mark.usefixtures("by_pytorch")
def test_everything_is_learnt_from_the_heads_on(fitted: Path, weights: Path, tmp_path: Path) -> None:
    root = Root(shutil.copytree(fitted, tmp_path / "root"))
    own = {"weights": str(weights), "all_stages": True, **OWN}
    config = TrainConfig(tune="head-then-full", epochs=1, lr=1e-9, **own)
    trained = train_run(config, root, "both")
    heads, both = (load_model(name, root, "cpu", "fp32") for name in ("heads", "both"))
    # With a learning rate of nearly nothing it still is where the heads are.
    for name, tensor in heads.network.state_dict().items():
        torch.testing.assert_close(both.network.state_dict()[name], tensor, atol=1e-5, rtol=1e-4)
    assert both.store is None and both.preprocessing == heads.preprocessing
    assert len(trained.position.history) == 1 and "strength" not in trained.position.history[0]


@pytest.mark.usefixtures("by_pytorch")
def test_what_fine_tuning_makes_worse_is_not_kept(fitted: Path, weights: Path, tmp_path: Path) -> None:
    root = Root(shutil.copytree(fitted, tmp_path / "root"))
    own = {"weights": str(weights), "all_stages": True, **OWN}
    broken = TrainConfig(tune="head-then-full", epochs=1, lr=10.0, clip_grad=0.0, **own)
    trained = train_run(broken, root, "both")
    assert (
        trained.position.best_epoch == 0
        and trained.position.best > trained.position.history[0]["r_precision"]
    )
    heads, both = (load_model(name, root, "cpu", "fp32") for name in ("heads", "both"))
    for name, tensor in heads.network.state_dict().items():
        torch.testing.assert_close(both.network.state_dict()[name], tensor)


@pytest.mark.usefixtures("by_pytorch")
def test_trainings_at_once_compute_no_feature_twice(
    drawn: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Root(tmp_path / "root")
    shutil.copytree(drawn, root.path)
    computed: list[bytes] = []
    add = FeatureStore.add

    def counted(store: FeatureStore, image: bytes, features: np.ndarray) -> None:
        computed.append(image)
        add(store, image, features)

    monkeypatch.setattr(FeatureStore, "add", counted)
    with ThreadPoolExecutor(2) as pool:
        trained = [pool.submit(train_run, settings(weights), root, name) for name in ("one", "two")]
        one, two = (found.result() for found in trained)
    assert one.validation["overall"] == two.validation["overall"]
    assert len(computed) == len(set(computed)) > 0
