"""The face: the installed command, its streams, its exit codes, and what it loads."""

import os
import pty
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from eufcc_cli import cli
from eufcc_cli.core.taxonomy.tables.annotations import PROVIDER
from tests.conftest import Run

COMMANDS = ("fetch", "download", "trees", "train", "evaluate", "tag")
HELP = [("--help",), *((command, "--help") for command in COMMANDS)]
HELP += [("fetch", source, "--help") for source in ("published", "demo", "europeana", "splits")]


@pytest.mark.parametrize("arguments", HELP, ids=" ".join)
def test_help_is_plain_in_a_pipe_and_loads_nothing_heavy(arguments: tuple[str, ...], tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from eufcc_cli.cli import app\n"
        "try: app(sys.argv[1:], prog_name='eufcc')\n"
        "finally: print('LOADED', *sorted(set(sys.modules) & {'torch', 'pandas', 'timm', 'numpy', 'PIL'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert done.stdout.startswith("Usage: eufcc")
    assert done.stdout.rstrip().endswith("LOADED")
    assert not set(done.stdout) & set("╭│╰\x1b")
    assert done.stderr == ""


def test_commands_are_listed_in_the_order_of_their_use(eufcc: Run) -> None:
    listed = eufcc("--help").stdout.split("Commands:\n")[1]
    assert [line.split()[0] for line in listed.splitlines()] == list(COMMANDS)


def test_version_and_module(eufcc: Run, tmp_path: Path) -> None:
    told = eufcc("--version").stdout
    module = subprocess.run(
        [sys.executable, "-m", "eufcc_cli", "--version"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
    )
    assert told == module.stdout
    assert told.startswith("eufcc 0.")


@pytest.mark.parametrize(
    "arguments",
    [("nonsense",), ("--nonsense",), ("trees", "--depth", "x"), ("tag", "--format", "nonsense", "a.jpg")],
)
def test_wrong_usage_is_2_on_standard_error(eufcc: Run, arguments: tuple[str, ...]) -> None:
    done = eufcc(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["download", "trees", "train", "evaluate", "tag"])
def test_a_root_that_does_not_exist(eufcc: Run, command: str, tmp_path: Path) -> None:
    extra = {"evaluate": ["run"], "tag": ["image.jpg"]}.get(command, [])
    done = eufcc("--root", tmp_path / "nowhere", command, *extra)
    assert done.returncode == 1
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert lines[0].startswith("error: ")
    assert "nowhere" in lines[0]
    assert lines[1].startswith("hint: ")
    assert len(lines) == 2


@pytest.mark.parametrize("where", ["before", "after", "after, joined", "between"])
def test_global_options_before_or_after_the_command(eufcc: Run, tmp_path: Path, where: str) -> None:
    root = tmp_path / "made"
    command = ["demo", "--images", 8, "--workers", 1]
    arguments = {
        "before": ["--root", root, "--quiet", "fetch", *command],
        "after": ["fetch", *command, "--root", root, "-q"],
        "after, joined": ["fetch", *command, f"--root={root}", "--quiet"],
        "between": ["fetch", "--root", root, "-q", *command],
    }[where]
    done = eufcc(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert (root / "data" / "train.csv").is_file()
    counted = eufcc("trees", "--stats", "--root", root, env={"EUFCC_ROOT": str(tmp_path / "elsewhere")})
    assert (counted.returncode, counted.stdout[:8]) == (0, "8 images"), counted.stderr


def test_a_setting_is_an_option_on_the_command_line_and_itself_in_python(eufcc: Run, tmp_path: Path) -> None:
    from eufcc_cli.core.errors import ModelError
    from eufcc_cli.core.training.configuration.config import TrainConfig

    with pytest.raises(ModelError) as caught:
        TrainConfig(batch_size=0)
    assert str(caught.value) == "`batch_size` 0: must be above 0"
    done = eufcc("train", "--batch-size", 0, "--root", tmp_path)
    assert (done.returncode, done.stderr) == (1, "error: --batch-size 0: must be above 0\n")


def test_the_core_names_no_option() -> None:
    """Commands that a hint proposes stand in backquotes; everything else names settings."""
    core = Path(__file__).parents[1] / "eufcc_cli" / "core"
    for path in core.rglob("*.py"):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            outside = "".join(line.split("`")[::2])
            assert not re.search(r"(?<![\w-])--[a-z]", outside) or re.search(_COMMANDS, outside), (
                f"{path}:{number}"
            )


_COMMANDS = "describe|eufcc tag|eufcc --root"
"""Whole command lines: git's own, and the model card's example."""


def test_the_root_comes_from_the_environment(eufcc: Run, tmp_path: Path) -> None:
    done = eufcc("trees", env={"EUFCC_ROOT": str(tmp_path / "elsewhere")})
    assert done.returncode == 1
    assert "elsewhere" in done.stderr


def test_a_bug_keeps_its_traceback(tmp_path: Path) -> None:
    code = "from eufcc_cli import cli\ncli.app.command('bug')(lambda: 1 / 0)\ncli.app(['bug'])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr


def test_ctrl_c_at_a_question_is_an_interruption() -> None:
    with pytest.raises(typer.Exit) as ended, cli._reported_errors():
        raise typer.Abort
    assert ended.value.exit_code == 130


def test_results_are_coloured_on_a_terminal_only(eufcc_command: str, drawn: Path) -> None:
    command = [eufcc_command, "--root", str(drawn), "trees", "--stats"]
    plain = subprocess.run(command, capture_output=True, text=True, check=True)
    assert plain.returncode == 0
    assert not set(plain.stdout) & set("╭│\x1b")

    def on_terminal(**environment: str) -> str:
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            command, stdout=theirs, stderr=theirs, env=os.environ | {"TERM": "xterm-256color"} | environment
        ) as process:
            os.close(theirs)
            told = b""
            while True:
                try:
                    part = os.read(ours, 65536)
                except OSError:  # what Linux says when the other side has closed
                    break
                if not part:
                    break
                told += part
        assert process.returncode == 0
        os.close(ours)
        return told.decode()

    coloured, uncoloured = on_terminal(), on_terminal(NO_COLOR="1")
    assert "╭" in coloured
    assert "\x1b[1m" in coloured
    assert "╭" in uncoloured
    assert "\x1b[3" not in uncoloured


@pytest.mark.parametrize(
    "arguments",
    ["trees --print", "trees --counts", "trees --stats", "trees --find metal", "--help", "download --help"],
)
def test_the_pipe_may_be_closed(quick_command: list[str], drawn: Path, arguments: str) -> None:
    # `true` reads nothing: what is written meets a pipe without a reader.
    command = f"{shlex.join([*quick_command, '--root', str(drawn)])} {arguments} | true"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False, timeout=200
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full to write to")
@pytest.mark.parametrize("arguments", ["trees --print", "trees --stats", "--version", "download --help"])
def test_a_full_disk_behind_standard_output(quick_command: list[str], drawn: Path, arguments: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*quick_command, "--root", drawn, *arguments.split()],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=200,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.startswith("error: standard output: cannot write: No space left on device\nhint: ")
    assert done.stderr.count("\n") == 2


def test_what_strangers_write_reaches_the_terminal_as_text(eufcc: Run, demo_root: Path) -> None:
    table = demo_root / "data" / "train.csv"
    lines = table.read_text().splitlines(keepends=True)
    provider = lines[0].strip().split(",").index(PROVIDER)
    for number in range(1, len(lines)):
        cells = lines[number].split(",")
        cells[provider] = "Evil \x1b]0;pwn\x07 :heart: [bold]Museum[/]"
        lines[number] = ",".join(cells)
    table.write_text("".join(lines))
    for command in (("trees", "--stats"), ("download", "--split", "train", "--plan"), ("download",)):
        done = eufcc("--root", demo_root, *command)
        assert done.returncode == 0, done.stderr
        assert "\x1b" not in done.stdout + done.stderr
        if command != ("download", "--split", "train", "--plan"):
            assert r"Evil \x1b]0;pwn\x07 :heart: [bold]Museum[/]" in done.stdout
