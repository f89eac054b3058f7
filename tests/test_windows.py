"""Every command where POSIX's own modules and functions are missing and files behave as on Windows.

What stands in for it is in tests/windows/sitecustomize.py.
"""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from eufcc_cli.core.dataset.museum.export_file import Dialect, write_export
from eufcc_cli.core.errors import ModelError
from eufcc_cli.core.training.configuration.config import TrainConfig
from eufcc_cli.core.training.state.resumption import continues
from tests.core.dataset import museum
from tests.servers.europe import europe

LAYER = Path(__file__).with_name("windows")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="takes away what Linux has")


@dataclass(frozen=True)
class Done:
    """What a command ended with."""

    arguments: list[str]
    code: int
    out: str
    err: str


def session(
    tmp_path: Path,
    *commands: tuple[object, ...],
    fails: bool = False,
    typed: Path | None = None,
    settings: dict[str, str] | None = None,
) -> list[Done]:
    """Run commands as on Windows, one after another in one process, in tmp_path; all must succeed or fail.

    typed: what is on standard input; settings: further environment variables.
    """
    folder = tmp_path.with_name(f"{tmp_path.name}-session")
    folder.mkdir(exist_ok=True)
    lists = [[str(argument) for argument in command] for command in commands]
    (folder / "commands.json").write_text(json.dumps(lists), encoding="utf-8")
    env = os.environ | {
        "PYTHONPATH": str(LAYER),
        "EUFCC_WINDOWS": str(tmp_path),
        "PYTHONIOENCODING": "cp1252",
        "PYTHONWARNDEFAULTENCODING": "1",
        "HF_HUB_OFFLINE": "1",
        **(settings or {}),
    }
    start = [sys.executable, str(LAYER / "session.py"), str(folder / "commands.json")]
    with (typed or Path(os.devnull)).open("rb") as file:
        done = subprocess.run(start, env=env, cwd=tmp_path, stdin=file, capture_output=True, timeout=280)
    assert done.returncode == 0, done.stderr
    codes = json.loads((folder / "codes.json").read_text(encoding="utf-8"))
    ends = [
        Done(arguments, code, *((folder / f"{i}.{kind}").read_text("cp1252") for kind in ("out", "err")))
        for i, (arguments, code) in enumerate(zip(lists, codes, strict=True))
    ]
    for end in ends:
        assert (end.code != 0) == fails, end
        assert "Traceback" not in end.err, end
    return ends


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


def test_every_command_runs(tmp_path: Path, drawn: Path) -> None:
    shutil.copytree(drawn, tmp_path / "r")
    kept = set()
    for table in (tmp_path / "r" / "data").glob("*.csv"):
        rows = table.read_text().splitlines(keepends=True)[:33]
        table.write_text("".join(rows))
        kept |= {row.split(",")[0] for row in rows}
    for photo in (tmp_path / "r" / "data" / "images").rglob("*.jpg"):
        if photo.stem not in kept:
            photo.unlink()
    shutil.copy(tmp_path / "r" / "data" / "train.csv", tmp_path / "all.csv")
    photos = sorted((tmp_path / "r" / "data" / "images").rglob("*.jpg"))[:3]
    listed = tmp_path.with_name("list.txt")
    listed.write_bytes("".join(f'"{photo}"\r\n' for photo in photos).encode())
    root = ("--root", "r")
    train = (*root, "train", "--image-size", 32)
    scratch = (*train, "--backbone", "test_convnext3", "--no-pretrained", "--tune", "full", "--epochs", 1)
    tag = (*root, "tag", "--model", "small")
    *_, piped, _, _, _ = session(
        tmp_path,
        ("--root", "d", "fetch", "demo", "--images", 8),
        (*root, "trees", "--stats"),
        (*root, "trees", "--write", "labels"),
        (*root, "trees", "--write", "labels"),  # over what is there
        (*root, "download", "--report", "failed.csv"),
        (*root, "download", "--verify"),
        ("--root", "split", "fetch", "splits", "all.csv", "--min-count", 1),
        (*scratch, "--name", "small"),
        (*scratch, "--name", "files", "--no-cache", "--workers", 1),
        (*train, "--name", "heads", "--tune", "head", "--backbone", "tf_efficientnet_lite0"),
        (*root, "evaluate", "small", "--split", "val", "--save-predictions", "scores.parquet"),
        (*root, "evaluate", "small", "--calibrate"),
        *((*tag, *photos, "-o", f"tags.{form}") for form in ("jsonl", "csv", "json", "jsonld")),
        *((*tag, *photos, "-o", f"tags.{form}", "--skip-existing") for form in ("jsonl", "jsonld")),
        (*tag, *photos, "--format", "sidecar"),
        (*tag, *photos, "--format", "sidecar"),  # over its own
        (*tag, "--table", "r/data/val.csv", "-o", "val.csv"),
        (*tag, "-"),
        (*tag, *photos, "--review", "review.jsonl", "--no-browser"),
        (*root, "tag", "--table", "all.csv", "--decisions", "review.decisions.jsonl", "-o", "back.csv"),
        (*tag, *photos, "--shard-size", 2, "-o", "shards"),
        typed=listed,
    )
    assert piped.out.count("\n") == 3
    assert (tmp_path / "review.decisions.jsonl").read_text(encoding="utf-8").count('"accepted"') == 1


def test_a_museums_own_table(tmp_path: Path) -> None:
    frame = museum.export(30)
    write_export(frame, tmp_path / "export.csv", Dialect("csv", "cp1252", separator=";"))
    museum.photographs(tmp_path / "photos", frame)
    for number, photo in enumerate(sorted((tmp_path / "photos").iterdir())):
        if number % 2:  # not as the table has them
            photo.rename(photo.with_name(photo.name.upper()))
    made, _ = session(
        tmp_path,
        ("--root", "m", "fetch", "table", "export.csv", "--photos", "photos", "--yes"),
        ("--root", "m", "trees", "--stats"),
    )
    assert "30 records, 30 images" in made.out


def test_what_europeana_and_the_getty_answer_is_kept(tmp_path: Path) -> None:
    with europe(12, tmp_path.with_name("files")) as server:
        root = ("--root", "e")
        harvest = (*root, "fetch", "europeana", "all", "medal")
        concepts = (*root, "fetch", "concepts")
        session(
            tmp_path,
            *(harvest, (*root, "fetch", "splits", "e/data/europeana.csv", "--min-count", 1)),
            *((*root, "trees", "--write", "labels"), concepts, concepts),
            settings=server.environment,
        )
    assert (tmp_path / "e" / "labels" / "concepts-review.csv").is_file()


@pytest.mark.parametrize("name", ["con", "AUX.1", "a:b", "a?", "a.", "a ", "nul"])
def test_a_run_has_a_name_that_is_one_everywhere(name: str) -> None:
    with pytest.raises(ModelError, match="not a name for a folder"):
        continues(TrainConfig(), Path("runs", name), name, resume=False, overwrite=False)


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
