"""Experiment trackers: the real ones, offline. Those that are not installed are skipped."""

import os
from pathlib import Path

import pytest
from accelerate import PartialState

from eufcc_cli.core.errors import EufccError
from eufcc_cli.core.files import Root
from eufcc_cli.core.training import tracking
from eufcc_cli.core.training.tracking import Tracking, check_trackers

ROWS = [
    {"epoch": 1, "step": 4, "loss": 0.5, "validation_loss": 0.6, "acc@1": 0.25, "r_precision_materials": 0.5},
    {"epoch": 2, "step": 8, "loss": 0.4, "validation_loss": 0.5, "acc@1": 0.75, "r_precision_materials": 0.6},
]
SETTINGS = {"method": "softmax", "lr": 1e-4, "epochs": None, "pretrained": True}


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    PartialState()
    for name in [name for name in os.environ if name.startswith(("WANDB_", "MLFLOW_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")  # what a test sets goes with it


def track(name: str, root: Root) -> None:
    with Tracking([name], root, "run") as tracking:
        tracking.begin(SETTINGS)
        for row in ROWS:
            tracking.log(row)


def test_tensorboard_has_settings_and_every_epoch(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    track("tensorboard", Root(tmp_path))
    folder = tmp_path / "runs" / "run" / "tensorboard"
    events = EventAccumulator(str(folder)).Reload()
    assert [(e.step, round(e.value, 3)) for e in events.Scalars("acc_at_1")] == [(1, 0.25), (2, 0.75)]
    assert [e.step for e in events.Scalars("r_precision/materials")] == [1, 2]
    assert "method: softmax" in next(folder.glob("*/hparams.yml")).read_text()


def test_mlflow_has_settings_and_every_epoch_in_the_roots_own_store(tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow")
    track("mlflow", Root(tmp_path))
    store = (tmp_path / "runs" / ".mlflow").as_uri()
    client = mlflow.MlflowClient(store)
    (run,) = client.search_runs([client.get_experiment_by_name("eufcc").experiment_id])
    assert run.info.run_name == "run" and run.data.params["method"] == "softmax"
    assert [m.value for m in client.get_metric_history(run.info.run_id, "r_precision/materials")] == [
        0.5,
        0.6,
    ]


def test_wandb_writes_offline_into_the_runs_folder(tmp_path: Path) -> None:
    wandb = pytest.importorskip("wandb")
    (tmp_path / "runs" / "run").mkdir(parents=True)
    track("wandb", Root(tmp_path))
    wandb.teardown()  # its service writes the end of the file
    (log,) = (tmp_path / "runs" / "run" / "wandb").glob("offline-run-*/run-*.wandb")
    assert b"r_precision/materials" in log.read_bytes()


def test_what_is_unknown_or_not_installed_is_said_before_training(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EufccError, match="`track` neptune: no such tracker"):
        check_trackers(["neptune"])
    monkeypatch.setattr(tracking.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(EufccError, match="`track` wandb: not installed") as caught:
        check_trackers(["wandb"])
    assert "eufcc[wandb]" in str(caught.value.hint)


def test_a_run_that_never_begins_leaves_nothing(tmp_path: Path) -> None:
    with Tracking(["tensorboard", "mlflow", "wandb"], Root(tmp_path), "run"):
        pass
    assert not list(tmp_path.iterdir())
