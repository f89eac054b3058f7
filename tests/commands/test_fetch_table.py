"""`eufcc fetch table` as installed: the real museum, questions, reports, exit codes."""

import csv
import os
import pty
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from eufcc_cli.core.dataset.museum.export_file import Dialect, write_export
from tests.conftest import Run
from tests.core.dataset import museum


@pytest.fixture
def own(tmp_path: Path) -> Path:
    folder = tmp_path / "museum"
    folder.mkdir()
    frame = museum.export()
    write_export(frame, folder / "export.csv", Dialect("csv", "cp1252", separator=";"))
    museum.photographs(folder / "photos", frame)
    return folder


def refused(result: subprocess.CompletedProcess[str], *parts: str) -> None:
    assert result.returncode == 1 and not result.stdout
    assert "Traceback" not in result.stderr
    *_, error, hint = result.stderr.splitlines()
    assert error.startswith("error: ") and hint.startswith("hint: ")
    for part in parts:
        assert part in f"{error}\n{hint}"


def test_the_real_museum_in_one_command(eufcc: Run, shared_data: Path, tmp_path: Path) -> None:
    source = tmp_path / "museum"
    shutil.copytree(shared_data / "museum", source)
    result = eufcc(
        "--root", "root", "fetch", "table", source / "export.csv", "--photos", source / "photos", "--yes"
    )
    assert result.returncode == 0, result.stderr
    assert "956 records, 956 images" in result.stdout
    assert "Next: eufcc --root root train" in result.stderr
    assert "956 records: 955 with terms; " in result.stderr
    again = eufcc("--root", "root", "fetch", "table", source / "export.csv")
    assert again.returncode == 0, again.stderr


def test_guesses_are_used_after_a_yes(eufcc: Run, own: Path, tmp_path: Path) -> None:
    result = eufcc("--root", "root", "fetch", "table", own / "export.csv", "--photos", own / "photos")
    refused(result, "guessed and not confirmed", "--yes", "--facet materials=COLUMN")
    assert re.search(r"id +Inventar-Nr\. +1913\.1; 1913\.2; 1913\.3", result.stderr)
    assert not (tmp_path / "root").exists()
    done = eufcc("--root", "root", "fetch", "table", own / "export.csv", "--photos", own / "photos", "--yes")
    assert done.returncode == 0, done.stderr
    assert "test_ood" not in done.stdout + done.stderr
    assert (tmp_path / "root" / "data" / "profile.toml").is_file()


def test_columns_that_are_named_need_no_yes(eufcc: Run, own: Path) -> None:
    result = eufcc(
        "--root", "root", "fetch", "table", own / "export.csv", "--photos", own / "photos",
        "--id", "Inventar-Nr.", "--facet", "materials=Material", "--facet", "objectTypes=Objektart",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "only the columns that you named are used" in result.stderr
    profile = (Path(own).parent / "root" / "data" / "profile.toml").read_text()
    assert 'id = "Inventar-Nr."' in profile and "provider" not in profile


def test_a_question_in_a_terminal(quick_command: list[str], own: Path, tmp_path: Path) -> None:
    for answer, code in ((b"n\n", 1), (b"y\n", 0)):
        leader, follower = pty.openpty()
        process = subprocess.Popen(
            [
                *quick_command,
                "--root",
                "root",
                "fetch",
                "table",
                own / "export.csv",
                "--photos",
                own / "photos",
            ],
            stdin=follower,
            stdout=subprocess.DEVNULL,
            stderr=follower,
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        os.close(follower)
        shown = b""
        try:
            while b"Is that right?" not in shown:
                shown += os.read(leader, 4096)
            os.write(leader, answer)
            while os.read(leader, 4096):
                pass
        except OSError:  # the other end is closed
            pass
        assert process.wait(120) == code
        os.close(leader)
        assert (tmp_path / "root" / "data").exists() == (code == 0)


def test_what_is_wrong_is_named_with_a_hint_that_works(eufcc: Run, own: Path, tmp_path: Path) -> None:
    fetch = ("--root", "root", "fetch", "table", own / "export.csv", "--yes")
    refused(eufcc(*fetch, "--facet", "materials=Materiall"), "'Materiall'", "Material")
    refused(eufcc(*fetch, "--facet", "material=Material"), "'material'", "materials")
    refused(eufcc(*fetch, "--id", "Nr"), "no column 'Nr'")
    refused(eufcc(*fetch, "--profile", "none.toml"), "none.toml: no such file")
    refused(eufcc(*fetch, "--photos", "nowhere"), "nowhere: no such folder", "--photos")
    refused(eufcc(*fetch, "--sheet", "x"), "not a workbook")
    refused(eufcc("fetch", "table", "none.csv", "--yes"), "none.csv: no such file")
    assert not (tmp_path / "root").exists()


def test_the_report_lists_both_ways(eufcc: Run, own: Path, tmp_path: Path) -> None:
    (own / "photos" / "1913.2.jpg").unlink()
    (own / "photos" / "1913.4.jpg").write_bytes(b"no image")
    museum.photograph(own / "photos" / "stranger.jpg", 5)
    result = eufcc(
        "--root", "root", "fetch", "table", own / "export.csv", "--photos", own / "photos", "--yes",
        "--report", "report.csv",
    )  # fmt: skip
    assert result.returncode == 3, result.stderr
    with (tmp_path / "report.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(row["kind"], row["record"], Path(row["file"]).name) for row in rows} == {
        ("record without photograph", "1913.2", ""),
        ("photograph without record", "", "stranger.jpg"),
        ("unreadable", "1913.4", "1913.4.jpg"),
    }
    assert "report.csv lists them all" in result.stderr


def test_photographs_are_found_by_every_command(eufcc: Run, own: Path, tmp_path: Path) -> None:
    fetch = ("--root", "root", "fetch", "table", own / "export.csv", "--photos", own / "photos", "--yes")
    assert eufcc(*fetch).returncode == 0
    (own / "photos").rename(own / "moved")
    small = ("--backbone", "test_convnext3", "--image-size", "32", "--epochs", "1", "--no-pretrained")
    refused(eufcc("--root", "root", "train", *small), "none of its", "--photos")
    trained = eufcc("--root", "root", "train", *small, "--photos", own / "moved", timeout=300)
    assert trained.returncode == 0, trained.stderr
    assert "test_ood" not in trained.stderr
    stray = eufcc("--root", "root", "tag", own / "moved", "--photos", own / "moved")
    assert stray.returncode == 2 and "--photos" in stray.stderr
