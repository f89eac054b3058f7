"""The installed `eufcc download`: soaked, killed, interrupted, and what it tells."""

import csv
import itertools
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing, suppress
from hashlib import sha256
from pathlib import Path
from statistics import mode
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

from eufcc_cli.core.download.image_locations import find_images
from eufcc_cli.core.download.ledger import Entry, Ledger, LedgerReader
from eufcc_cli.core.errors import EufccError
from eufcc_cli.core.files import Root, image_stem
from eufcc_cli.core.locks import hold_lock
from tests.conftest import Run
from tests.processes import all_end
from tests.servers import Misbehaving, misbehaving_server
from tests.servers.misbehaving import picture

HEADER = "idInSource,objectTypes.hierarchy,#portraitMedia.original,database,repository.keeper"


@pytest.fixture(scope="module")
def server() -> Iterator[Misbehaving]:
    with misbehaving_server() as server:
        yield server


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(tmp_path / "collection")


def write_split(root: Root, urls: dict[str, str], split: str = "train") -> None:
    root.data.mkdir(parents=True, exist_ok=True)
    with root.table(split).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER.split(","))
        writer.writerows(
            [image_id, "coin", url, "TEST", f"museum {len(url) % 3}"] for image_id, url in urls.items()
        )


def rows(root: Root) -> dict[str, sqlite3.Row]:
    with closing(sqlite3.connect(root.ledger)) as connection:
        connection.row_factory = sqlite3.Row
        return {row["id"]: row for row in connection.execute("SELECT * FROM images")}


def recorded(root: Root) -> set[str]:
    """The images in the ledger of a download that may just begin."""
    with suppress(EufccError), LedgerReader(root.ledger) as ledger:
        return {entry.id for entry in ledger.entries()}
    return set()


def files(root: Root) -> list[Path]:
    """Those in the folders of images; unlike `rglob`, also while some are renamed or removed."""
    found = [Path(folder, name) for folder, _, names in os.walk(root.images) for name in names]
    return [path for path in found if path.parent != root.images]


def check_files(root: Root, urls: dict[str, str]) -> None:
    """Every image there once, whole, as the ledger says it."""
    kept = {image_id: row for image_id, row in rows(root).items() if row["status"] == "ok"}
    assert sorted(files(root)) == sorted(root.images / row["path"] for row in kept.values())
    for image_id, row in kept.items():
        content = (root.images / row["path"]).read_bytes()
        assert content == picture(urlsplit(urls[image_id]).path)
        assert (row["bytes"], row["sha256"]) == (len(content), sha256(content).hexdigest())


FAULTS = {
    "404": "missing", "410": "missing", "403": "refused", "500-once": "ok", "500": "server-error",
    "reset": "server-error", "reset-once": "ok", "short": "server-error", "long": "not-image",
    "redirect/3": "ok", "loop": "server-error", "to-file": "blocked", "html": "not-image", "svg": "not-image",
    "empty": "not-image", "truncated": "not-image", "bomb": "too-large", "closing": "ok", "gzip": "ok",
    "same": "placeholder",
}  # fmt: skip
RARE_FAULTS = {
    "stall": "timeout",
    "silent": "timeout",
    "drip": "timeout",
    "429-after": "ok",
    "endless": "too-large",
}


def soak_urls(server: Misbehaving) -> tuple[dict[str, str], dict[str, str]]:
    """1,500 addresses on four hosts, a fault in every third, and how each has to end."""
    urls, wanted = {}, {}
    faults, rare = itertools.cycle(FAULTS.items()), itertools.cycle(RARE_FAULTS.items())
    for n in range(1500):
        kind, wanted[f"image {n}"] = ("ok", "ok") if n % 3 else next(rare if n % 180 == 0 else faults)
        urls[f"image {n}"] = server.url(f"{kind}/{n}", 1 + n % 4)
    return urls, wanted


