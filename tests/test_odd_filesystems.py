"""Every command on file systems that lack chmod, locks, shared mappings, fsync or links."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

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


def test_every_command_writes_its_files(library: Path, demo_root: Path, eufcc: Run, tmp_path: Path) -> None:
    photo = next((demo_root / "data" / "images").rglob("*.jpg"))
    (demo_root / "data" / "cache").mkdir()
    (demo_root / "data" / "cache" / "train.lock").touch()  # of an earlier run, where locks worked
    # The ledger's own log is on, where it works.
    assert eufcc("--root", demo_root, "download").returncode == 0
    whole = shutil.copy(demo_root / "data" / "train.csv", tmp_path / "all.csv")
    commands = (
        ("fetch", "splits", whole, "--force", "--anew"),
        ("trees", "--write", tmp_path / "labels"),
        ("download", "--report", tmp_path / "failed.csv"),
        ("train", "--name", "small", *TRAIN),
        ("evaluate", "small", "--split", "val", "--save-predictions", tmp_path / "scores.parquet"),
        ("tag", photo, "-o", tmp_path / "tags.jsonl"),
        ("tag", photo, "--format", "sidecar"),
    )
    lists = [["--root", str(demo_root), *map(str, command)] for command in commands]
    (tmp_path / "commands.json").write_text(json.dumps(lists))
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("windows") / "session.py", tmp_path / "commands.json"],
        env=os.environ | odd(library, tmp_path, ALL),
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    errors = [(tmp_path / f"{number}.err").read_text() for number in range(len(lists))]
    assert json.loads((tmp_path / "codes.json").read_text()) == [0] * len(lists), errors
    assert not any("Traceback" in error for error in errors), errors
    assert (tmp_path / "tags.jsonl").read_text().startswith('{"image"')
    assert photo.with_name(f"{photo.name}.xmp").is_file()
    assert (tmp_path / "failed.csv").is_file()
    assert not list(tmp_path.rglob("*.part")) + list(tmp_path.rglob("*.held"))


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


def test_who_waits_says_so(demo_root: Path, eufcc: Run, library: Path, tmp_path: Path) -> None:
    from eufcc_cli.core.locks import hold_lock

    with (
        hold_lock(demo_root / "data" / "cache" / "train.lock", "held"),
        pytest.raises(subprocess.TimeoutExpired) as late,
    ):
        eufcc("--root", demo_root, "train", *TRAIN, timeout=8)
    assert b"waiting for it to finish" in (late.value.stderr or b"")


def test_training_needs_next_to_no_shared_memory(demo_root: Path, eufcc_command: str) -> None:
    """64 kB stand for the 64 MB of a container, which a batch or two of real images fill."""
    mount = "mount -t tmpfs -o size=64k tmpfs /dev/shm"
    if subprocess.run(["unshare", "-m", "bash", "-c", mount], capture_output=True).returncode:
        pytest.skip("needs root, to mount a small /dev/shm")
    train = [eufcc_command, "--root", demo_root, "train", *map(str, TRAIN), "--no-cache", "--workers", "1"]
    done = subprocess.run(
        ["unshare", "-m", "bash", "-c", f'{mount} && exec "$@"', "bash", *map(str, train)],
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
