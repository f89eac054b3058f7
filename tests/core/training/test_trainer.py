import contextlib
import csv
import json
import math
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from filelock import FileLock
from safetensors.torch import load_file
from typer.testing import CliRunner, Result

from eufcc_cli.cli import app
from eufcc_cli.core.download.ledger import OK, Entry, Ledger
from eufcc_cli.core.errors import DataError, EufccError, ModelError
from eufcc_cli.core.files import Root
from eufcc_cli.core.model.checkpoint import load_model
from eufcc_cli.core.model.methods import METHODS
from eufcc_cli.core.model.model_files import newest_run, read_config, trained_runs
from eufcc_cli.core.model.preprocessing import Preprocessing
from eufcc_cli.core.taxonomy.tables.annotation_files import read_table
from eufcc_cli.core.taxonomy.vocabulary import training_vocabulary
from eufcc_cli.core.training import run
from eufcc_cli.core.training.configuration.config import TrainConfig
from eufcc_cli.core.training.configuration.settings_file import read_settings
from eufcc_cli.core.training.loading.data import FileImageLoader, epoch_order, load_split
from eufcc_cli.core.training.loading.image_cache import build_cache
from eufcc_cli.core.training.loop import trainer, trial, validation
from eufcc_cli.core.training.run import train_run
from eufcc_cli.core.training.state.saved_state import load_state
from eufcc_cli.core.training.state.training_state import STATE, Position, TrainingState
from eufcc_cli.core.training.training_plan import Plan
from tests.two_ranks import run_two_ranks

pytestmark = pytest.mark.usefixtures("by_pytorch")
QUICK = TrainConfig(
    backbone="test_convnext3", pretrained=False, image_size=32, epochs=3, batch_size=16, device="cpu", ema=0.9
)
OPTIONS = ["--backbone", "test_convnext3", "--no-pretrained"]
OPTIONS += ["--image-size", "32", "--batch-size", "16", "--device", "cpu"]


def run_command(*arguments: object) -> Result:
    """Run `eufcc` within this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def weights(root: Path, name: str) -> dict[str, torch.Tensor]:
    return load_file(root / "runs" / name / "model.safetensors")


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def images_of(root: Path, split: str) -> list[Path]:
    """The images of a split, in the order of its table."""
    rows = (root / "data" / f"{split}.csv").read_text().splitlines()[1:]
    return [next(root.glob(f"data/images/*/{row.split(',')[0]}.jpg")) for row in rows]


def shorten(root: Path, split: str, rows: int) -> None:
    """Leave so many rows of a split's table."""
    table = root / "data" / f"{split}.csv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[: 1 + rows]))


def keep_ledger(root: Path) -> None:
    """Note every image of a root as there, as a download does."""
    with Ledger(Root(root).ledger) as ledger:
        for file in root.glob("data/images/*/*.jpg"):
            ledger.record(Entry(file.stem, status=OK, path=f"{file.parent.name}/{file.name}"))


