"""The script behind the paper's table, on the drawn collection: every row, and nothing trained twice."""

import json
import os
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest
from typer.testing import CliRunner

from eufcc_cli.cli import app
from eufcc_cli.core.errors import ModelError
from eufcc_cli.core.training.configuration.config import TrainConfig
from eufcc_cli.core.training.configuration.recipes import read_recipe, recipe_names
from eufcc_cli.core.training.configuration.settings_file import read_settings

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "paper.sh"


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_a_training(name: str) -> None:
    config = TrainConfig.from_mapping(read_settings(Path(f"recipe:{name}")), name)
    assert config.method == name.rpartition("/")[2]


def test_an_unknown_recipe_names_the_others() -> None:
    with pytest.raises(ModelError, match="no such recipe") as caught:
        read_recipe("recipe:eufcc-340k/none")
    assert "eufcc-340k/softmax" in str(caught.value.hint)


@pytest.mark.parametrize("name", ["eufcc-340k.toml"])
def test_every_value_of_a_recipe_says_where_it_comes_from(name: str) -> None:
    recipe = files("eufcc_cli.core.training.configuration.recipes") / name
    lines = recipe.read_text(encoding="utf-8").splitlines()
    values = [line for line in lines if " = " in line and not line.startswith(("#", "kind"))]
    assert len(values) > 10
    for line in values:
        assert line.partition("#")[2].split()[0].rstrip(":") in ("paper", "ours", "unknown"), line


class Script:
    """scripts/paper.sh with an `eufcc` on its path that only notes what it is asked."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.root, self.notes = root, folder / "notes"
        (folder / "bin").mkdir()
        fake = folder / "bin" / "eufcc"
        fake.write_text(
            f'#!/bin/sh\nprintf "%s\\t" "$@" >> "{self.notes}"\necho >> "{self.notes}"\n' + _ENDINGS
        )
        fake.chmod(0o755)
        self.environment = os.environ | {"PATH": f"{fake.parent}{os.pathsep}{os.environ['PATH']}"}

    def __call__(self, *arguments: str) -> list[list[str]]:
        self.notes.unlink(missing_ok=True)
        command = ["bash", str(SCRIPT), str(self.root), *arguments]
        subprocess.run(command, env=self.environment, capture_output=True, check=True, timeout=200)
        return [line.rstrip("\t").split("\t") for line in self.notes.read_text().splitlines()]


_ENDINGS = 'case "$*" in *" download") exit 3;; esac\n'  # some images are gone: that ends no script


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash here")
@pytest.mark.usefixtures("by_pytorch")
def test_the_script_makes_every_row_and_resumes(
    demo_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for table in (demo_root / "data").glob("*.csv"):
        table.write_text("".join(table.read_text().splitlines(keepends=True)[:33]))
    script = Script(tmp_path, demo_root)
    demo = ("--demo", "--epochs", "1", "--batch-size", "32", "--device", "cpu")
    commands = script(*demo)
    assert [command[2] for command in commands] == ["download", *["train"] * 8, "evaluate"]
    for command in commands:
        if "--bootstrap" in command:
            command[command.index("--bootstrap") + 1] = "20"
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0, (command, done.stderr)
    table = done.stdout.partition("test_ood, beside the paper")[2]
    for row in ("Multi-label", "H-Softmax (nodes)", "Ensemble: ML+S", "CLIP 1 tag prompt", "Ens: ML+S+CLIP"):
        assert row in table
    assert (demo_root / "paper.html").is_file()
    path = demo_root / "runs" / "softmax" / "config.json"
    saved = json.loads(path.read_text(encoding="utf-8"))
    assert saved["training"]["epochs"] == 1
    assert [command[2] for command in script(*demo)] == ["download", "evaluate"]
    path.write_text(json.dumps(saved | {"finished": False}, indent=1))
    (resumed,) = (command for command in script(*demo) if command[2] == "train")
    assert resumed[3:] == ["--name", "softmax", "--resume"]


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash here")
def test_the_real_table_begins_with_the_original_revision(tmp_path: Path) -> None:
    fetch, download, *trainings, evaluate = Script(tmp_path, tmp_path / "root")()
    assert fetch[2:] == ["fetch", "--revision", "original"] and download[2:] == ["download"]
    recipes = [command[command.index("--config") + 1].removeprefix("recipe:") for command in trainings]
    assert recipes == recipe_names()
    assert "clip:ViT-B-32/openai" in evaluate and evaluate[evaluate.index("--compare") + 1] == "paper"
