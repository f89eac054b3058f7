"""Every command where POSIX's own modules and functions are missing and files behave as on Windows.

What stands in for it is in tests/windows/sitecustomize.py.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Run

LAYER = Path(__file__).with_name("windows")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="takes away what Linux has")


@pytest.fixture
def windows(eufcc: Run, tmp_path: Path) -> Run:
    """Run `eufcc` as on Windows, in tmp_path; it must succeed."""

    def run(*arguments: object, **kwargs: object) -> subprocess.CompletedProcess[str]:
        env = {
            "PYTHONPATH": str(LAYER),
            "EUFCC_WINDOWS": str(tmp_path),
            "PYTHONIOENCODING": "cp1252",
            "PYTHONWARNDEFAULTENCODING": "1",
        }
        done = eufcc(*arguments, env=env, cwd=tmp_path, timeout=280, **kwargs)
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
        assert "Traceback" not in done.stderr, f"{arguments}: {done.stderr}"
        return done

    return run


def python(tmp_path: Path, code: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"PYTHONPATH": str(LAYER), "EUFCC_WINDOWS": str(tmp_path)}
    return subprocess.run([sys.executable, "-c", code], env=env, cwd=tmp_path, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("exec('import fcntl', {'__name__': 'eufcc_cli.x'})", "ModuleNotFoundError"),
        ("exec('import os; os.sched_getaffinity', {'__name__': 'eufcc_cli.x'})", "AttributeError"),
        ("exec('from signal import SIGKILL', {'__name__': 'eufcc_cli.x'})", "ImportError"),
        ("import multiprocessing as m; m.get_context('fork')", "ValueError"),
        ("open('a:b', 'w')", "WinError 123"),
        ("open('CON.txt', 'w')", "WinError 123"),
        ("open('a. ', 'w')", "WinError 123"),
        ("open('a', 'w').close(); open('A', 'w')", "WinError 183"),
        ("import os; f = open('a', 'w'); os.remove('a')", "WinError 32"),
        ("import os; f = open('a', 'w'); open('b', 'w'); os.replace('b', 'a')", "WinError 32"),
        ("import os; open('a', 'w'); open('b', 'w'); os.replace('b', 'a')", "WinError 5"),
    ],
)
def test_the_layer_refuses_what_windows_does(tmp_path: Path, code: str, error: str) -> None:
    assert error in python(tmp_path, code).stderr


def test_every_command_runs(windows: Run, tmp_path: Path) -> None:
    windows("--root", "r", "fetch", "demo", "--images", 40)
    windows("--root", "r", "trees", "--stats")
    windows("--root", "r", "trees", "--write", "labels")
    windows("--root", "r", "trees", "--write", "labels")  # over what is there
    windows("--root", "r", "download", "--report", "failed.csv")
    windows("--root", "r", "download", "--verify")
    shutil.copy(tmp_path / "r" / "data" / "train.csv", tmp_path / "all.csv")
    windows("--root", "split", "fetch", "splits", "all.csv", "--min-count", 1)
    backbone = ("--backbone", "convnext_mini", "--no-pretrained", "--image-size", 32)
    windows("--root", "r", "train", "--name", "small", *backbone, "--tune", "full", "--epochs", 2)
    windows(
        "--root",
        "r",
        "train",
        "--name",
        "files",
        *backbone,
        "--tune",
        "full",
        "--epochs",
        1,
        "--no-cache",
        "--workers",
        1,
    )
    windows("--root", "r", "evaluate", "small", "--split", "val", "--save-predictions", "scores.parquet")
    windows("--root", "r", "evaluate", "small", "--calibrate")
    photos = sorted((tmp_path / "r" / "data" / "images").rglob("*.jpg"))[:3]
    tag = ("--root", "r", "tag", "--model", "small")
    for ending in ("jsonl", "csv", "json", "jsonld"):
        windows(*tag, *photos, "-o", f"tags.{ending}")
        windows(*tag, *photos, "-o", f"tags.{ending}", "--skip-existing")
    windows(*tag, *photos, "--format", "sidecar")
    windows(*tag, *photos, "--format", "sidecar")  # over its own
    windows(*tag, "--table", "r/data/val.csv", "-o", "val.csv")
    done = windows(*tag, "-", input="".join(f'"{photo}"\r\n' for photo in photos))
    assert done.stdout.count("\n") == 3


def test_names_of_strangers_become_files(tmp_path: Path) -> None:
    """Ids from other people's tables, which Windows would refuse as names."""
    code = """if True:
        from pathlib import Path
        from eufcc_cli.core.files import image_stem, write_text
        for id in ("con", "AUX.1", "a:b", "a?", "a.", "a ", "A", "a", "x/y", "NUL", 'q"', "*", "LPT1.x"):
            write_text(Path("images", f"{image_stem(id)}.jpg"), id)
    """
    assert python(tmp_path, code).stderr == ""
    assert len(list((tmp_path / "images").rglob("*.jpg"))) == 13