def history(root: Path, name: str) -> list[dict[str, str]]:
    with (root / "runs" / name / "history.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def uninterrupted(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("uninterrupted") / "root"
    shutil.copytree(drawn, root)
    plans: list[Plan] = []
    train_run(replace(QUICK, dropout=0.1, drop_path=0.1), Root(root), "whole", on_plan=plans.append)
    (plan,) = plans
    assert plan.images + plan.validation_images > 100
    assert set(plan.facets) == {"objectTypes", "materials", "classifications", "subjects"}
    return root


def test_a_run_holds_what_scoring_needs_and_where_it_comes_from(uninterrupted: Path) -> None:
    folder = uninterrupted / "runs" / "whole"
    config = json.loads((folder / "config.json").read_text())
    assert config["finished"]
    assert config["training"]["dropout"] == 0.1
    assert set(config["digests"]["tables"]) == {"train.csv", "val.csv"}
    assert config["versions"]["torch"] == version("torch")
    assert config["training"]["lr"] is None
    assert config["derived"] == {"optimizer": "muon", "lr": 5e-3, "tune": "full", "views": "center"}
    assert set(config["calibration"]["facets"]) == set(config["vocabulary"]["facets"])
    rows = history(uninterrupted, "whole")
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
    assert not (folder / STATE).exists()
    best = max(float(row["r_precision"]) for row in rows)
    assert config["validation"]["overall"]["r_precision"] == pytest.approx(best)
    moved = folder.parent.parent / "elsewhere"
    moved.mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copy(folder / name, moved / name)
    assert load_model(str(moved), Root(uninterrupted)).vocabulary.digest == config["vocabulary"]["digest"]


def test_a_run_is_repeated_from_its_own_configuration(uninterrupted: Path, demo_root: Path) -> None:
    folder = uninterrupted / "runs" / "whole"
    again = TrainConfig.from_mapping(read_settings(folder), str(folder))
    train_run(again, Root(demo_root), "again")
    assert same(weights(demo_root, "again"), weights(uninterrupted, "whole"))


def test_what_follows_from_a_changed_setting_is_derived_anew(uninterrupted: Path) -> None:
    settings = read_settings(uninterrupted / "runs" / "whole")
    assert TrainConfig.from_mapping(settings, "run").resolved().lr == 5e-3
    assert TrainConfig.from_mapping({**settings, "optimizer": "adamw"}, "run").resolved().lr == 2e-3


def test_a_run_that_saved_nothing_may_be_begun_again(demo_root: Path) -> None:
    def fail(plan: Plan) -> None:
        with pytest.raises(EufccError, match="is being trained"):
            train_run(QUICK, Root(demo_root), "run", overwrite=True)
        raise MemoryError

    with pytest.raises(MemoryError):
        train_run(QUICK, Root(demo_root), "run", on_plan=fail)
    assert (demo_root / "runs" / "run" / "config.json").is_file()
    train_run(replace(QUICK, epochs=1, batch_size=8), Root(demo_root), "run")
    assert len(history(demo_root, "run")) == 1


class _CtrlC:
    """Progress that presses Ctrl-C once, after so many steps of training."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    @contextlib.contextmanager
    def task(self, description: str, total: int | None, unit: str = "images") -> Iterator["_CtrlC"]:
        yield self

    def advance(self, steps: int = 1, **fields: object) -> None:
        if "loss" in fields:
            self.left -= 1
            if self.left == 0:
                signal.raise_signal(signal.SIGINT)


def test_an_interrupted_first_epoch_leaves_little_and_is_no_model(
    uninterrupted: Path,
    demo_root: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config, root = replace(QUICK, dropout=0.1, drop_path=0.1), Root(demo_root)
    with monkeypatch.context() as short, pytest.raises(KeyboardInterrupt):
        short.setattr(trainer, "WORTH_SAVING", math.inf)
        train_run(config, root, "whole", progress=_CtrlC(2))
    assert "before anything was saved" in caplog.text
    folder = demo_root / "runs" / "whole"
    assert {file.name for file in folder.iterdir()} <= {"config.json", ".lock"}
    assert trained_runs(root) == [] and newest_run(root) is None
    with pytest.raises(ModelError, match="no epoch of its training is finished"):
        load_model("whole", root)
    with pytest.raises(ModelError, match="no such model") as caught:
        load_model("whola", root)
    assert "whole" not in str(caught.value.hint)
    # What took longer is saved, and then all that comes after it; the same command continues.
    with monkeypatch.context() as long, pytest.raises(KeyboardInterrupt):
        long.setattr(trainer, "WORTH_SAVING", 0.0)
        train_run(config, root, "whole", progress=_CtrlC(2))
    saved = load_state(folder / STATE)["position"]["step"]
    assert saved >= 2 and "which is saved" in caplog.text
    plans: list[Plan] = []
    with pytest.raises(KeyboardInterrupt):
        train_run(config, root, "whole", progress=_CtrlC(1), on_plan=plans.append)
    assert plans[0].resumed_at == saved
    assert saved < load_state(folder / STATE)["position"]["step"]
    assert newest_run(root) is None
    threads = read_config(folder)["computation"]["threads"]
    monkeypatch.setenv("OMP_NUM_THREADS", str(threads + 1))
    train_run(config, root, "whole")
    assert read_config(folder)["computation"]["threads"] == threads
    assert same(weights(demo_root, "whole"), weights(uninterrupted, "whole"))
    assert newest_run(root) == "whole"


@pytest.mark.parametrize("when", ["between epochs", "within an epoch"])
def test_resuming_ends_as_if_nothing_had_happened(uninterrupted: Path, demo_root: Path, when: str) -> None:
    config = replace(QUICK, dropout=0.1, drop_path=0.1)
    if when == "within an epoch":
        config = replace(config, save_every=1e-9)  # after every step

    class Stop(Exception):
        pass

    def stop(row: dict[str, float]) -> None:
        if row["epoch"] == 2:
            raise Stop

    with pytest.raises(Stop):
        train_run(config, Root(demo_root), "whole", on_epoch=stop)
    assert (demo_root / "runs" / "whole" / STATE).is_file()
    train_run(config, Root(demo_root), "whole", resume=True)
    assert same(weights(demo_root, "whole"), weights(uninterrupted, "whole"))
    for found, expected in zip(history(demo_root, "whole"), history(uninterrupted, "whole"), strict=True):
        assert {k: v for k, v in found.items() if k != "seconds"} == {
            k: v for k, v in expected.items() if k != "seconds"
        }


def test_adamw_continues_with_the_moments_of_each_weight(tmp_path: Path) -> None:
    """Convolutions are laid out in memory by channels, and a fused step follows the order of memory."""
    accelerator = Accelerator(cpu=True)

    def learner() -> tuple[torch.nn.Module, TrainingState]:
        torch.manual_seed(0)
        network = torch.nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
        optimizer = torch.optim.AdamW(network.parameters(), lr=0.1, fused=True)
        return network, TrainingState(tmp_path / STATE, network, optimizer, None, accelerator)

    def step(network: torch.nn.Module, state: TrainingState) -> None:
        network(torch.arange(75.0).reshape(1, 3, 5, 5)).square().sum().backward()
        state.optimizer.step()
        state.optimizer.zero_grad()

    first, second = learner(), learner()
    step(*first)
    first[1].save(Position(), {})
    second[1].load()
    for one in (first, second):
        step(*one)
    assert torch.equal(first[0].get_parameter("weight"), second[0].get_parameter("weight"))


def endless(words: list[str], root: Path) -> list[str]:
    """A training `long` that somebody has to end, by the command that begins with these words."""
    return [*words, "--root", str(root), "train", "--name", "long", "--epochs", "500", *OPTIONS]


def test_ctrl_c_saves_and_leaves_with_130(demo_root: Path, quick_command: list[str]) -> None:
    with subprocess.Popen(endless(quick_command, demo_root), stderr=subprocess.PIPE, text=True) as process:
        state = demo_root / "runs" / "long" / STATE
        until = time.monotonic() + 200
        while not state.exists() and time.monotonic() < until:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=200)
    assert process.returncode == 130, told
    assert "Traceback" not in told
    assert "interrupted" in told
    before = len(history(demo_root, "long"))
    shorter = replace(QUICK, ema=0.0, epochs=before + 1)
    train_run(shorter, Root(demo_root), "long", resume=True)
    assert len(history(demo_root, "long")) == before + 1


def test_validation_images_that_train_has_too_are_named(
    demo_root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = demo_root / "data"
    shutil.copy(data / "train.csv", data / "val.csv")
    shutil.rmtree(data / "images")  # so that nothing is trained
    with pytest.raises(DataError):
        train_run(QUICK, Root(demo_root), "leak")
    assert "of its images are also in train, such as demo-" in caplog.text


@pytest.mark.parametrize("tune", ["head", "head-then-full"])
def test_heads_are_fitted_by_one_process(demo_root: Path, monkeypatch: pytest.MonkeyPatch, tune: str) -> None:
    monkeypatch.setattr(Accelerator, "num_processes", 2)
    with pytest.raises(ModelError, match="heads are fitted by one process") as caught:
        train_run(TrainConfig(tune=tune, device="cpu"), Root(demo_root), "two")  # type: ignore[arg-type]
    assert "leave out torchrun" in str(caught.value.hint)


def test_kill_9_loses_at_most_the_time_since_the_last_save(demo_root: Path, quick_command: list[str]) -> None:
    command = [*endless(quick_command, demo_root), "--save-every", "1e-9"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        until = time.monotonic() + 200
        while len(list(demo_root.glob("runs/long/history.csv"))) == 0 and time.monotonic() < until:
            time.sleep(0.05)
        process.kill()
    with FileLock(demo_root / "runs" / "long" / ".lock", timeout=100):
        pass  # what trained has ended
    rows = len(history(demo_root, "long"))
    assert rows >= 1
    train_run(replace(QUICK, ema=0.0, epochs=rows + 1), Root(demo_root), "long", resume=True)
    assert len(history(demo_root, "long")) == rows + 1


def test_two_processes_learn_what_one_learns(demo_root: Path, quick_command: list[str]) -> None:
    shorten(demo_root, "train", 33)
    config = replace(QUICK, ema=0.0, epochs=2, optimizer="adamw", lr=1e-3, augment="light")
    plans: list[Plan] = []
    train_run(config, Root(demo_root), "one", on_plan=plans.append)
    assert plans[0].images % 16 == 1  # of the last batch, one process has no share
    options = ("--epochs", 2, "--optimizer", "adamw", "--lr", 1e-3, "--augment", "light", *OPTIONS)
    for done in run_two_ranks(quick_command, "--root", demo_root, "train", "--name", "two", *options):
        assert done.returncode == 0, done.stderr
    one, two = history(demo_root, "one"), history(demo_root, "two")
    assert len(one) == len(two) == 2
    for first, second in zip(one, two, strict=True):
        assert float(second["loss"]) == pytest.approx(float(first["loss"]), rel=1e-3)
        assert float(second["r_precision"]) == pytest.approx(float(first["r_precision"]), abs=0.02)
    difference = [
        (first - second).abs().max().item()
        for first, second in zip(
            weights(demo_root, "one").values(), weights(demo_root, "two").values(), strict=True
        )
    ]
    assert max(difference) < 5e-3


@pytest.mark.parametrize("augment", ["none", "light"])
def test_a_batch_without_any_readable_image_is_passed_over(demo_root: Path, augment: str) -> None:
    for split in ("train", "val"):
        shorten(demo_root, split, 12)
        images_of(demo_root, split)[0].write_bytes(b"")
    config = replace(QUICK, batch_size=1, epochs=1, augment=augment, max_unreadable=0.5, ema=0.0)
    trained = train_run(config, Root(demo_root), "run")
    assert len(trained.unreadable) == 2
    assert math.isfinite(float(history(demo_root, "run")[0]["loss"]))


@pytest.mark.parametrize("backbone", ["test_vit", "mobilenetv3_small_050"])
def test_a_backbone_of_another_kind_is_trained_and_loaded(demo_root: Path, backbone: str) -> None:
    shorten(demo_root, "train", 32)
    train_run(replace(QUICK, backbone=backbone, epochs=1), Root(demo_root), "run")
    model = load_model("run", Root(demo_root), "cpu")
    images = torch.zeros(2, 3, model.preprocessing.stored, model.preprocessing.stored, dtype=torch.uint8)
    assert all(torch.isfinite(scores).all() for scores in model.log_scores(images).values())


def test_parts_of_a_batch_add_up_to_the_batch(demo_root: Path) -> None:
    for name, accumulate in (("whole", 1), ("parts", 4)):
        config = replace(QUICK, optimizer="adamw", lr=1e-3, epochs=1, accumulate=accumulate)
        train_run(config, Root(demo_root), name)
    assert float(history(demo_root, "parts")[0]["loss"]) == pytest.approx(
        float(history(demo_root, "whole")[0]["loss"]), rel=1e-4
    )


@pytest.mark.parametrize("method", [name for name, known in METHODS.items() if not known.reads_texts])
def test_every_method_overfits_sixteen_images(drawn: Path, tmp_path: Path, method: str) -> None:
    root = tmp_path / "root"
    shutil.copytree(drawn, root)
    lines = (root / "data" / "train.csv").read_text().splitlines(keepends=True)
    for split in ("train", "val"):
        (root / "data" / f"{split}.csv").write_text("".join(lines[:17]))
    config = QUICK.changed(
        backbone="convnext_mini",
        method=method,
        augment="none",
        epochs=60,
        ema=0.0,
        lr=5e-3,
        weight_decay=0.0,
        **({"stop": True} if method == "hsoftmax-nodes" else {}),
    )  # without stop outputs an only child ties with its parent, and no training can rank them

    class Overfitted(Exception):
        pass

    def stop(row: dict[str, float]) -> None:
        if row["r_precision"] == 1.0:
            raise Overfitted

    with pytest.raises(Overfitted):
        train_run(config, Root(root), "small", on_epoch=stop)


def test_a_loss_that_is_no_number_stops_and_leaves_the_best_model(
    demo_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    best: list[dict[str, torch.Tensor]] = []

    def diverge(row: dict[str, float]) -> None:
        best.append(weights(demo_root, "run"))
        monkeypatch.setattr("eufcc_cli.core.training.loop.trainer.schedule", lambda done, warmup: 1e30)

    config = replace(QUICK, optimizer="adamw", lr=1e-3, clip_grad=0.0, ema=0.0)
    with pytest.raises(ModelError, match=r"step \d+ \(learning rate 1e\+27") as caught:
        train_run(config, Root(demo_root), "run", on_epoch=diverge)
    assert caught.value.hint == "lower `lr` or raise `warmup`; the best model so far is saved"
    assert len(best) == 1
    assert same(best[0], weights(demo_root, "run"))


@pytest.mark.parametrize("batch_size", [16, 1000])  # the last step of an epoch, or one before
def test_a_broken_first_epoch_names_the_step_and_promises_no_model(demo_root: Path, batch_size: int) -> None:
    config = replace(QUICK, optimizer="adamw", lr=1e30, warmup=0.0, clip_grad=0.0, batch_size=batch_size)
    with pytest.raises(ModelError, match=r"step \d+ \(learning rate \S+e\+\d+\)") as caught:
        train_run(replace(config, ema=0.0), Root(demo_root), "run")
    assert caught.value.hint == "lower `lr` or raise `warmup`"


@pytest.mark.parametrize("cache", [True, False])
def test_unreadable_images_are_left_out_and_told_or_too_many(demo_root: Path, cache: bool) -> None:
    keep_ledger(demo_root)
    gone, broken, to_validate = *images_of(demo_root, "train")[:2], images_of(demo_root, "val")[0]
    content = gone.read_bytes()
    gone.unlink()
    for file in (broken, to_validate):
        file.write_bytes(b"<html>not an image</html>")
    config = replace(QUICK, epochs=1, cache=cache, workers=0)
    with pytest.raises(ModelError, match=r"2 of \d+ images of train cannot be read") as caught:
        train_run(replace(config, max_unreadable=0.0), Root(demo_root), "refused")
    assert str(gone) in str(caught.value)
    trained = train_run(replace(config, max_unreadable=0.5), Root(demo_root), "run")
    assert trained.unreadable == {
        str(gone): "cannot read: No such file or directory",
        str(broken): "not an image: HTML page",
        str(to_validate): "not an image: HTML page",
    }
    for file in (gone, broken):
        file.write_bytes(content)
    with pytest.raises(ModelError, match=r"1 of \d+ images of val cannot be read"):
        train_run(replace(config, max_unreadable=0.0), Root(demo_root), "refused")


def test_what_the_ledger_calls_ok_is_checked_too(demo_root: Path) -> None:
    keep_ledger(demo_root)
    images_of(demo_root, "train")[0].write_bytes(b"")
    with pytest.raises(ModelError, match=r"1 of \d+ images of train cannot be read"):
        train_run(replace(QUICK, cache=False, max_unreadable=0.0), Root(demo_root), "run")


def test_strong_augmentation_varies_from_epoch_to_epoch_and_is_repeatable(demo_root: Path) -> None:
    files = sorted(demo_root.glob("data/images/*/*.jpg"))[:4]
    squares = FileImageLoader(files, Preprocessing(size=32), workers=0, randaugment_seed=0)
    rows = [np.arange(4)]
    (first, again, later) = (next(squares.batches(rows, epoch))[0] for epoch in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, later)


def test_a_configuration_holds_any_option_and_the_line_wins(
    demo_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "options.toml"
    file.write_text(
        'name = "from-file"\nexport = "exported"\nepochs = 1\nbatch-size = 16\nimage_size = 32\n'
        'backbone = "test_convnext3"\npretrained = false\nseed = 7\ndevice = "cpu"\n'
    )
    done = run_command("--root", demo_root, "train", "--config", file, "--seed", 8)
    assert done.exit_code == 0, done.stderr
    config = json.loads((demo_root / "runs" / "from-file" / "config.json").read_text())
    assert (config["training"]["seed"], config["training"]["batch_size"]) == (8, 16)
    assert (tmp_path / "exported" / "README.md").is_file()
    done = run_command("--root", demo_root, "train", "--config", "from-file", "--name", "again", "--seed", -1)
    assert done.exit_code == 1
    assert "--seed -1" in done.stderr  # all else has been found in the run of that name
    file.write_text("name = 3\n")
    done = run_command("--root", demo_root, "train", "--config", file)
    assert (done.exit_code, done.stdout) == (1, "")
    assert f"{file}: name = 3: must be str" in done.stderr


def test_tags_outside_the_label_files_are_told(demo_root: Path) -> None:
    labels = demo_root / "labels" / "materials.txt"
    labels.write_text("".join(labels.read_text().splitlines(keepends=True)[:3]))
    done = run_command("--root", demo_root, "train", "--epochs", 1, *OPTIONS)
    assert done.exit_code == 0, done.stderr
    assert "tags of the annotations are not in the label files" in done.stderr


def test_a_name_that_is_a_path_is_refused_before_training(demo_root: Path) -> None:
    done = run_command("--root", demo_root, "train", "--name", "../x", "--epochs", 1, *OPTIONS)
    assert done.exit_code == 1
    assert done.stderr.startswith("error: --name ../x")
    assert not (demo_root / "x").exists()


def test_the_command_ends_with_3_where_images_are_unreadable(demo_root: Path) -> None:
    broken = sorted(demo_root.glob("data/images/*/*.jpg"))
    train = {line.split(",")[0] for line in (demo_root / "data" / "train.csv").read_text().splitlines()}
    broken = [path for path in broken if path.stem in train][:2]
    for path in broken:
        path.write_bytes(b"<html>not an image</html>")
    done = run_command("--root", demo_root, "train", "--epochs", 1, "--max-unreadable", 0.05, *OPTIONS)
    assert done.exit_code == 3, done.stderr
    assert [line for line in done.stderr.splitlines() if line.startswith("warning:")] == [
        f"warning: {path} was left out: not an image: HTML page" for path in broken
    ]


@pytest.mark.parametrize("options", [{"balanced": True}, {"augment": "strong", "workers": 0}])
def test_rare_tags_drawn_more_often_and_strong_variations_teach(demo_root: Path, options: Any) -> None:
    train_run(replace(QUICK, epochs=2, **options), Root(demo_root), "run")
    first, second = history(demo_root, "run")
    assert float(second["loss"]) < float(first["loss"])


class _Clock:
    """Time that passes only where it is looked at."""

    now = 0.0

    def monotonic(self) -> float:
        self.now += 0.05
        return self.now


def test_a_time_budget_ends_training_within_it(demo_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = _Clock()
    for module in (run, trainer, trial, validation):
        monkeypatch.setattr(module, "time", clock)
    train_run(replace(QUICK, epochs=None, time_budget=6.0), Root(demo_root), "run")
    rows = history(demo_root, "run")
    assert len(rows) > 1
    assert 4 < float(rows[-1]["seconds"]) < clock.now < 1.15 * 6
    assert float(rows[-1]["lr"]) < 0.1 * max(float(row["lr"]) for row in rows)


def test_a_training_with_too_little_time_leaves_its_name_free(demo_root: Path) -> None:
    with pytest.raises(ModelError, match="one step"):
        train_run(replace(QUICK, epochs=None, time_budget=1e-6), Root(demo_root), "run")
    train_run(replace(QUICK, epochs=1), Root(demo_root), "run")
    assert len(history(demo_root, "run")) == 1


def test_options_on_the_line_win_and_a_history_is_drawn(demo_root: Path) -> None:
    recipe = demo_root / "recipe.toml"
    recipe.write_text(
        'backbone = "test_convnext3"\npretrained = false\nimage-size = 32\nepochs = 9\nbatch-size = 16\n'
        'device = "cpu"\n'
    )
    events = demo_root / "runs" / "multilabel" / "tensorboard" / "events.old"
    events.parent.mkdir(parents=True)
    events.write_bytes(b"")
    done = run_command(
        "--root", demo_root, "train", "--config", recipe, "--epochs", 1, "--dropout", 0.1, "--overwrite"
    )
    assert done.exit_code == 0, done.stderr
    assert len(history(demo_root, "multilabel")) == 1
    folder = demo_root / "runs" / "multilabel"
    settings = json.loads((folder / "config.json").read_text())["training"]
    assert (settings["epochs"], settings["dropout"], settings["batch_size"]) == (1, 0.1, 16)
    assert (folder / "history.png").read_bytes().startswith(b"\x89PNG")
    assert not events.exists()


def test_files_and_cache_teach_the_same(demo_root: Path) -> None:
    for name, cache in (("cache", True), ("files", False)):
        train_run(replace(QUICK, epochs=1, cache=cache, workers=1), Root(demo_root), name)
    assert same(weights(demo_root, "cache"), weights(demo_root, "files"))


def test_a_cache_in_use_is_kept_and_one_being_built_waited_for(demo_root: Path) -> None:
    root = Root(demo_root)
    split = load_split(root, "train", training_vocabulary(root, read_table(root.table("train"))))
    with ThreadPoolExecutor() as pool:  # as two trainings at once, of two image sizes
        first, second = pool.map(
            lambda size: build_cache(root, split, Preprocessing(size=size), workers=1), (16, 24)
        )
    assert len(set(demo_root.glob("data/cache/train-*.npy"))) == 2
    for squares, size in ((first, 16), (second, 24)):
        images, kept = next(squares.batches([np.arange(len(split))]))
        assert images.shape == (len(kept), 3, size, size)
        squares.held.close()
    third = build_cache(root, split, Preprocessing(size=32))
    assert [path.name for path in demo_root.glob("data/cache/train-*.npy")] == [
        Path(third.array.filename).name
    ]


def test_a_changed_image_makes_a_new_cache(demo_root: Path) -> None:
    root = Root(demo_root)
    split = load_split(root, "val", training_vocabulary(root, read_table(root.table("val"))))

    def built() -> set[Path]:
        build_cache(root, split, Preprocessing(size=16)).held.close()
        return set(demo_root.glob("data/cache/val-*.npy"))

    caches = built()
    assert len(caches) == 1 and built() == caches
    os.utime(images_of(demo_root, "val")[0], (1, 1))
    assert built().isdisjoint(caches)


def test_a_name_that_is_taken_is_refused(uninterrupted: Path) -> None:
    with pytest.raises(ModelError, match="is finished"):
        train_run(QUICK, Root(uninterrupted), "whole")
    (Root(uninterrupted).runs / "notes").mkdir()
    (Root(uninterrupted).runs / "notes" / "notes.txt").write_text("not a run")
    with pytest.raises(ModelError, match="exists, and is not a run"):
        train_run(QUICK, Root(uninterrupted), "notes")
    with pytest.raises(ModelError, match="is finished"):
        train_run(QUICK, Root(uninterrupted), "whole", resume=True)
    with pytest.raises(ModelError, match="`name`"):
        train_run(QUICK, Root(uninterrupted), "../outside")
    with pytest.raises(ModelError, match="`resume` and `overwrite`"):
        train_run(QUICK, Root(uninterrupted), "whole", resume=True, overwrite=True)


def test_resuming_with_other_settings_names_the_difference(demo_root: Path) -> None:
    def stop(row: dict[str, float]) -> None:
        if row["epoch"] == 2:  # the state of the first is saved
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_run(QUICK, Root(demo_root), "run", on_epoch=stop)
    for resume in (True, False):
        with pytest.raises(ModelError, match="`batch_size` is 8, the run's is 16"):
            train_run(replace(QUICK, batch_size=8), Root(demo_root), "run", resume=resume)


@pytest.mark.parametrize("missing", ["train.csv", "val.csv", "images"])
def test_missing_data_is_named(demo_root: Path, missing: str) -> None:
    if missing == "images":
        shutil.rmtree(demo_root / "data" / "images")
    else:
        (demo_root / "data" / missing).unlink()
    with pytest.raises(DataError, match=missing.replace(".", r"\.")) as caught:
        train_run(QUICK, Root(demo_root), "run")
    assert caught.value.hint
    assert not (demo_root / "runs").exists()


@pytest.mark.parametrize("name", ["train", "val"])
def test_a_split_without_any_usable_annotation_is_refused(demo_root: Path, name: str) -> None:
    table = Root(demo_root).table(name)
    frame = read_table(table)
    for column in frame.columns[frame.columns.str.endswith(".hierarchy")]:
        frame[column] = ""
    frame.to_csv(table, index=False)
    with pytest.raises(DataError, match=rf"{name}\.csv: no"):
        train_run(QUICK, Root(demo_root), "run")
    assert not (demo_root / "runs").exists()


def test_only_annotated_facets_get_a_head(demo_root: Path) -> None:
    table = demo_root / "data" / "train.csv"
    with table.open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["subjects.hierarchy"] = ""
    with table.open("w") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    train_run(replace(QUICK, epochs=1), Root(demo_root), "three")
    model = load_model("three", Root(demo_root))
    assert list(model.vocabulary.facets) == ["objectTypes", "materials", "classifications"]


@pytest.mark.parametrize(
    "damage", ["no config", "no weights", "torn weights", "other vocabulary", "not ours"]
)
def test_a_damaged_model_is_named(uninterrupted: Path, tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "model"
    shutil.copytree(uninterrupted / "runs" / "whole", folder)
    config = json.loads((folder / "config.json").read_text())
    if damage == "no config":
        (folder / "config.json").unlink()
    elif damage == "no weights":
        (folder / "model.safetensors").unlink()
    elif damage == "torn weights":
        (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:5000])
    elif damage == "other vocabulary":
        config["vocabulary"]["facets"]["materials"]["tags"][0] = "something else"
        (folder / "config.json").write_text(json.dumps(config))
    else:
        (folder / "config.json").write_text(json.dumps({"architecture": "convnext"}))
    with pytest.raises(EufccError, match="model") as caught:
        load_model(str(folder), Root(tmp_path))
    assert caught.value.hint


def test_an_epochs_order_depends_on_seed_and_epoch_alone() -> None:
    first = epoch_order(10, 4, seed=1, epoch=2)
    assert [len(rows) for rows in first] == [4, 4, 2]
    assert sorted(np.concatenate(first).tolist()) == list(range(10))
    assert all((a == b).all() for a, b in zip(first, epoch_order(10, 4, seed=1, epoch=2), strict=True))
    assert any((a != b).any() for a, b in zip(first, epoch_order(10, 4, seed=1, epoch=3), strict=True))
    drawn = np.concatenate(epoch_order(4000, 4000, 0, 0, weights=np.array([3.0] * 1000 + [1.0] * 3000)))
    assert (drawn < 1000).mean() == pytest.approx(0.5, abs=0.05)


@pytest.mark.one_processor
def test_export_has_the_hubs_layout(trained: Path, tmp_path: Path) -> None:
    done = run_command("--root", trained, "train", "--name", "small", "--export", tmp_path / "hub")
    assert done.exit_code == 0, done.stderr
    card = (tmp_path / "hub" / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: eufcc\n")
    assert "ODC-By" in card
    assert load_model(str(tmp_path / "hub"), Root(tmp_path)).name == "small"
