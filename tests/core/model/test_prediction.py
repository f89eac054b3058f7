"""Prediction: every item once, in order, not too far ahead, whatever happens on the way."""

import dataclasses
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from eufcc_cli.core.devices import select_precision
from eufcc_cli.core.errors import ImageError, ModelError
from eufcc_cli.core.files import Root
from eufcc_cli.core.model.backbone.memory import Peak
from eufcc_cli.core.model.backbone.network import Network, create_backbone
from eufcc_cli.core.model.checkpoint import load_model, save_weights
from eufcc_cli.core.model.inference.batching import STEADY
from eufcc_cli.core.model.inference.inference_memory import inference_memory
from eufcc_cli.core.model.inference.prediction import predict, predict_batches
from eufcc_cli.core.model.model_files import save_config
from eufcc_cli.core.model.preprocessing import Preprocessing
from eufcc_cli.core.model.tagging_model import TaggingModel, build_methods
from eufcc_cli.core.taxonomy.vocabulary import FacetVocabulary, Vocabulary

VOCABULARY = Vocabulary({"materials": FacetVocabulary(("metal", "bronze", "wood"), (-1, 0, -1))})


@pytest.fixture(scope="module")
def model(processor: str) -> TaggingModel:
    torch.manual_seed(0)
    network = Network(create_backbone("convnext_mini"), {"materials": 3})
    methods = build_methods("multilabel", VOCABULARY)
    network.eval().to(memory_format=torch.channels_last)
    return TaggingModel(
        "random",
        "multilabel",
        VOCABULARY,
        network,
        methods,
        Preprocessing(size=32),
        precision=select_precision("auto", torch.device("cpu"), inference=True),
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    paths = []
    for number in range(70):
        path = folder / f"{number:02d}.png"
        Image.fromarray(rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(path)
        paths.append(path)
    paths[5].write_bytes(b"")
    paths[69].unlink()
    return paths


def items(files: list[Path]) -> list[tuple[str, Path]]:
    return [(path.name, path) for path in files]


def test_order_and_errors(model: TaggingModel, files: list[Path]) -> None:
    for batch_size in (1, 7, 64, 100, None):
        predictions = list(predict(model, items(files), batch_size=batch_size))
        assert [prediction.key for prediction in predictions] == [path.name for path in files]
        assert [p.key for p in predictions if p.error] == ["05.png", "69.png"]
        assert all((p.scores is None) == (p.error is not None) for p in predictions)
    assert list(predict(model, [])) == []
    (only,) = predict(model, [("none", Path("none"))])
    assert only.error == "cannot read: No such file or directory"


def test_scores_do_not_depend_on_the_batch(model: TaggingModel, files: list[Path]) -> None:
    def scores(**options: int) -> np.ndarray:
        found = predict(model, items(files), **options)
        return np.stack([p.scores["materials"] for p in found if p.scores is not None])

    whole = scores(batch_size=64, smallest_batch=STEADY)
    assert (scores(batch_size=32, smallest_batch=STEADY) == whole).all()
    assert (scores(batch_size=23, smallest_batch=STEADY) == whole).all()
    assert (scores(batch_size=1, smallest_batch=STEADY) == whole).all()
    assert np.abs(scores(batch_size=1) - whole).max() < 1e-4


def test_the_number_of_threads_changes_no_scores(model: TaggingModel, files: list[Path]) -> None:
    def scores() -> np.ndarray:
        found = predict(model, items(files), batch_size=STEADY)
        return np.stack([p.scores["materials"] for p in found if p.scores is not None][: 3 * STEADY])

    asked = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        single = scores()
        torch.set_num_threads(4)
        assert (scores() == single).all()
        with ThreadPoolExecutor(1) as new:
            assert torch.get_num_threads() == new.submit(torch.get_num_threads).result() == 4
    finally:
        torch.set_num_threads(asked)


def test_a_batch_that_fails_ends_the_predictions_in_its_place(
    model: TaggingModel, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(features: torch.Tensor) -> dict[str, torch.Tensor]:
        if len(features) == 7:  # the second batch below, in which one file is broken
            raise ModelError("the network is gone")
        return TaggingModel.scores_of(model, features)

    monkeypatch.setattr(model, "scores_of", failing)
    wanted = [*files[8:16], *files[:8], *files[16:48]]
    keys: list[str] = []
    with pytest.raises(ModelError, match="is gone"):
        keys.extend(prediction.key for prediction in predict(model, items(wanted), batch_size=8))
    assert keys == [path.name for path in files[8:16]]


def test_several_models_score_the_same_image(model: TaggingModel, files: list[Path]) -> None:
    other = TaggingModel(
        "larger", "multilabel", VOCABULARY, model.network, model.methods, Preprocessing(size=48)
    )
    single = list(predict(model, items(files)))
    together = list(predict_batches([model, other], items(files)))
    assert [error for batch in together for error in batch.errors] == [one.error for one in single]
    scores = np.stack([one.scores["materials"] for one in single if one.scores is not None])
    first, second = (
        np.concatenate([batch.tables[number]["materials"] for batch in together]) for number in range(2)
    )
    assert (first == scores).all()
    assert (first != second).any(1).all()


def test_sources_may_be_functions(model: TaggingModel, files: list[Path]) -> None:
    def broken() -> bytes:
        raise ImageError("cannot fetch: HTTP 404")

    first, second, third = predict(model, [("a", files[0]), ("b", files[0].read_bytes), ("c", broken)])
    assert (first.scores["materials"] == second.scores["materials"]).all()
    assert third.error == "cannot fetch: HTTP 404"


def test_an_eager_prediction_does_not_wait_for_a_full_batch(model: TaggingModel, files: list[Path]) -> None:
    told = threading.Event()

    def slow() -> Iterator[tuple[str, Path]]:
        yield "first", files[0]
        assert told.wait(100), "the first result did not come before the second item"
        yield "second", files[1]

    predictions = predict(model, slow(), eager=True)
    assert next(predictions).key == "first"
    told.set()
    assert next(predictions).key == "second"
    assert next(predictions, None) is None


def test_only_a_few_batches_are_read_ahead(model: TaggingModel, files: list[Path]) -> None:
    taken = 0

    def counted() -> Iterator[tuple[str, Path]]:
        nonlocal taken
        for number in range(10_000):
            taken += 1
            yield str(number), files[0]

    predictions = predict(model, counted(), batch_size=8)
    next(predictions)
    time.sleep(0.3)
    assert taken <= 8 * 6  # three batches that wait, and those that are computed
    predictions.close()


def test_what_the_source_raises_comes_after_what_it_gave(model: TaggingModel, files: list[Path]) -> None:
    def failing() -> Iterator[tuple[str, Path]]:
        yield "first", files[0]
        raise ModelError("the list ends here")

    predictions = predict(model, failing())
    assert next(predictions).key == "first"
    with pytest.raises(ModelError, match="ends here"):
        next(predictions)


def test_left_early_it_leaves_no_threads(model: TaggingModel, files: list[Path]) -> None:
    before = threading.active_count()
    predictions = predict(model, items(files) * 50, batch_size=4)
    next(predictions)
    predictions.close()
    deadline = time.monotonic() + 100
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert threading.active_count() <= before


def test_a_batch_that_does_not_fit_is_halved(
    model: TaggingModel, files: list[Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(model, "engine", lambda: None)
    expected = list(predict(model, items(files), batch_size=64))
    most = 10

    def small(squares: torch.Tensor) -> torch.Tensor:
        if len(squares) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return TaggingModel.features(model, squares)

    monkeypatch.setattr(model, "features", small)
    found = list(predict(model, items(files), batch_size=64))
    assert "do not fit" in caplog.text
    # In bf16 a processor adds up a batch of another size in another order.
    tolerance = 1e-4 if model.precision == torch.float32 else 2e-2
    for one, other in zip(expected, found, strict=True):
        assert one.key == other.key
        if one.scores is not None:
            assert np.allclose(one.scores["materials"], other.scores["materials"], atol=tolerance)
    most = 0
    with pytest.raises(ModelError, match="too little memory"):
        list(predict(model, items(files)))


def test_memory_is_asked_before_it_is_taken(
    model: TaggingModel, files: list[Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    once, image = inference_memory(model, engine=False)
    monkeypatch.setattr(TaggingModel, "has_engine", False)
    expected = list(predict(model, items(files)))
    machine = os.environ.get("EUFCC_MACHINE", "")
    monkeypatch.setenv("EUFCC_MACHINE", f"{machine},memory={(once + 20.5 * image) / 0.9}")
    found = list(predict(model, items(files)))
    assert "20 images at once are what fits" in caplog.text
    assert [one.error for one in found] == [one.error for one in expected]
    monkeypatch.setenv("EUFCC_MACHINE", f"{machine},memory={once / 0.9}")
    with pytest.raises(ModelError, match="one image needs"):
        list(predict(model, items(files)))
    monkeypatch.undo()
    monkeypatch.setenv("EUFCC_MACHINE", f"{machine},memory=1e8")
    with pytest.raises(ModelError, match="one image needs"):  # nor is there room for an engine
        list(predict(model, items(files)))


def test_what_an_image_is_expected_to_take_is_what_it_takes(model: TaggingModel) -> None:
    squares = torch.zeros(8, 1, 3, 32, 32, dtype=torch.uint8)
    exact = dataclasses.replace(model, precision=torch.float32)
    with Peak() as peak:
        exact.features(squares)
    _, image = inference_memory(exact, engine=False)
    assert 0.75 * peak.bytes < 8 * image < 1.25 * peak.bytes


@pytest.mark.parametrize("backbone", ["test_convnext", "test_coatnet"])
def test_a_loaded_model_is_the_saved_one(tmp_path: Path, backbone: str) -> None:
    """One backbone whose tensors are all in the file, and one that computes some as it is built."""
    torch.manual_seed(1)
    network = Network(create_backbone(backbone), {"materials": 3}).eval()
    save_weights(tmp_path / "runs" / "m", network)
    config = {
        "name": "m",
        "method": "multilabel",
        "backbone": backbone,
        "preprocessing": Preprocessing(size=160).to_json(),
        "vocabulary": VOCABULARY.to_json(),
    }
    save_config(tmp_path / "runs" / "m", config)
    model = load_model("m", Root(tmp_path), device="cpu", precision="fp32")
    images = torch.rand(2, 3, 160, 160)
    with torch.inference_mode():
        assert torch.allclose(model.network(images)["materials"], network(images)["materials"], atol=1e-5)
    assert not any(tensor.is_meta for tensor in model.network.state_dict().values())
