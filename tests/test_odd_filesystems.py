"""Every command on file systems that lack chmod, locks, shared mappings, fsync or links."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from eufcc_cli.cli import app
from tests.conftest import Run

SOURCE = Path(__file__).with_name("odd_filesystem.c")
ALL = "chmod,flock,locks,shared,fsync,links,utime"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if sys.platform != "linux" or shutil.which("gcc") is None:
        pytest.skip("needs Linux and gcc, to take system calls away")
    built = tmp_path_factory.mktemp("odd") / "odd.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", built, SOURCE, "-ldl"], check=True)
    return built


def odd(library: Path, folder: Path, what: str, number: int = 38) -> dict[str, str]:
    """An environment in which the folder's file system lacks something; flock then answers `number`."""
    return {"LD_PRELOAD": str(library), "ODD": what, "ODD_FOLDER": str(folder), "ODD_ERRNO": str(number)}


TRAIN = ("--backbone", "test_convnext3", "--no-pretrained", "--epochs", 1, "--image-size", 32)


@pytest.mark.parametrize("number", [37, 95])  # ENOLCK (NFS), ENOTSUP; ENOSYS (Lustre): see below
def test_locks_are_done_without(
    library: Path, demo_root: Path, eufcc: Run, tmp_path: Path, number: int
) -> None:
    env = odd(library, tmp_path, ALL, number)
    for command in (("trees", "--write", tmp_path / "labels"), ("download",)):
        done = eufcc("--root", demo_root, *command, env=env)
        assert (done.returncode, "Traceback" in done.stderr) == (0, False), (command, done.stderr)
    assert not list(tmp_path.rglob("*.held"))


@dataclass(frozen=True)
class Session:
    """What commands on an odd file system, one after the other in one process, left behind."""

    folder: Path
    photo: Path
    codes: list[int]
    errors: list[str]
    small_memory: bool
    """Whether it had 64 kB of shared memory only."""


SMALL_MEMORY = "mount -t tmpfs -o size=64k tmpfs /dev/shm"


@pytest.fixture(scope="module")
def session(library: Path, drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Session:
    """Commands that write, where everything is missing, and with next to no shared memory."""
    folder = tmp_path_factory.mktemp("session")
    root = shutil.copytree(drawn, folder / "root")
    photo = next((root / "data" / "images").rglob("*.jpg"))
    (root / "data" / "cache").mkdir()
    (root / "data" / "cache" / "train.lock").touch()  # of an earlier run, where locks worked
    # The ledger's own log is on, where it works.
    assert CliRunner().invoke(app, ["--root", str(root), "download"]).exit_code == 0
    whole = shutil.copy(root / "data" / "train.csv", folder / "all.csv")
    commands = (
        ("fetch", "splits", whole, "--force", "--resplit"),
        ("trees", "--write", folder / "labels"),
        ("download", "--report", folder / "failed.csv"),
        ("train", "--name", "small", *TRAIN, "--no-cache", "--workers", 1),
        ("train", "--name", "cached", *TRAIN),
        ("evaluate", "small", "--split", "val", "--save-predictions", folder / "scores.parquet"),
        ("tag", photo, "-o", folder / "tags.jsonl"),
        ("tag", photo, "--format", "sidecar"),
    )
    lists = [["--root", str(root), *map(str, command)] for command in commands]
    (folder / "commands.json").write_text(json.dumps(lists))
    start = [sys.executable, Path(__file__).with_name("windows") / "session.py", folder / "commands.json"]
    own = ["unshare", "-m", "bash", "-c"]  # a container has 64 MB, which a batch or two of real images fill
    small_memory = subprocess.run([*own, SMALL_MEMORY], capture_output=True).returncode == 0
    if small_memory:
        start = [*own, f'{SMALL_MEMORY} && exec "$@"', "bash", *start]
    done = subprocess.run(
        start, env=os.environ | odd(library, folder, ALL), capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr
    errors = [(folder / f"{number}.err").read_text() for number in range(len(lists))]
    codes = json.loads((folder / "codes.json").read_text())
    return Session(folder, photo, codes, errors, small_memory)


def test_every_command_writes_its_files(session: Session) -> None:
    assert set(session.codes) == {0}, session.errors
    assert not any("Traceback" in error for error in session.errors), session.errors
    assert (session.folder / "tags.jsonl").read_text().startswith('{"image"')
    assert session.photo.with_name(f"{session.photo.name}.xmp").is_file()
    assert (session.folder / "failed.csv").is_file()
    for kind in ("*.part", "*.held"):
        assert not list(session.folder.rglob(kind))


def test_training_needs_next_to_no_shared_memory(session: Session) -> None:
    if not session.small_memory:
        pytest.skip("needs root, to mount a small /dev/shm")
    assert session.codes[3] == 0, session.errors[3]


def test_without_locks_two_still_do_not_write_into_one_another(
    library: Path, demo_root: Path, eufcc: Run, tmp_path: Path
) -> None:
    hold = """if True:
        import sys
        from pathlib import Path
        from eufcc_cli.core.locks import hold_lock
        with hold_lock(Path(sys.argv[1]), "held"):
            print("held", flush=True)
            sys.stdin.read()
    """
    lock = demo_root / "data" / "images" / "images.lock"
    env = odd(library, tmp_path, "flock")
    with subprocess.Popen(
        [sys.executable, "-c", hold, lock],
        env=os.environ | env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        done = eufcc("--root", demo_root, "download", env=env)
        assert done.returncode == 1
        assert "another `eufcc download` is writing this ledger" in done.stderr
        assert f"delete {lock}.held" in done.stderr.replace("\n", "")
        holder.kill()  # it leaves its file behind, which the next one takes over
    assert Path(f"{lock}.held").exists()
    done = eufcc("--root", demo_root, "download", env=env)
    assert done.returncode == 0, done.stderr


def test_who_waits_says_so(demo_root: Path, quick_command: list[str]) -> None:
    from eufcc_cli.core.locks import hold_lock

    train = [*quick_command, "--root", str(demo_root), "train", *map(str, TRAIN)]
    with hold_lock(demo_root / "data" / "cache" / "train.lock", "held"):
        process = subprocess.Popen(train, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        assert any("waiting for it to finish" in line for line in process.stderr)
        process.kill()
        process.communicate()
