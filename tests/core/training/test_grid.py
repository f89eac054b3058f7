"""Several trainings by one command: their names, what is left of them, and that each is as if alone."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from eufcc_cli.cli import app
from eufcc_cli.core.errors import ModelError
from eufcc_cli.core.files import Root
from eufcc_cli.core.model.model_files import save_config
from eufcc_cli.core.training.grid import planned_runs, remaining_runs

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "many-runs.md"
QUICK = {
    "backbone": "test_convnext3", "pretrained": False, "image_size": 32, "epochs": 1, "batch_size": 32,
    "device": "cpu",
}  # fmt: skip


def test_all_combinations_in_order_with_names_that_say_what_differs() -> None:
    runs = planned_runs({"method": ["softmax", "asl"], "lr": [1e-4, 3e-4], "seed": [5]}, None, "grid")
    assert [run.name for run in runs] == [
        "softmax-lr0.0001", "softmax-lr0.0003", "asl-lr0.0001", "asl-lr0.0003",
    ]  # fmt: skip
    assert [(run.config.method, run.config.lr, run.config.seed) for run in runs][1] == ("softmax", 3e-4, 5)
    (run,) = planned_runs({"seed": 3, "backbone": "hf-hub:timm/x"}, "{backbone}-{seed}", "options")
    assert run.name == "hf-hub-timm-x-3"


@pytest.mark.parametrize(
    ("settings", "name", "message"),
    [
        ({"lr": []}, None, "lr = []: has no value"),
        ({"seed": [1, 1]}, None, "needs different values"),
        ({"lr": [1e-4, -1.0]}, None, "`lr` -1.0: must be above 0"),
        ({"lr": [1e-4, "fast"]}, None, "must be float"),
        ({"seed": [1, 2]}, "a-{sed}", "{sed} is not a setting"),
        ({"backbone": ["a/b", "a-b"]}, "x-{backbone}", "two runs would be called x-a-b"),
    ],
)
def test_a_grid_that_cannot_work_is_an_error_before_any_training(
    settings: dict[str, object], name: str | None, message: str
) -> None:
    with pytest.raises(ModelError) as caught:
        planned_runs(settings, name, "grid.toml")
    assert message in str(caught.value)


def test_what_remains_of_several_runs(tmp_path: Path) -> None:
    root = Root(tmp_path)
    runs = planned_runs({**QUICK, "seed": [0, 1, 2]}, "a-{seed}", "options")
    save_config(root.run("a-0"), {"training": runs[0].config.to_mapping(), "finished": True})
    save_config(root.run("a-1"), {"training": runs[1].config.to_mapping(), "finished": False})
    (root.run("a-1") / "state.safetensors").write_bytes(b"")
    assert [(run.name, resume) for run, resume in remaining_runs(runs, root)] == [
        ("a-1", True), ("a-2", False),
    ]  # fmt: skip
    longer = planned_runs({**QUICK, "epochs": 9, "seed": [1]}, "a-{seed}", "options")
    assert remaining_runs(longer, root) == [(longer[0], True)]
    finished = planned_runs({**QUICK, "epochs": 9, "seed": [0, 1]}, "a-{seed}", "options")
    with pytest.raises(ModelError, match="a-0 was trained with `epochs` 1, not 9"):
        remaining_runs(finished, root)


@pytest.mark.usefixtures("by_pytorch")
def test_the_page_about_many_runs_as_it_stands(demo_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(demo_root)
    for table in Path("data").glob("*.csv"):
        table.write_text("".join(table.read_text().splitlines(keepends=True)[:33]))
    text = PAGE.read_text(encoding="utf-8")
    for name, content in re.findall(r'```toml title="([\w.]+)"\n(.*?)```', text, re.DOTALL):
        Path(name).write_text(content)
    commands = "".join(re.findall(r"```bash\n(.*?)```", text, re.DOTALL)).splitlines()
    assert len(commands) == 5
    done = {}
    for command in commands:
        done[command] = CliRunner().invoke(app, shlex.split(command)[1:])
        assert done[command].exit_code == 0, (command, done[command].stderr)
    seeds, table, _, latex, _ = done.values()
    assert "Run 3 of 3: soft-2" in seeds.stderr
    assert [line.split()[0] for line in seeds.stdout.splitlines()[-3:]] == ["soft-0", "soft-1", "soft-2"]
    assert "soft-{seed}" in table.stdout and " ± " in table.stdout
    assert "soft-\\{seed\\} $-$ softmax-lr0.002" in latex.stdout
    runs = Path("runs")
    assert {path.parent.name for path in runs.glob("*/config.json")} == {
        "soft-0", "soft-1", "soft-2", "softmax-lr0.002", "softmax-lr0.005", "tracked",
    }  # fmt: skip
    assert list(runs.glob("tracked/tensorboard/events.*"))
    # Each was trained as if alone: `tracked` has seed 0 and all other settings of soft-0.
    assert _bytes("soft-0") == _bytes("tracked") != _bytes("soft-1")
    again = CliRunner().invoke(app, shlex.split(commands[0])[1:])
    assert again.exit_code == 0 and "3 of 3 runs are finished" in again.stderr and "epoch" not in again.stderr


def _bytes(run: str) -> bytes:
    return Path("runs", run, "model.safetensors").read_bytes()


def test_seeds_that_cannot_be_are_wrong_usage(drawn: Path) -> None:
    root = ["--root", str(drawn)]
    both = CliRunner().invoke(app, [*root, "train", "--seeds", "0,1", "--seed", "2"])
    assert both.exit_code == 2 and "--seeds" in both.stderr
    words = CliRunner().invoke(app, [*root, "train", "--seeds", "0;1"])
    assert words.exit_code == 2 and "such as 0,1,2" in words.stderr
