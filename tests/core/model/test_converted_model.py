"""What was converted scores as PyTorch does, and PyTorch is not imported for it."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from eufcc_cli.core.errors import ModelError
from eufcc_cli.core.files import Root
from eufcc_cli.core.model import checkpoint, converted_model
from eufcc_cli.core.model.checkpoint import load_model, save_weights
from eufcc_cli.core.model.converted_model import load_converted
from eufcc_cli.core.model.inference.prediction import predict
from eufcc_cli.core.model.methods import METHODS
from eufcc_cli.core.model.model_files import WEIGHTS, read_config, save_config
from tests.core.evaluation.tiny import make_root, save_model

VISION = [name for name, method in METHODS.items() if not method.reads_texts]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Root:
    root = make_root(tmp_path_factory.mktemp("collection"))
    for seed, method in enumerate(VISION):
        save_model(root, method, method, seed)
    save_model(root, "heads", "softmax", 1)
    config = read_config(root.run("heads"))
    config["tune"] = "head"
    config["preprocessing"] |= {"crop_mode": "border", "mirror": True}
    save_config(root.run("heads"), config)
    return root


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, Path]]:
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    for number in range(3):
        pixels = random.integers(0, 255, (40, 60, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return [(path.name, path) for path in sorted(folder.iterdir())]


def scores(model: object, pictures: list[tuple[str, Path]]) -> list[dict[str, np.ndarray]]:
    found = [one.scores for one in predict(model, pictures)]  # type: ignore[arg-type]
    assert all(table is not None for table in found)
    return found  # type: ignore[return-value]


@pytest.mark.parametrize("name", [*VISION, "heads"])
def test_a_converted_model_scores_as_it_did_before(
    made: Root, pictures: list[tuple[str, Path]], name: str
) -> None:
    assert load_converted(name, made, "cpu", "fp32") is None  # nothing is converted yet
    model = load_model(name, made, "cpu", "fp32")
    expected = scores(model, pictures)
    converted = load_converted(name, made, "cpu", "fp32")
    assert converted is not None
    assert (converted.name, converted.digest, converted.precision) == (name, model.digest, "torch.float32")
    assert (converted.store is None) == (model.store is None)
    if model.store is not None and converted.store is not None:
        assert converted.store.folder == model.store.folder
    for one, other in zip(scores(converted, pictures), expected, strict=True):  # to the last bit
        assert one.keys() == other.keys()
        for facet in one:
            np.testing.assert_array_equal(one[facet], other[facet])


def test_where_pytorch_has_to_load_a_model(
    made: Root, monkeypatch: pytest.MonkeyPatch, pictures: list[tuple[str, Path]]
) -> None:
    save_model(made, "other", "softmax", 5)
    model = load_model("other", made, "cpu", "fp32")
    scores(model, pictures)
    monkeypatch.setenv("EUFCC_MACHINE", "cuda=0,bf16=false")
    assert load_converted("other", made, "auto", "auto") is not None
    for spec, device, precision in (
        ("other", "cuda", "auto"),
        ("other", "cpu", "fp16"),
        ("clip:ViT-B-32/openai", "cpu", "auto"),
    ):
        assert load_converted(spec, made, device, precision) is None
    monkeypatch.setenv("EUFCC_MACHINE", "cuda=1,bf16=false")
    assert load_converted("other", made, "auto", "auto") is None
    config = read_config(made.run("other"))
    save_config(made.run("other"), {**config, "plugins": ["theirs"]})
    assert load_converted("other", made, "cpu", "fp32") is None
    save_config(made.run("other"), config)
    with torch.no_grad():
        next(model.network.parameters()).add_(1)
    save_weights(made.run("other"), model.network)
    assert load_converted("other", made, "cpu", "fp32") is None  # other weights, another model


def test_memory_is_asked_before_a_model_is_read(
    made: Root, monkeypatch: pytest.MonkeyPatch, pictures: list[tuple[str, Path]]
) -> None:
    save_model(made, "large", "softmax", 7)
    scores(load_model("large", made, "cpu", "fp32"), pictures)
    monkeypatch.setattr(converted_model, "kept_network", pytest.fail)
    monkeypatch.setenv("EUFCC_MACHINE", "memory=1.2e8")  # what OpenVINO takes for any network
    with pytest.raises(ModelError, match=r"one image needs 0\.1 GB of memory, 0\.1 GB are free"):
        load_converted("large", made, "cpu", "fp32")
    monkeypatch.setattr(checkpoint, "load_weights", pytest.fail)
    weights = (made.run("large") / WEIGHTS).stat().st_size
    monkeypatch.setenv("EUFCC_MACHINE", f"memory={2 * weights}")
    with pytest.raises(ModelError, match="one image needs"):
        load_model("large", made, "cpu", "fp32")


def test_tag_does_not_import_pytorch_for_it(made: Root, pictures: list[tuple[str, Path]]) -> None:
    save_model(made, "light", "hsoftmax-levels", 6)
    (expected, *_) = scores(load_model("light", made, "cpu", "fp32"), pictures)
    code = (
        "import sys; from typer.testing import CliRunner; from eufcc_cli.cli import app\n"
        "done = CliRunner().invoke(app, sys.argv[1:])\n"
        "print(done.stdout, end=''); print([name for name in ('torch', 'pandas') if name in sys.modules])\n"
        "sys.exit(done.exit_code)"
    )
    arguments = ["--root", made.path, "tag", pictures[0][1], "--model", "light", "--device", "cpu"]
    arguments += ["--precision", "fp32", "--format", "jsonl", "--threshold", "0"]
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    line, imported = done.stdout.splitlines()
    assert imported == "[]"
    best = {facet: tags[0]["score"] for facet, tags in json.loads(line)["tags"].items()}
    for facet, table in expected.items():
        assert best[facet] == pytest.approx(float(np.exp(table).max()), abs=1e-3)
