"""The installed `eufcc tag --table EXPORT`: a museum's own table in, and back with accepted terms."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from eufcc_cli.cli import app
from eufcc_cli.core.dataset.museum.export_file import read_export

Tag = Callable[..., tuple[int, str, str]]
pytestmark = pytest.mark.one_processor

HEADER = ["Inventory no.", "Title", "Object", "Medium"]


@pytest.fixture(scope="module")
def museum(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs of the drawn collection under a museum's own names, and an export with a few words."""
    folder = tmp_path_factory.mktemp("museum")
    (folder / "photos" / "Saal 1").mkdir(parents=True)
    rows = []
    images = sorted((trained / "data" / "images").rglob("*.jpg"))[:9]
    for number, path in enumerate(images):
        inventory = f"1913.{number}"
        if number < 8:
            shutil.copy(path, folder / "photos" / "Saal 1" / f"1913-{number}.JPG")
        rows.append(
            [inventory, "=1+1" if number == 0 else "a title", "", "Bronze; gold" if number < 2 else ""]
        )
    shutil.copy(images[8], folder / "photos" / "1913-7_b.JPG")
    frame = pd.DataFrame(rows, columns=HEADER)
    frame.to_csv(folder / "export.csv", sep=";", index=False, encoding="cp1252", lineterminator="\r\n")
    frame.to_excel(folder / "export.xlsx", index=False)
    (folder / "profile.toml").write_text(
        'id = "Inventory no."\nlanguage = "en"\nphotos = []\n'
        '[facets]\nmaterials = ["Medium"]\nobjectTypes = ["Object"]\n',
        encoding="utf-8",
    )
    return folder


@pytest.fixture(scope="module")
def tag(trained: Path, museum: Path) -> Tag:
    def run(*arguments: object) -> tuple[int, str, str]:
        table = ["--profile", str(museum / "profile.toml"), "--photos", str(museum / "photos")]
        result = CliRunner().invoke(app, ["--root", str(trained), "tag", *table, *map(str, arguments)])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout, result.stderr

    return run


def suggestions(stdout: str) -> dict[str, dict[str, list[dict]]]:
    lines = [json.loads(line) for line in stdout.splitlines()]
    return {line["id"]: line["tags"] for line in lines}


def test_records_are_tagged_by_their_ids(tag: Tag, museum: Path) -> None:
    code, out, err = tag("--table", museum / "export.csv", "--format", "jsonl")
    assert code == 0
    assert list(suggestions(out)) == [*(f"1913.{n}" for n in range(8)), "1913.7_b"]
    assert "1 of 9 records have no photograph" in err
    # As a workbook the same.
    code, again, _ = tag("--table", museum / "export.xlsx", "--format", "jsonl")
    assert (code, suggestions(again)) == (0, suggestions(out))


@pytest.mark.parametrize("ending", ["csv", "xlsx"])
def test_accepted_terms_stand_beside_the_cells(tag: Tag, museum: Path, tmp_path: Path, ending: str) -> None:
    out = tmp_path / f"out.{ending}"
    table = museum / f"export.{ending}"
    code, _, err = tag("--table", table, "--accept", "0.05", "-o", out)
    assert code == 0
    assert "records" in err
    before, after = read_export(table), read_export(out)
    assert after.dialect == before.dialect
    kept = [column for column in after.columns if "(" not in column]
    assert kept == HEADER
    assert after.frame[kept].to_numpy().tolist() == before.frame.to_numpy().tolist()
    position = after.columns.index("Medium")
    assert after.columns[position : position + 4] == [
        "Medium", "Medium (suggested)", "Medium (probability)", "Medium (model)"
    ]  # fmt: skip
    scores = after.frame["Medium (probability)"].tolist()
    assert any(scores)
    assert all(float(score) >= 0.05 for cell in scores for score in cell.split("; ") if score)
    assert set(after.frame["Medium (model)"]) <= {"", "small"}
    assert after.frame["Medium (suggested)"].iloc[8] == "", "it has no photograph"
    assert [path.name for path in tmp_path.iterdir()] == [out.name], "nothing hidden is left"


