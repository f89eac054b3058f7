"""`eufcc train` as a user meets it: what it prints, what it proposes, how options and files go together."""

import json
import shlex
from pathlib import Path

import pytest

from tests.conftest import Run

QUICK = ["--backbone", "test_convnext3", "--no-pretrained", "--image-size", 32, "--batch-size", 16]
QUICK += ["--epochs", 1, "--device", "cpu"]


def test_a_run_prints_its_plan_and_the_command_that_follows_works(eufcc: Run, demo_root: Path) -> None:
    (demo_root / "data" / "test_ood.csv").unlink()
    done = eufcc("train", *QUICK, "--name", "one", "--root", demo_root)
    assert done.returncode == 0, done.stderr
    assert "Training one: multilabel, all of test_convnext3" in done.stderr
    assert "images to learn from" in done.stderr
    assert done.stdout.splitlines()[0] == "validation" or "R-Precision" in done.stdout
    proposed = next(line for line in done.stderr.splitlines() if line.startswith("Next: eufcc "))
    assert "test_ood" not in proposed
    following = eufcc(*shlex.split(proposed.removeprefix("Next: eufcc ")), "--device", "cpu")
    assert following.returncode == 0, following.stderr


def test_options_on_the_line_win_over_a_file(eufcc: Run, demo_root: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('method = "asl"\ngamma-neg = 3.0\nseed = 5\nname = "from-file"\nworkers = 1\n')
    done = eufcc("train", *QUICK, "--config", recipe, "--seed", 6, "--root", demo_root)
    assert done.returncode == 0, done.stderr
    config = json.loads((demo_root / "runs" / "from-file" / "config.json").read_text())
    assert config["method"] == "asl" and config["method_options"]["gamma_neg"] == 3.0
    assert config["training"]["seed"] == 6 and config["training"]["workers"] == 1
    assert config["plugins"] == []
    again = eufcc("train", "--config", "from-file", "--name", "from-file", "--root", demo_root)
    assert again.returncode == 1 and "--overwrite trains it again" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epochs", "0"], "error: --epochs 0: must be above 0"),
        (["--method", "magic"], "error: --method magic: no such method"),
        (["--optimizer", "sgd"], "error: --optimizer sgd: no such choice"),
        (["--method", "softmax", "--stop"], "error: --stop: not an option of softmax"),
        (["--method", "clip-1-tag", "--freeze", "1"], "error: --freeze: not an option of clip-1-tag"),
        (["--lr", "nan"], "error: --lr nan: must be above 0"),
        (["--resume", "--name", "other"], "error: --resume: there is no "),
        (["--tune", "head", "--epochs", "3"], "error: --epochs: heads on features are fitted until"),
        (["--config", "nothing.toml"], "nothing.toml: No such file"),
        (["--name", "../up", *map(str, QUICK)], "error: --name ../up: not a name for a folder"),
    ],
)
def test_what_cannot_be_trained_is_named_before_any_work(
    eufcc: Run, drawn: Path, arguments: list[str], message: str
) -> None:
    done = eufcc("--root", drawn, "train", *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert message in done.stderr and "Traceback" not in done.stderr
    assert not (drawn / "runs").exists()


def test_commands_in_hints_are_for_the_root_that_was_given(eufcc: Run, demo_root: Path) -> None:
    spaced = demo_root.rename(demo_root.with_name("a root"))
    for path in (spaced / "data" / "images").rglob("*.jpg"):
        path.rename(path.with_name(f"photo of {path.name}"))
    done = eufcc("train", *QUICK, "--root", spaced)
    assert done.returncode == 1
    error, hint = done.stderr.splitlines()
    assert "none of its" in error
    assert "image files with other names (photo of demo-" in hint
    assert f"`eufcc --root '{spaced}' download --split train`" in hint
