"""The Python and the commands of the documentation, run as they stand."""

import re
import shlex
import shutil
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from eufcc_cli.cli import app

ROOT = Path(__file__).parents[1]


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"```{language}[^\n]*\n(.*?)```", text, re.DOTALL)


@pytest.fixture
def here(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the collection `demo`, which has a run `demo`, and a few photographs."""
    shutil.copytree(trained, tmp_path / "demo")
    (tmp_path / "demo" / "runs" / "small").rename(tmp_path / "demo" / "runs" / "demo")
    (tmp_path / "scans").mkdir()
    images = sorted((trained / "data" / "images").rglob("*.jpg"))
    for name, image in zip(("a.jpg", "b.jpg", "photo.jpg", "scans/c.jpg"), images, strict=False):
        shutil.copy(image, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.one_processor
@pytest.mark.parametrize("page", ["docs/reference/python.md", "README.md"])
def test_python_on_a_page_runs(here: Path, page: str, capsys: pytest.CaptureFixture[str]) -> None:
    examples = blocks(page, "python")
    assert examples
    for code in examples:
        exec(compile(code, page, "exec"), {})
    assert re.search(r"materials|objectTypes", capsys.readouterr().out)


@pytest.mark.one_processor
def test_the_page_about_predictions_as_it_stands(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(here / "demo")
    page = "docs/reference/predictions.md"
    (table,) = blocks(page, "csv")
    ids = pd.read_csv("data/val.csv", dtype=str).dropna(subset="materials.hierarchy")["idInSource"]
    Path("mine.csv").write_text(table.replace("art_025809", ids.iloc[0]))
    (commands,) = blocks(page, "bash")
    codes = []
    for command in commands.splitlines():
        done = CliRunner().invoke(app, shlex.split(command)[1:])
        codes.append(done.exit_code)
        assert "val" in done.stdout, done.stderr
    assert codes == [3, 0]  # the first file has one image of the split: the others are missing
    (code,) = blocks(page, "python")
    found: dict[str, pd.DataFrame] = {}
    exec(compile(code, page, "exec"), found)
    assert "materials:bronze" in capsys.readouterr().out
    assert {"image", "split", "materials"} <= set(found["scores"].columns)
    assert found["bronze"].between(0, 1).all() and found["truth"].any()