@pytest.mark.timeout(600)
def test_a_soak_ends_with_exactly_the_right_status_for_each(
    eufcc: Run, server: Misbehaving, root: Root
) -> None:
    server.forget()
    urls, wanted = soak_urls(server)
    write_split(root, urls)
    ended = eufcc(
        "--root", root.path, "download", "--allow-private-hosts", "--rate", 0, "--per-host", 16,
        "--workers", 64, "--retries", 2, "--timeout", 5, "--total-timeout", 6, "--max-bytes", 2_000_000,
        "--format", "json", timeout=200,
    )  # fmt: skip
    assert ended.returncode == 3, ended.stderr
    assert {image_id: row["status"] for image_id, row in rows(root).items()} == wanted
    told = json.loads(ended.stdout)
    assert told["statuses"] == Counter(wanted.values())
    assert (told["images"], told["failed"]) == (1500, 1500 - Counter(wanted.values())["ok"])
    assert sum(sum(counts.values()) for counts in told["hosts"].values()) == 1500
    assert {"museum 0", "museum 1", "museum 2"} == set(told["providers"])
    assert len(files(root)) == told["ok"]
    # A 404 is asked for once, and what heals until it has; but for what was late on a busy machine.
    asked: defaultdict[str, list[int]] = defaultdict(list)
    for path, times in server.log()["times"].items():
        asked[path.split("/")[1]].append(len(times))
    usual = {kind: mode(counts) for kind, counts in asked.items()}
    assert [usual[kind] for kind in ("404", "html", "same", "500-once", "429-after")] == [1, 1, 1, 2, 2]


