import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from eufcc_cli.core.errors import DataError, ModelError
from eufcc_cli.core.files import Root
from eufcc_cli.core.model.backbone.network import Network, create_backbone
from eufcc_cli.core.model.checkpoint import load_model
from eufcc_cli.core.taxonomy.tables.annotation_files import read_table
from eufcc_cli.core.taxonomy.tables.annotations import PROVIDER
from eufcc_cli.core.training.configuration.config import TrainConfig
from eufcc_cli.core.training.loading.data import Split
from eufcc_cli.core.training.loop import interpolation
from eufcc_cli.core.training.loop.interpolation import GRID, between, hold_out
from eufcc_cli.core.training.run import train_run
from eufcc_cli.core.training.state.training_state import START
from tests.conftest import compute_by_pytorch

pytestmark = pytest.mark.usefixtures("by_pytorch")
OWN = {
    "method": "softmax", "backbone": "test_convnext3", "image_size": 32, "device": "cpu", "lr": 3e-3,
    "batch_size": 64, "all_stages": True,
}  # fmt: skip


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "mini.safetensors"
    save_file(create_backbone("test_convnext3").state_dict(), path)
    return str(path)


@pytest.fixture(scope="module")
def ends(drawn: Path, weights: str, tmp_path_factory: pytest.TempPathFactory) -> Root:
    """A root with the run `start`, heads on features, and `end`, which went on from there."""
    root = Root(tmp_path_factory.mktemp("ends") / "root")
    shutil.copytree(drawn, root.path)
    with pytest.MonkeyPatch.context() as patch:
        compute_by_pytorch(patch)
        train_run(TrainConfig(tune="head", weights=weights, **OWN), root, "start")
        train_run(TrainConfig(interpolate="1", epochs=2, weights=weights, **OWN), root, "end")
    return root


def tensors(root: Root, name: str) -> dict[str, torch.Tensor]:
    return load_file(root.run(name) / "model.safetensors")


def split_of(providers: list[str]) -> Split:
    frame = pd.DataFrame({PROVIDER: providers})
    return Split("train", frame, [Path(str(i)) for i in range(len(frame))], {}, 0)


def test_weights_between_are_those_of_the_formula() -> None:
    start = {"w": torch.tensor([0.0, 2.0]), "batches": torch.tensor(3)}
    end = {"w": torch.tensor([1.0, 4.0]), "batches": torch.tensor(9)}
    half = between(start, end, 0.25)
    assert half["w"].tolist() == [0.25, 2.5] and int(half["batches"]) == 9
    assert all(torch.equal(between(start, end, 1.0)[name], end[name]) for name in end)
    assert torch.equal(between(start, end, 0.0)["w"], start["w"])