def test_merged_and_only_into_empty_cells(tag: Tag, museum: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    options = ("--accept", "0.05", "--merge", "--only-empty")
    code, _, _ = tag("--table", museum / "export.csv", *options, "-o", out)
    assert code == 0
    before, after = read_export(museum / "export.csv"), read_export(out)
    assert after.columns == HEADER
    assert after.frame["Medium"].tolist()[:2] == ["Bronze; gold"] * 2
    assert any(after.frame["Medium"].tolist()[2:8])
    assert after.frame[HEADER[:2]].equals(before.frame[HEADER[:2]])
    assert b"\r\n" in out.read_bytes()
    assert out.read_bytes().splitlines()[1].startswith(b"1913.0;'=1+1;")


def test_decisions_need_no_model(tag: Tag, museum: Path, tmp_path: Path) -> None:
    lines = [
        {"image": "a.jpg", "id": "1913.3", "tag": "gold", "verdict": "accepted", "score": 0.8, "model": "m"},
        {"image": "a.jpg", "id": "1913.3", "tag": "silver", "verdict": "rejected", "score": 0.7},
        # The second photograph of a record speaks of the record.
        {"image": "b.jpg", "id": "1913.7_b", "tag": "bronze", "verdict": "added"},
        {"image": "b.jpg", "id": "1913.7_b", "tag": "silver", "verdict": "added"},
        {"image": "b.jpg", "id": "1913.7_b", "tag": "silver", "verdict": "rejected"},
    ]
    decisions = tmp_path / "scans.decisions.jsonl"
    common = {"time": "2026-11-26T10:11:12Z", "reviewer": "curator", "facet": "materials"}
    decisions.write_text("".join(json.dumps(common | line) + "\n" for line in lines), encoding="utf-8")
    out = tmp_path / "out.csv"
    code, _, err = tag("--table", museum / "export.csv", "--decisions", decisions, "--merge", "-o", out)
    assert (code, "2 terms for 2 of 9 records" in err) == (0, True), err
    medium = read_export(out).frame["Medium"].tolist()
    # In the museum's own words, where it has any.
    assert medium == ["Bronze; gold", "Bronze; gold", "", "gold", "", "", "", "Bronze", ""]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--merge", "a.jpg"), "--merge and --only-empty go with"),
        (("--decisions", "d.jsonl"), "add --table EXPORT and --output"),
        (("--decisions", "d.jsonl", "--table", "t.csv", "-o", "o.csv", "--accept", "0.5"), "leave images"),
        (("--accept", "0.5", "--table", "t.csv", "--merge"), "name it with --output"),
    ],
)
def test_wrong_usage(trained: Path, arguments: tuple[str, ...], message: str) -> None:
    result = CliRunner().invoke(app, ["--root", str(trained), "tag", *arguments])
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


def test_accepting_without_an_output_is_wrong_usage(tag: Tag, museum: Path) -> None:
    code, _, err = tag("--table", museum / "export.csv", "--accept", "0.5")
    assert code == 2
    assert "name it with --output" in " ".join(err.split())


def test_an_interrupted_run_goes_on(
    trained: Path, museum: Path, tmp_path: Path, quick_command: list[str]
) -> None:
    out = tmp_path / "out.csv"
    command = [
        *quick_command, "--root", str(trained), "tag", "--table", str(museum / "export.csv"),
        "--profile", str(museum / "profile.toml"), "--photos", str(museum / "photos"),
        "--accept", "0.05", "--batch-size", "1", "--workers", "1", "-o", str(out),
    ]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
    while process.poll() is None:
        with suppress(FileNotFoundError):  # it has ended meanwhile
            if any(path.stat().st_size for path in tmp_path.glob(".out.csv.*.jsonl")):
                process.send_signal(signal.SIGKILL)
                break
        time.sleep(0.002)
    process.communicate(timeout=200)  # until whatever has its standard error has ended
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    straight = tmp_path / "straight.csv"
    subprocess.run([*command[:-1], str(straight)], env=environment, check=True, timeout=250)
    assert out.read_bytes() == straight.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "straight.csv"]