@pytest.mark.timeout(600)
def test_killed_again_and_again_nothing_is_torn_lost_or_fetched_twice(
    eufcc: Run, eufcc_command: str, server: Misbehaving, root: Root
) -> None:
    server.forget()
    urls = {f"image {n}": server.url(f"ok/k{n}", 1 + n % 4) for n in range(1600)}
    write_split(root, urls)
    targets = {image_stem(image_id).name: urlsplit(url).path for image_id, url in urls.items()}
    command = ["--root", root.path, "download", "--allow-private-hosts", "--rate", 40]
    chance = random.Random(4)
    for _ in range(5):
        before = len(files(root))
        process = subprocess.Popen([eufcc_command, *map(str, command)], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 100
        while len(files(root)) == before and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(chance.uniform(0, 0.5))
        assert process.poll() is None, "it ended before it was killed"
        workers = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait()
        assert all_end(workers), "workers outlive their parent"
        kept = [path for path in files(root) if not path.name.startswith(".")]
        for path in kept:
            assert path.read_bytes() == picture(targets[path.stem])
    assert 0 < len(kept) < 1600
    asked = server.log()["times"]
    ended = eufcc(*command, timeout=200)
    assert ended.returncode == 0, ended.stderr
    check_files(root, urls)
    assert len(rows(root)) == 1600
    again = server.log()["times"]
    for path in kept:
        target = targets[path.stem]
        assert len(again[target]) == len(asked[target]), "what was there is fetched again"


@pytest.mark.parametrize("kind", ["silent", "slow"])
def test_ctrl_c_ends_at_once_and_keeps_what_is_done(
    eufcc_command: str, server: Misbehaving, root: Root, kind: str
) -> None:
    urls = {f"image {n}": server.url(f"{kind}/c{n}", 1 + n % 4) for n in range(2000)}
    urls |= {f"fine {n}": server.url(f"ok/c{n}", 8) for n in range(5)}
    write_split(root, urls)
    process = subprocess.Popen(
        [
            *(eufcc_command, "--root", root.path, "download", "--allow-private-hosts"),
            *("--timeout", "3600", "--total-timeout", "3600"),  # to wait for these servers takes longer
        ],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    fine = {f"fine {n}" for n in range(5)}
    while not fine <= recorded(root):  # not only in their places
        assert process.poll() is None
        time.sleep(0.05)
    workers = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers too
    _, told = process.communicate(timeout=200)
    assert process.returncode == 130
    assert "interrupted" in told
    assert "Traceback" not in told
    assert all_end(workers)
    assert fine <= find_images(root).keys()
    # A worker may have put a file in its place that is not recorded yet: the next run takes it over.
    targets = {image_stem(image_id).name: urlsplit(url).path for image_id, url in urls.items()}
    whole = {path for path in files(root) if not path.name.startswith(".")}
    assert set(find_images(root).values()) <= whole
    assert all(path.read_bytes() == picture(targets[path.stem]) for path in whole)


def test_images_that_are_there_need_no_network(eufcc: Run, root: Root) -> None:
    urls = {f"drawn {n}": f"https://example.invalid/{n}.jpg" for n in range(30)}
    write_split(root, urls)
    for image_id in urls:
        path = root.images / image_stem(image_id).with_suffix(".jpg")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(image_id))
    ended = eufcc("--root", root.path, "download")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split()[:5] == ["Images", "status", "images", "ok", "30"]
    assert {row["candidate"] for row in rows(root).values()} == {"found"}
    assert find_images(root).keys() == urls.keys()


def test_a_collection_that_came_with_its_pictures(eufcc: Run, shared_data: Path, root: Root) -> None:
    (root.path / "images").mkdir(parents=True)
    root.data.mkdir()
    shutil.copy(shared_data / "clothing" / "data" / "test_id.csv", root.data)
    wanted = [line.partition(",")[0] for line in root.table("test_id").read_text().splitlines()[1:]]
    for image_id in wanted:
        shutil.copy(shared_data / "clothing" / "images" / f"{image_id}.jpg", root.path / "images")
    ended = eufcc("--root", root.path, "download", "--format", "json")
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["statuses"] == {"ok": len(wanted)}
    found = find_images(root)
    assert set(found) == set(wanted)
    assert all(path.is_relative_to(root.images) for path in found.values())
    assert len(list((root.path / "images").iterdir())) == len(wanted)


def test_failures_are_reported_and_taken_up_again(eufcc: Run, server: Misbehaving, root: Root) -> None:
    server.forget()
    urls = {"good": server.url("ok/f"), "dead": server.url("404/f"), "ill": server.url("500/f")}
    write_split(root, urls)
    base = ("--root", root.path, "download", "--allow-private-hosts", "--retries", 0)

    def requests() -> list[int]:
        times = server.log()["times"]
        return [len(times.get(urlsplit(url).path, ())) for url in urls.values()]

    ended = eufcc(*base, "--report", "failures.csv", cwd=root.path)
    assert ended.returncode == 3
    assert "3 images: 1 present" in ended.stderr and "2 failed: --report" in ended.stderr
    with (root.path / "failures.csv").open(newline="") as file:
        told = {row["id"]: row for row in csv.DictReader(file)}
    assert {i: (row["status"], row["http"], row["reason"]) for i, row in told.items()} == {
        "dead": ("missing", "404", "HTTP 404"),
        "ill": ("server-error", "500", "HTTP 500"),
    }
    assert told["dead"]["url"] == urls["dead"]
    assert told["dead"]["split"] == "train"
    for options, asked in (
        ((), [1, 1, 1]),
        (("--retry-failed", "--limit", 5), [1, 1, 2]),
        (("--retry-failed",), [1, 1, 3]),
        (("--retry-failed", "all"), [1, 2, 4]),
    ):
        assert eufcc(*base, *options).returncode == 3
        assert requests() == asked, options


def test_a_plan_fetches_nothing(eufcc: Run, server: Misbehaving, root: Root) -> None:
    server.forget()
    urls = {f"{n}": server.url(f"ok/p{n}", 1 + n % 2) for n in range(30)}
    write_split(root, urls)
    ended = eufcc("--root", root.path, "download", "--plan", "--format", "json", "--rate", 5)
    assert ended.returncode == 0
    told: dict[str, Any] = json.loads(ended.stdout)
    assert told["requests"] == {f"127.0.0.{n}:{server.port}": 15 for n in (1, 2)}
    assert told["hours"] == pytest.approx(15 / 5 / 3600)
    assert told["bytes"] > 0
    assert "30 images to download from 2 hosts" in eufcc("--root", root.path, "download", "--plan").stdout
    assert server.log()["times"] == {}
    assert files(root) == []


def test_a_plan_changes_nothing_and_waits_for_nobody(eufcc: Run, root: Root) -> None:
    write_split(root, {f"{n}": f"http://a.example/{n}" for n in range(50)})
    base = ("--root", root.path, "download", "--plan", "--format", "json")
    assert json.loads(eufcc(*base).stdout)["images"] == 50
    assert not root.images.exists()
    with Ledger(root.ledger) as ledger:
        ledger.record(Entry("0", "ok", path="00/0.jpg", bytes=7))  # whose file is lost
        ledger.record(Entry("1", "missing"))
    (root.images / ".half.jpg.part").touch()
    there = sorted(root.images.iterdir())
    with hold_lock(root.ledger.with_suffix(".lock"), "a download"):
        ended = eufcc(*base, "--limit", 3)
    told = json.loads(ended.stdout)
    assert (told["images"], told["done"], told["failed"]) == (3, 0, 1)
    assert told["requests"] == {"a.example": 3}
    assert sorted(root.images.iterdir()) == there
    assert rows(root).keys() == {"0", "1"}


def test_local_addresses_are_refused_unless_allowed(eufcc: Run, server: Misbehaving, root: Root) -> None:
    server.forget()
    write_split(root, {"a": server.url("ok/b"), "b": f"http://localhost:{server.port}/ok/b"})
    ended = eufcc("--root", root.path, "download", "--format", "json")
    assert ended.returncode == 3
    assert json.loads(ended.stdout)["statuses"] == {"blocked": 2}
    assert all("private IP address" in row["reason"] for row in rows(root).values())
    assert server.log()["times"] == {}


def test_a_limit_leaves_the_rest_untried(eufcc: Run, server: Misbehaving, root: Root) -> None:
    write_split(root, {f"{n}": server.url(f"ok/l{n}") for n in range(10)})
    base = ("--root", root.path, "download", "--allow-private-hosts", "--format", "json")
    ended = eufcc(*base, "--limit", 3)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["statuses"] == {"not tried": 7, "ok": 3}
    assert json.loads(eufcc(*base).stdout)["statuses"] == {"ok": 10}


def test_what_is_too_large_or_the_same_is_for_the_user_to_say(
    eufcc: Run, server: Misbehaving, root: Root
) -> None:
    write_split(root, {f"{n}": server.url(f"same/opt{n}") for n in range(4)})
    base = ("--root", root.path, "download", "--allow-private-hosts", "--format", "json")
    for options, status in (
        (("--max-pixels", 96 * 64 - 1), "too-large"),
        (("--max-pixels", 96 * 64, "--placeholder-threshold", 4), "placeholder"),
        (("--placeholder-threshold", 5), "ok"),
    ):
        ended = eufcc(*base, "--retry-failed", "all", *options)
        assert json.loads(ended.stdout)["statuses"] == {status: 4}, ended.stderr


def test_splits_are_fetched_as_asked(eufcc: Run, server: Misbehaving, root: Root) -> None:
    write_split(root, {"a": server.url("ok/sa"), "both": server.url("ok/sb")})
    write_split(root, {"c": server.url("ok/sc"), "both": server.url("ok/sb")}, "val")
    base = ("--root", root.path, "download", "--allow-private-hosts")
    assert eufcc(*base, "--split", "val").returncode == 0
    assert rows(root).keys() == {"c", "both"}
    assert eufcc(*base).returncode == 0
    assert rows(root).keys() == {"a", "c", "both"}


def test_a_split_named_twice_is_fetched_once(eufcc: Run, server: Misbehaving, root: Root) -> None:
    write_split(root, {"a": server.url("ok/twice")})
    base = ("--root", root.path, "download", "--allow-private-hosts", "--format", "json")
    ended = eufcc(*base, "--split", "train", "--split", "train")
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["statuses"] == {"ok": 1}


def test_a_split_that_is_not_there_is_told_with_those_that_are(eufcc: Run, root: Root) -> None:
    write_split(root, {"a": ""})
    write_split(root, {"b": ""}, "val")
    for split in ("nonsense", "../data/train", ""):
        ended = eufcc("--root", root.path, "download", "--split", split)
        assert ended.returncode == 1
        assert ended.stderr.startswith(f"error: --split {split}: no table ")
        assert "hint: there are: train, val" in ended.stderr


def test_verify_and_duplicates_through_the_command(eufcc: Run, server: Misbehaving, root: Root) -> None:
    write_split(root, {f"{n}": server.url("ok/twin" if n < 2 else f"ok/v{n}") for n in range(4)})
    base = ("--root", root.path, "download", "--allow-private-hosts")
    assert eufcc(*base, "--duplicates", "twins.csv", cwd=root.path).returncode == 0
    with (root.path / "twins.csv").open(newline="") as file:
        kinds = {row["id"]: row["kind"] for row in csv.DictReader(file)}
    assert {kinds["0"], kinds["1"]} == {"identical"}
    assert eufcc(*base, "--verify").returncode == 0
    (root.images / rows(root)["3"]["path"]).unlink()
    told = eufcc(*base, "--verify", "--format", "json")
    assert told.returncode == 3
    assert json.loads(told.stdout) == {
        "intact": 3,
        "findings": [{"kind": "missing", "image": "3", "done": "removed from the ledger"}],
    }
    assert eufcc(*base).returncode == 0
    assert eufcc(*base, "--verify").returncode == 0
    root.table("train").rename(root.table("of-my-own"))  # a table is one by its columns
    root.ledger.unlink()
    told = eufcc(*base, "--verify", "--format", "json")
    assert {finding["done"] for finding in json.loads(told.stdout)["findings"]} == {"recorded"}


def test_a_hostile_id_stays_inside(eufcc: Run, server: Misbehaving, root: Root) -> None:
    ids = ["../../../escape", "/etc/cron.d/x", "CON", "con", "a" * 300, "..", "ä\\b:c*?", "-rf", "nul\0byte"]
    urls = {image_id: server.url(f"ok/h{n}") for n, image_id in enumerate(ids)}
    write_split(root, urls)
    assert eufcc("--root", root.path, "download", "--allow-private-hosts").returncode == 0
    check_files(root, urls)
    assert rows(root).keys() == urls.keys()
    assert sorted(path.name for path in root.path.parent.iterdir()) == ["collection"]


@pytest.mark.parametrize(
    ("options", "message", "code"),
    [
        (("--resize", "3"), "--resize", 2),
        (("--size", "300"), "--size", 2),
        (("--plan", "--report", "a.csv"), "--report has no effect with --plan", 2),
        (("--plan", "--duplicates", "a.csv"), "--duplicates has no effect with --plan", 2),
        (("--plan", "--verify"), "--verify has no effect with --plan", 2),
        (("--verify", "--report", "a.csv"), "--report has no effect with --verify", 2),
        (("--verify", "--split", "train"), "--split has no effect with --verify", 2),
        (("--verify", "--limit", "0"), "--limit has no effect with --verify", 2),
        (("--report", "."), "error: .: cannot write: is a folder", 1),
        (("--report", "collection/data/train.csv/a/b.csv"), "train.csv cannot be written to", 1),
        (("--duplicates", "collection/data/train.csv/a.csv"), "train.csv cannot be written to", 1),
    ],
)
def test_wrong_use_is_told(eufcc: Run, root: Root, options: tuple[str, ...], message: str, code: int) -> None:
    write_split(root, {"a": ""})
    ended = eufcc("--root", root.path, "download", *options)
    assert ended.returncode == code
    assert message in " ".join(ended.stderr.replace("│", " ").split())
    assert "Traceback" not in ended.stderr
    assert not root.images.exists()


def test_a_report_makes_its_folders(eufcc: Run, root: Root, tmp_path: Path) -> None:
    write_split(root, {"a": ""})
    assert eufcc("--root", root.path, "download", "--report", "new/../deep/down/y.csv").returncode == 3
    assert (tmp_path / "deep" / "down" / "y.csv").read_text().startswith("id,split,")


def test_a_root_without_tables_is_told(eufcc: Run, tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "nowhere"):
        ended = eufcc("--root", root, "download")
        assert ended.returncode == 1
        assert ended.stderr.startswith("error: ")
        assert "hint: " in ended.stderr
        assert not (tmp_path / "data").exists()
