"""Started by cron, a service or a program with windows: standard streams that are closed."""

import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.one_processor


def run(command: str, root: Path, redirection: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    call = [command, "-q", "--root", root, *arguments]
    return subprocess.run(
        ["bash", "-c", f'exec "$@" {redirection}', "bash", *map(str, call)],
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("redirection", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_an_output_file_is_written_whatever_is_closed(
    trained: Path, eufcc_command: str, tmp_path: Path, redirection: str
) -> None:
    photo = next((trained / "data" / "images").rglob("*.jpg"))
    done = run(eufcc_command, trained, redirection, "tag", photo, "-o", tmp_path / "a.jsonl")
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")
    assert (tmp_path / "a.jsonl").read_text(encoding="utf-8").count("\n") == 1


@pytest.mark.parametrize(
    ("redirection", "argument", "reason"),
    [("<&-", "-", "standard input is closed"), (">&-", "a.jpg", "standard output is closed")],
)
def test_what_cannot_be_done_is_one_line(
    trained: Path, eufcc_command: str, redirection: str, argument: str, reason: str
) -> None:
    done = run(eufcc_command, trained, redirection, "tag", argument)
    assert done.returncode == 1
    assert reason in done.stderr
    assert "Traceback" not in done.stderr


def test_other_commands_do_their_work(trained: Path, eufcc_command: str, tmp_path: Path) -> None:
    for command in (("trees", "--stats"), ("trees", "--write", tmp_path / "labels"), ("--version",)):
        done = run(eufcc_command, trained, "<&- >&-", *command)
        assert (done.returncode, done.stderr) == (0, ""), command
    assert list((tmp_path / "labels").iterdir())
