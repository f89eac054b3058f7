"""The script behind the paper's table, on the drawn collection: every row, and nothing trained twice."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from eufcc_cli.core.errors import ModelError
from eufcc_cli.core.training.config import TrainConfig, read_settings
from eufcc_cli.core.training.recipes import read_recipe, recipe_names

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "paper.sh"


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_a_training(name: str) -> None:
    config = TrainConfig.from_mapping(read_settings(Path(f"recipe:{name}")), name)
    assert config.method == name.rpartition("/")[2]


def test_an_unknown_recipe_names_the_others() -> None:
    with pytest.raises(ModelError, match="no such recipe") as caught:
        read_recipe("recipe:eufcc-340k/none")
    assert "eufcc-340k/softmax" in str(caught.value.hint)


@pytest.mark.timeout(900)
@pytest.mark.skipif(not shutil.which("bash"), reason="no bash here")
def test_the_script_makes_every_row_and_resumes(demo_root: Path, eufcc_command: str) -> None:
    path = f"{Path(eufcc_command).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}

    def paper() -> "subprocess.CompletedProcess[str]":
        command = ["bash", str(SCRIPT), str(demo_root), "--demo", "--epochs", "1"]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=800)

    first = paper()
    assert first.returncode == 0, first.stderr[-2000:]
    assert first.stderr.count("train --config recipe:eufcc-340k/") == 8
    table = first.stdout.partition("test_ood, beside the paper")[2]
    for row in ("Multi-label", "H-Softmax (nodes)", "Ensemble: ML+S", "CLIP 1 tag prompt", "Ens: ML+S+CLIP"):
        assert row in table
    again = paper()
    assert again.returncode == 0 and " train " not in again.stderr
    saved = json.loads((demo_root / "runs" / "softmax" / "config.json").read_text(encoding="utf-8"))
    assert saved["training"]["epochs"] == 1
