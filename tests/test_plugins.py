"""Methods and backbones of one's own: the page of the documentation as it stands, and what it promises."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from eufcc_cli.core.model.backbone.plugins import load_plugins
from eufcc_cli.core.model.methods.method import _METHODS
from eufcc_cli.core.taxonomy.vocabulary import FacetVocabulary
from tests.conftest import Run

PAGE = Path(__file__).parents[1] / "docs" / "how-to" / "own-method.md"
CPU = ["--device", "cpu"]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory, quick_command: list[str]) -> Path:
    """A folder in which every file of the page was written and every command of it run."""
    folder = tmp_path_factory.mktemp("plugins")
    text = PAGE.read_text(encoding="utf-8")
    for name, code in re.findall(r'```python title="([\w.]+)"\n(.*?)```', text, re.DOTALL):
        (folder / name).write_text(code)
    assert {path.name for path in folder.iterdir()} == {"smooth.py", "tiny_net.py"}
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    commands = "".join(re.findall(r"```bash\n(.*?)```", text, re.DOTALL)).splitlines()
    assert len(commands) == 7
    for command in commands:
        words = shlex.split(command)
        assert words[0] == "eufcc"
        done = subprocess.run(
            [*quick_command, *words[1:]],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (command, done.stderr)
        if words[1] == "train":  # the command that it proposes works, too
            assert done.stderr.splitlines()[-1].endswith(" ".join(["", *words[2:4]]))
    return folder


def config_of(folder: Path, run: str) -> dict[str, object]:
    return json.loads((folder / "runs" / run / "config.json").read_text())


def test_the_pages_method_is_trained_saved_and_restored(played: Path) -> None:
    config = config_of(played, "smooth")
    assert config["method_options"] == {"smoothing": 0.2}
    assert config["plugins"] == ["smooth"]
    assert config["training"]["smoothing"] == 0.2  # type: ignore[index]
    assert config_of(played, "tiny")["plugins"] == ["tiny_net"]


def test_the_pages_targets_sum_to_one_and_reach_the_siblings(
    played: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(played)
    for registered in (_METHODS, sys.modules):
        monkeypatch.setitem(registered, "smooth", None)  # which is undone at the end, whatever is there
        del registered["smooth"]
    load_plugins(["smooth"])
    tags = FacetVocabulary(("metal", "bronze", "iron", "silk"), (-1, 0, 0, -1))
    method: Any = _METHODS["smooth"].for_facet(tags, smoothing=0.5)
    truth = torch.tensor([[False, True, False, False]])
    assert method.targets(truth.T, torch.float32).T.tolist() == [[0, 0.75, 0.25, 0]]


def test_its_options_are_options_of_train(eufcc: Run, played: Path) -> None:
    listed = " ".join(eufcc("train", "--plugin", "smooth.py", "--help", cwd=played).stdout.split())
    assert "--smoothing" in listed and "smooth: share of the target that goes to siblings." in listed
    assert "--smoothing" not in eufcc("train", "--help", cwd=played).stdout
    wrong = eufcc("train", "--plugin", "smooth", "--method", "smooth", "--smoothing", 1, cwd=played)
    assert (wrong.returncode, wrong.stderr) == (1, "error: --smoothing 1.0: must lie in [0, 1)\n")
    other = eufcc(
        "train", "--method", "softmax", "--smoothing", 0.3, cwd=played, env={"EUFCC_PLUGIN": "smooth"}
    )
    assert other.stderr.startswith(
        "error: --smoothing: not an option of softmax\nhint: it is an option of smooth"
    )


def test_a_model_whose_plugin_is_missing_says_which(eufcc: Run, played: Path) -> None:
    image = next((played / "data" / "images").rglob("*.jpg"))
    for command in (["evaluate", "smooth"], ["tag", image, "--model", "smooth"]):
        done = eufcc(*command, *CPU, cwd=played)
        assert done.returncode == 1
        assert "smooth: no such method" in done.stderr
        assert "trained with --plugin smooth" in done.stderr
    done = eufcc("tag", image, "--model", "tiny", *CPU, cwd=played)
    assert done.returncode == 1 and "trained with --plugin tiny_net" in done.stderr


def test_a_model_folder_decides_nothing_about_imports(eufcc: Run, played: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    shutil.copytree(played, root)
    path = root / "runs" / "smooth" / "config.json"
    config = json.loads(path.read_text()) | {"plugins": ["evil"]}
    path.write_text(json.dumps(config))
    (root / "evil.py").write_text("open('imported', 'w')")
    (root / "smooth.py").write_text("open('imported', 'w')")
    done = eufcc("tag", "data", "--model", "smooth", *CPU, cwd=root)
    assert done.returncode == 1
    assert not (root / "imported").exists()


def test_an_installed_plugin_needs_no_option(eufcc: Run, played: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    (site / "smooth_package-1.0.dist-info").mkdir(parents=True)
    (site / "smooth_package-1.0.dist-info" / "METADATA").write_text("Name: smooth-package\nVersion: 1.0\n")
    (site / "smooth_package-1.0.dist-info" / "entry_points.txt").write_text(
        "[eufcc.methods]\nsmooth = smooth_package\nbroken = not_there\n"
    )
    shutil.copy(played / "smooth.py", site / "smooth_package.py")
    environment = {"PYTHONPATH": str(site)}
    listed = eufcc("train", "--help", cwd=tmp_path, env=environment)
    assert "--smoothing" in listed.stdout
    assert "not_there cannot be imported" in listed.stderr
    done = eufcc("tag", "data/images", "--model", "smooth", *CPU, "--top", 1, cwd=played, env=environment)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[0])["model"] == "smooth"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "No module named 'mine'"),
        ("1 / 0", "ZeroDivisionError"),
        ('@register_method("softmax")\nclass A(Softmax): pass', "the name is taken"),
        ('@register_method("A b")\nclass A(Softmax): pass', "not a name"),
        ('@register_method("mine")\nclass A(Softmax):\n    x: float', "x has no default"),
        ('@register_method("mine")\nclass A(Softmax):\n    stop: int = 3', "another setting stop"),
        ('@register_method("mine")\nclass A(Softmax):\n    epochs: int = 3', "epochs is one of `train`"),
    ],
)
def test_a_plugin_that_cannot_be_used_is_named(
    eufcc: Run, tmp_path: Path, text: str | None, message: str
) -> None:
    if text:
        head = "from eufcc_cli.core.model.methods import Softmax, register_method\n"
        (tmp_path / "mine.py").write_text(head + text)
    done = eufcc("train", "--plugin", "mine", cwd=tmp_path)
    assert done.returncode == 1
    assert message in done.stderr and "Traceback" not in done.stderr