def test_a_number_goes_so_far_from_the_fitted_heads_interrupted_or_not(ends: Root, weights: str) -> None:
    config = TrainConfig(interpolate="0.25", epochs=2, weights=weights, **OWN)

    def stop(row: dict[str, float]) -> None:
        if row["epoch"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_run(config, ends, "way", on_epoch=stop)
    assert (ends.run("way") / START).is_file()
    trained = train_run(config, ends, "way", resume=True)
    start, end, found = (tensors(ends, name) for name in ("start", "end", "way"))
    for name in end:
        expected = 0.75 * start[name].double() + 0.25 * end[name].double()
        torch.testing.assert_close(found[name].double(), expected, atol=1e-5, rtol=1e-4)
    assert trained.interpolation is not None and trained.interpolation.a == 0.25
    record = json.loads((ends.run("way") / "config.json").read_text())
    assert record["interpolation"] == {"a": 0.25} and record["tune"] == "head-then-full"
    assert not (ends.run("way") / START).exists()


def test_auto_is_chosen_on_providers_that_were_not_learnt_from(
    ends: Root, weights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[set[str]] = []
    real = interpolation.interpolate

    def spy(network, folder, amount, held_out, validation):  # type: ignore[no-untyped-def]
        seen.append(set(validation.split.frame[PROVIDER]))
        return real(network, folder, amount, held_out, validation)

    monkeypatch.setattr("eufcc_cli.core.training.run.interpolate", spy)
    plans = []
    config = TrainConfig(interpolate="auto", epochs=1, weights=weights, **OWN)
    trained = train_run(config, ends, "auto", on_plan=plans.append)
    found = trained.interpolation
    assert found is not None and found.held_out is not None and found.r_precision is not None
    assert seen == [set(found.held_out.providers)]
    train = read_table(ends.table("train"))
    outside = int(train[PROVIDER].isin(found.held_out.providers).sum())
    assert plans[0].held_out == found.held_out
    assert len(found.held_out.split) == outside and plans[0].images + outside == len(train)
    assert tuple(found.r_precision) == GRID
    assert found.r_precision[found.a] == max(found.r_precision.values())
    record = json.loads((ends.run("auto") / "config.json").read_text())
    assert record["interpolation"]["held_out"] == list(found.held_out.providers)
    assert record["images"] == plans[0].images


def test_which_providers_are_held_out() -> None:
    names = [f"museum {i % 20}" for i in range(400)]
    kept, held = hold_out(split_of(names), seed=0)
    assert 40 <= len(held.split) <= 60 and len(kept) + len(held.split) == 400
    assert set(held.split.frame[PROVIDER]) == set(held.providers)
    assert not set(kept.frame[PROVIDER]) & set(held.providers)
    assert hold_out(split_of(names), seed=0)[1].providers == held.providers
    _, small = hold_out(split_of(["large"] * 70 + ["small"] * 30 + [""] * 5), seed=1)
    assert small.providers == ("small",)


@pytest.mark.parametrize("names", [["one"] * 9, [""] * 9, ["one"] * 9 + [""] * 3, ["a"] * 5 + ["b"] * 5])
def test_where_no_provider_can_be_spared_a_number_is_asked_for(names: list[str]) -> None:
    with pytest.raises(DataError, match="`interpolate` auto") as caught:
        hold_out(split_of(names), seed=0)
    assert caught.value.hint


@pytest.mark.parametrize(
    "wrong",
    [
        {"interpolate": "1.5"},
        {"interpolate": "most"},
        {"interpolate": "nan"},
        {"interpolate": "0.5", "pretrained": False},
        {"interpolate": "auto", "tune": "full"},
        {"interpolate": "auto", "tune": "head"},
    ],
)
def test_what_cannot_be_interpolated_is_named(wrong: dict[str, object]) -> None:
    with pytest.raises(ModelError, match="`interpolate`") as caught:
        TrainConfig(**wrong)  # type: ignore[arg-type]
    assert caught.value.hint


def test_interpolation_begins_with_heads_and_clip_with_its_published_weights() -> None:
    assert TrainConfig(interpolate="auto").resolved().tune == "head-then-full"
    assert TrainConfig(interpolate="auto", method="clip-1-tag").resolved().tune is None


def test_batch_norm_moves_where_it_is_learnt_and_stays_where_it_is_frozen() -> None:
    network = Network(create_backbone("resnet10t"), {"materials": 2})
    frozen = network.backbone.layer1
    frozen.requires_grad_(False)
    network.train()
    before = {name: value.clone() for name, value in network.state_dict().items() if "running" in name}
    network(torch.randn(4, 3, 32, 32))
    after = network.state_dict()
    moved = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert moved == {name for name in before if not name.startswith("backbone.layer1.")}
    network.eval().train()
    assert not any(norm.training for norm in frozen.modules() if isinstance(norm, torch.nn.BatchNorm2d))
    assert np.all([norm.training for name, norm in network.named_modules() if name.endswith("layer2.0.bn1")])


def test_batch_norm_keeps_the_published_statistics_in_small_batches_and_after_fitted_heads() -> None:
    def keeps(**settings: object) -> bool:
        return TrainConfig(device="cpu", tune="full", **settings).resolved().keeps_statistics  # type: ignore[arg-type]

    assert keeps()
    assert not keeps(batch_size=64)
    assert not keeps(batch_size=16, pretrained=False)
    assert TrainConfig(tune="head-then-full", batch_size=64).resolved().keeps_statistics


@pytest.mark.parametrize("batch_size", [16, 32])
def test_the_saved_model_has_the_published_statistics_where_batches_are_small(
    demo_root: Path, batch_size: int
) -> None:
    published = create_backbone("resnet10t").state_dict()
    save_file(published, demo_root / "published.safetensors")
    config = TrainConfig(
        backbone="resnet10t", weights=str(demo_root / "published.safetensors"), tune="full", epochs=1,
        image_size=32, batch_size=batch_size, device="cpu",
    )  # fmt: skip
    train_run(config, Root(demo_root), "run")
    learned = load_model("run", Root(demo_root), "cpu").network.state_dict()
    means = [name for name in published if name.endswith("running_mean")]
    kept = [torch.equal(learned[f"backbone.{name}"], published[name]) for name in means]
    assert kept == [batch_size < 32] * len(means)
