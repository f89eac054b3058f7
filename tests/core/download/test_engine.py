"""Downloads from a real server that misbehaves: how each image ends, and how the hosts are treated."""

import hashlib
import itertools
import logging
import os
import signal
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from eufcc_cli.core.download.backlog import find_backlog
from eufcc_cli.core.download.engine import Options, download_images
from eufcc_cli.core.download.image_locations import find_images
from eufcc_cli.core.download.ledger import FAILURES, TEMPORARY, Entry, Ledger, LedgerReader
from eufcc_cli.core.download.origins import Origin
from eufcc_cli.core.download.store import Stored, Storing, store
from eufcc_cli.core.files import Root, image_stem
from eufcc_cli.core.http.body import Spool
from eufcc_cli.core.http.politeness import Host, Politeness
from tests.core.download.deadly import store_or_die
from tests.servers import Misbehaving, misbehaving_server
from tests.servers.misbehaving import picture

QUICK = Politeness(
    per_host=16, rate=0, retries=2, timeout=60, backoff=0.05, trip=50, allow_private_hosts=True
)


@pytest.fixture(scope="module")
def server() -> Iterator[Misbehaving]:
    with misbehaving_server() as server:
        yield server


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(tmp_path)


def download(
    root: Root, urls: dict[str, str], retry: frozenset[str] = frozenset(), **options
) -> dict[str, Entry]:
    wanted = pd.DataFrame({"id": list(urls), "url": list(urls.values())}, dtype=str)
    politeness = options.pop("politeness", QUICK)
    with Ledger(root.ledger) as ledger:
        stock = find_backlog(root, ledger, wanted, retry)
        stock.clear(ledger)
        download_images(root, ledger, stock.pending, stock.found, Options(politeness=politeness, **options))
        return {entry.id: entry for entry in ledger.entries()}


# behaviour -> status, HTTP code, attempts, part of the reason
ENDS = {
    "ok/1": ("ok", 200, 1, None),
    "404/1": ("missing", 404, 1, "HTTP 404"),
    "410/1": ("missing", 410, 1, "HTTP 410"),
    "403/1": ("refused", 403, 1, "HTTP 403"),
    "500-once/1": ("ok", 200, 2, None),
    "500/1": ("server-error", 500, 3, "HTTP 500"),
    "reset-once/1": ("ok", 200, 2, None),
    "reset/1": ("server-error", None, 3, ""),
    "short/1": ("server-error", None, 3, "closed connection"),
    "long/1": ("not-image", 200, 1, "truncated"),
    "endless/1": ("too-large", 200, 1, "more than 2,000,000 bytes"),
    "large/1": ("too-large", 200, 1, "more than 2,000,000 bytes"),
    "redirect/5/1": ("ok", 200, 6, None),
    "redirect/20/1": ("server-error", 302, 9, "redirects"),
    "loop/1": ("server-error", 301, 9, "redirects"),
    "to-file/1": ("blocked", 302, 1, "only http and https are fetched, not file"),
    "to/http%3A%2F%2Fxn--%2F": ("blocked", 302, 1, "redirect: not a URL"),
    "to/http%3A%2F%2F127.0.0.1%3A99999%2F": (
        "blocked",
        302,
        1,
        "redirect: not a URL: there is no port 99999",
    ),
    "bomb/1": ("too-large", 200, 1, "more than 2,000,000 bytes"),
    "gzip/1": ("ok", 200, 1, None),
    "html/1": ("not-image", 200, 1, "HTML page"),
    "svg/1": ("not-image", 200, 1, "SVG"),
    "empty/1": ("not-image", 200, 1, "empty"),
    "truncated/1": ("not-image", 200, 1, "truncated"),
}


def test_every_kind_of_trouble_ends_with_its_status(server: Misbehaving, root: Root) -> None:
    # Those that break a connection for the next request too are kept apart, since attempts are counted.
    apart = {"long/1": 3, "short/1": 4, "reset/1": 5, "reset-once/1": 6}
    urls = {behaviour: server.url(behaviour, apart.get(behaviour, 1)) for behaviour in ENDS}
    urls |= {f"closing/{n}": server.url(f"closing/{n}", 2) for n in range(30)}
    urls |= {
        "none": "",
        "ftp": "ftp://127.0.0.1/x.jpg",
        "text": "see the catalogue",
        "no name": "http://xn--/x",
        "no port": "http://8.8.8.8:99999/x",
        "port 0": "http://127.0.0.1:0/x",
        "x" * 2500: server.url("ok/long"),
    }
    entries = download(root, urls, max_bytes=2_000_000)
    for behaviour, (status, http, attempts, reason) in ENDS.items():
        entry = entries[behaviour]
        assert (entry.status, entry.http, entry.attempts) == (status, http, attempts), entry
        assert reason is None or reason in str(entry.reason), entry
    assert {entries[f"closing/{n}"].status for n in range(30)} == {"ok"}
    assert (entries["none"].status, entries["none"].reason) == (
        "missing",
        "the table has no URL for this image",
    )
    for image_id in ("ftp", "text", "no name", "no port", "port 0", "x" * 2500):
        assert entries[image_id].status == "blocked", entries[image_id]
    for entry in entries.values():
        if entry.status == "ok":
            check_file(root, entry)
    files = [path for path in root.images.rglob("*") if path.is_file() and "sqlite" not in path.name]
    assert len([path for path in files if path.name != "images.lock"]) == 35


@pytest.mark.parametrize(
    ("kinds", "limit", "reason"),
    [
        (["stall", "silent"], {"timeout": 0.5}, "no data for 0.5 s"),
        (["drip"], {"total_timeout": 1}, "not complete after 1 s"),
    ],
)
def test_what_takes_too_long_is_a_timeout(
    server: Misbehaving, root: Root, kinds: list[str], limit: dict[str, float], reason: str
) -> None:
    urls = {kind: server.url(f"{kind}/1") for kind in kinds} | {"nobody": "http://nobody.invalid/1.jpg"}
    entries = download(root, urls, politeness=replace(QUICK, **limit))  # type: ignore[arg-type]
    assert entries.pop("nobody").status in TEMPORARY
    for entry in entries.values():
        assert (entry.status, entry.http, entry.attempts) == ("timeout", None, 3), entry
        assert reason in str(entry.reason), entry


def check_file(root: Root, entry: Entry) -> None:
    """The row tells exactly what is on the disk, in the image's own place."""
    path = root.images / str(entry.path)
    content = path.read_bytes()
    assert path == root.images / image_stem(entry.id).with_suffix(".jpg")
    assert (entry.bytes, entry.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    with Image.open(path) as image:
        assert (entry.width, entry.height, entry.format) == (*image.size, image.format)


class _CtrlC:
    """Progress that presses Ctrl-C when so many images are done."""

    def __init__(self, images: int) -> None:
        self.left = images

    @contextmanager
    def task(self, description: str, total: int | None, unit: str = "images") -> Iterator["_CtrlC"]:
        yield self

    def advance(self, steps: int = 1, **fields: object) -> None:
        self.left -= steps
        if self.left == 0:
            signal.raise_signal(signal.SIGINT)


def test_ctrl_c_keeps_what_is_done_and_not_committed_yet(server: Misbehaving, root: Root) -> None:
    wanted = pd.DataFrame({"id": [f"{n}" for n in range(60)]}, dtype=str)
    wanted["url"] = [server.url(f"ok/{n}" if n < 5 else f"silent/{n}") for n in range(60)]
    with Ledger(root.ledger) as ledger:
        with pytest.raises(KeyboardInterrupt):
            download_images(root, ledger, wanted, options=Options(politeness=QUICK), progress=_CtrlC(5))
        with LedgerReader(root.ledger) as reader:
            assert {entry.id: entry.status for entry in reader.entries()} == {f"{n}": "ok" for n in range(5)}


def test_what_failed_is_taken_up_again_as_asked(server: Misbehaving, root: Root) -> None:
    server.forget()
    behaviours = ("ok/r", "404/r", "500/r", "html/r")
    urls = {behaviour: server.url(behaviour) for behaviour in behaviours}
    asked = []
    for retry in ((), (), TEMPORARY, FAILURES):
        download(root, urls, retry)
        times = server.log()["times"]
        asked.append([len(times[f"/{behaviour}"]) for behaviour in behaviours])
    assert asked == [[1, 1, 3, 1], [1, 1, 3, 1], [1, 1, 6, 1], [1, 2, 9, 2]]


def test_rate_limits_are_heeded_and_the_image_still_fetched(server: Misbehaving, root: Root) -> None:
    server.forget()
    politeness = Politeness(per_host=1, rate=0, retries=2, backoff=0.4, allow_private_hosts=True)
    kinds = {2: "429-after", 3: "429", 4: "limit"}
    urls = {f"{kind}/{n}": server.url(f"{kind}/{n}", host) for host, kind in kinds.items() for n in range(2)}
    assert {entry.status for entry in download(root, urls, politeness=politeness).values()} == {"ok"}
    times = server.log()["times"]
    for kind, least in (("429-after", 0.95), ("429", 0.35), ("limit", 0.95)):
        first, *later = sorted(time for path, all_ in times.items() if f"/{kind}/" in path for time in all_)
        assert later[0] - first >= least, kind


def test_a_host_that_asks_for_a_day_is_given_up(server: Misbehaving, root: Root) -> None:
    server.forget()
    politeness = Politeness(per_host=1, rate=0, retries=3, backoff=0.05, allow_private_hosts=True)
    urls = {f"long/{n}": server.url(f"429-long/{n}", 5) for n in range(20)}
    entries = download(root, urls | {"other": server.url("ok/other", 6)}, politeness=politeness)
    assert entries.pop("other").status == "ok"
    assert {(entry.status, entry.http) for entry in entries.values()} == {("server-error", 429)}
    assert sum(map(len, server.log()["times"].values())) == 2


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> defaultdict[str, list[float]]:
    """When each host's requests were sent; the server may see some of them late."""
    taken: defaultdict[str, list[float]] = defaultdict(list)
    acquire = Host.acquire

    async def noted(host: Host) -> None:
        await acquire(host)
        taken[host.name.partition(":")[0]].append(time.monotonic())

    monkeypatch.setattr(Host, "acquire", noted)
    return taken


def test_a_host_that_keeps_failing_is_paused_while_others_go_on(
    server: Misbehaving, root: Root, caplog: pytest.LogCaptureFixture, turns: dict[str, list[float]]
) -> None:
    server.forget()
    politeness = Politeness(
        per_host=2, rate=0, retries=0, timeout=60, trip=4, pause=1, pauses=1, allow_private_hosts=True
    )
    urls = {f"dead/{n}": server.url(f"500/{n}", 7) for n in range(40)}
    urls |= {f"fine/{n}": server.url(f"slow/{n}", 8) for n in range(60)}
    with caplog.at_level(logging.WARNING, "eufcc"):
        entries = download(root, urls, politeness=politeness)
    assert {entry.status for entry in entries.values() if "fine" in entry.id} == {"ok"}
    dead = [entry for entry in entries.values() if "dead" in entry.id]
    assert {(entry.status, entry.http) for entry in dead} == {("server-error", 500)}
    asked = turns["127.0.0.7"]
    assert 4 < len(asked) < 10
    seconds, began = max((later - earlier, earlier) for earlier, later in itertools.pairwise(asked))
    assert seconds > 0.999
    assert any(began < other < began + seconds for other in turns["127.0.0.8"])
    assert "paused" in caplog.text
    assert "skipped" in caplog.text


def test_hosts_are_not_asked_more_or_faster_than_allowed(
    server: Misbehaving, root: Root, turns: dict[str, list[float]]
) -> None:
    server.forget()
    politeness = Politeness(per_host=3, rate=20, allow_private_hosts=True)
    urls = {f"{host}-{n}": server.url(f"slow/p{n}", host) for host in (5, 6) for n in range(20)}
    assert {entry.status for entry in download(root, urls, politeness=politeness).values()} == {"ok"}
    log = server.log()
    assert max(log["most"].values()) <= 3
    assert [len(times) for times in turns.values()] == [20, 20] and sum(map(len, log["times"].values())) == 40
    assert all(times[-1] - times[0] >= 19 / 20 * 0.97 for times in turns.values())
    assert [agent.partition("/")[0] for agent in log["agents"]] == ["eufcc"]


def test_one_body_for_many_urls_is_a_placeholder(server: Misbehaving, root: Root) -> None:
    urls = {f"same-{n}": server.url(f"same/{n}") for n in range(30)}
    urls |= {f"ok-{n}": server.url(f"ok/s{n}") for n in range(3)}
    entries = download(root, urls, placeholder_threshold=10)
    assert {entry.status for image_id, entry in entries.items() if "same" in image_id} == {"placeholder"}
    assert {entry.status for image_id, entry in entries.items() if "ok" in image_id} == {"ok"}
    assert set(find_images(root)) == {"ok-0", "ok-1", "ok-2"}
    assert len(list(root.images.rglob("*.jpg"))) == 3


def test_fewer_of_one_body_are_kept(server: Misbehaving, root: Root) -> None:
    entries = download(
        root, {f"same-{n}": server.url(f"same/{n}") for n in range(9)}, placeholder_threshold=10
    )
    assert {entry.status for entry in entries.values()} == {"ok"}


def thumbnail(server: Misbehaving, original: str) -> str:
    return server.url(f"thumbnail/v2/url.json?uri={quote(original, safe='')}&type=IMAGE")


def test_the_ladder_of_a_thumbnail(server: Misbehaving, root: Root) -> None:
    server.forget()
    originals = [server.url("ok/original"), server.url("404/original"), "http://nobody.invalid/nothing"]
    urls = {original: thumbnail(server, original) for original in originals}
    for n in range(12):
        urls[f"nothing {n}"] = thumbnail(server, f"http://nobody.invalid/nothing/{n}")
    politeness = replace(QUICK, timeout=2)  # a machine without a network may look for a name for long
    entries = download(root, urls, size="original", placeholder_threshold=5, politeness=politeness)
    assert [(entries[o].status, entries[o].candidate) for o in originals[:2]] == [
        ("ok", "original"),
        ("ok", "v2"),
    ]
    # A name that cannot be found today may be found tomorrow: the icon of v2 does not settle it.
    assert {entries[i].status for i in urls if "nothing" in i} <= TEMPORARY
    entries = download(root, urls, FAILURES, size="400", placeholder_threshold=5)
    assert [(entries[o].status, entries[o].candidate) for o in originals[:2]] == [
        ("ok", "original"),
        ("ok", "v2"),
    ]
    assert {(entries[i].status, entries[i].candidate) for i in urls if "nothing" in i} == {
        ("placeholder", "v2")
    }
    digest = hashlib.md5(b"http://nobody.invalid/nothing").hexdigest()
    assert f"/thumbnail/v3/400/{digest}.jpg" in server.log()["times"]


def test_a_placeholder_gives_way_to_the_next_rung(server: Misbehaving, root: Root) -> None:
    """What the original's host sends for everything is found out late; the thumbnail then comes instead."""
    urls = {str(n): thumbnail(server, server.url(f"same/{n}")) for n in range(12)}
    entries = download(root, urls, size="original", placeholder_threshold=10)
    assert {(entry.status, entry.candidate) for entry in entries.values()} == {("ok", "v2")}
    for entry in entries.values():
        check_file(root, entry)


def test_resizing_stores_plain_jpegs(server: Misbehaving, root: Root) -> None:
    entries = download(root, {"a": server.url("ok/resize"), "b": server.url("html/resize")}, resize=32)
    assert entries["b"].status == "not-image"
    check_file(root, entries["a"])
    assert (entries["a"].width, entries["a"].height) == (48, 32)
    assert entries["a"].source_sha256 == hashlib.sha256(picture("/ok/resize")).hexdigest()
    with Image.open(root.images / str(entries["a"].path)) as image:
        assert not image.info.keys() & {"exif", "icc_profile", "comment"}


def test_large_bodies_go_through_a_file(server: Misbehaving, root: Root) -> None:
    entries = download(root, {"large": server.url("large/kept")})
    assert entries["large"].status == "ok"
    check_file(root, entries["large"])
    assert not list(root.images.rglob("*.part"))


def test_files_that_are_there_are_taken_over_without_asking(server: Misbehaving, root: Root) -> None:
    server.forget()
    ids = ["known", "Elsewhere/é", "torn", "flat"]
    urls = {image_id: server.url(f"ok/{number}") for number, image_id in enumerate(ids)}
    for image_id in ids[:2]:
        place(root, image_id, picture(image_id))
    place(root, "torn", picture("torn")[:-400])
    (root.path / "images").mkdir()
    (root.path / "images" / "flat.jpeg").write_bytes(picture("flat"))
    (root.images / ".half.jpg.part").write_bytes(b"half")
    assert set(find_images(root)) == {"known", "Elsewhere/é", "torn"}
    entries = download(root, urls)
    assert {image_id: entry.candidate for image_id, entry in entries.items()} == {
        "known": "found", "Elsewhere/é": "found", "flat": "found", "torn": "url",
    }  # fmt: skip
    assert list(server.log()["times"]) == ["/ok/2"]
    for entry in entries.values():
        check_file(root, entry)
    assert set(find_images(root)) == set(ids)
    assert (root.path / "images" / "flat.jpeg").is_file()
    assert not (root.images / ".half.jpg.part").exists()


def test_what_was_there_counts_among_the_senders_of_one_body(server: Misbehaving, root: Root) -> None:
    urls = {f"same-{n}": server.url(f"same/{n}") for n in range(10)}
    for image_id in list(urls)[:9]:
        place(root, image_id, picture("same for all"))
    there = dict(list(urls.items())[:9])
    with Ledger(root.ledger) as ledger:
        ledger.record(Entry("same-0", "missing"))  # its file counts all the same
    entry = download(root, there, placeholder_threshold=10)["same-0"]
    digest = hashlib.sha256(picture("same for all")).hexdigest()
    assert (entry.status, entry.url, entry.source_sha256) == ("ok", urls["same-0"], digest)
    assert {entry.status for entry in download(root, urls, placeholder_threshold=10).values()} == {
        "placeholder"
    }
    assert find_images(root) == {}
    # What the tool did not fetch is not its own to remove.
    assert len(list(root.images.rglob("*.jpg"))) == 9


def test_a_verdict_on_one_body_can_be_undone(server: Misbehaving, root: Root) -> None:
    urls = {f"same-{n}": server.url(f"same/{n}") for n in range(12)}
    some = dict(list(urls.items())[:5])
    for asked, retry, most, status in (
        (urls, frozenset[str](), 10, "placeholder"),
        (some, FAILURES, 10, "placeholder"),
        (some, FAILURES, 1000, "ok"),
        (some | {"new": server.url("same/new")}, frozenset[str](), 1000, "ok"),
        (urls, FAILURES, 1000, "ok"),
    ):
        entries = download(root, asked, retry, placeholder_threshold=most)
        assert {entries[image_id].status for image_id in asked} == {status}


def test_a_placeholder_that_is_there_already_is_no_picture(server: Misbehaving, root: Root) -> None:
    urls = {f"same-{n}": server.url(f"same/{n}") for n in range(10)}
    assert {entry.status for entry in download(root, urls, placeholder_threshold=10).values()} == {
        "placeholder"
    }
    place(root, "there", picture("same for all"))
    (root.path / "images").mkdir()
    (root.path / "images" / "flat.jpg").write_bytes(picture("same for all"))
    server.forget()
    entries = download(root, urls | {name: server.url(f"ok/{name}") for name in ("there", "flat")})
    assert [(entries[name].status, entries[name].candidate) for name in ("there", "flat")] == [
        ("ok", "url")
    ] * 2
    assert sorted(server.log()["times"]) == ["/ok/flat", "/ok/there"]
    check_file(root, entries["there"])


def place(root: Root, image_id: str, content: bytes) -> None:
    path = root.images / image_stem(image_id).with_suffix(".jpg")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_a_file_that_was_lost_or_torn_since_is_fetched_again(server: Misbehaving, root: Root) -> None:
    urls = {str(n): server.url(f"ok/again{n}") for n in range(3)}
    entries = download(root, urls)
    (root.images / str(entries["0"].path)).unlink()
    torn = root.images / str(entries["1"].path)
    torn.write_bytes(torn.read_bytes()[:-300])
    server.forget()
    for entry in download(root, urls).values():
        check_file(root, entry)
    assert sorted(server.log()["times"]) == ["/ok/again0", "/ok/again1"]


def test_an_image_that_kills_its_decoder_takes_nobody_along(
    server: Misbehaving, root: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))  # for the workers to find the test's
    monkeypatch.setattr("eufcc_cli.core.download.engine.store", store_or_die)
    urls = {str(n): server.url(f"ok/crash{n}") for n in range(6)}
    entries = download(root, urls | {"deadly": server.url("ok/deadly")})
    assert entries.pop("deadly").status == "not-image"
    assert {entry.status for entry in entries.values()} == {"ok"}


def test_what_a_kill_takes_from_the_ledger_is_known_by_its_origin(root: Root, server: Misbehaving) -> None:
    """Resized files of one body that came for many URLs: in their places, not in the ledger yet."""
    how = Storing(root.images, 32)
    urls = {f"p{n}": server.url(f"same/{n}") for n in range(6)}
    body = picture("same for all")
    digest = hashlib.sha256(body).hexdigest()
    for image_id, url in urls.items():
        assert isinstance(store(body, Origin(image_id, "url", url, digest), how), Stored)
    other = picture("another")
    origin = Origin("other", "url", "http://a.org/1.jpg", hashlib.sha256(other).hexdigest())
    store(other, origin, how)
    entries = download(
        root, urls | {"other": origin.url, "new": server.url("ok/new")}, resize=32, placeholder_threshold=4
    )
    assert {entry.status for image_id, entry in entries.items() if image_id in urls} == {"placeholder"}
    assert (entries["other"].status, entries["other"].candidate, entries["other"].url) == (
        "ok",
        "url",
        origin.url,
    )
    assert entries["other"].source_sha256 == origin.source_sha256
    assert sorted(path.stem for path in root.images.rglob("*.jpg")) == ["new", "other"]
    assert not (root.images / ".incoming").exists()


def test_stray_files_and_odd_rows_are_no_accident(root: Root, server: Misbehaving) -> None:
    download(root, {"a": server.url("ok/a"), "b": server.url("ok/b")})
    folder = root.images / "ab"
    folder.mkdir(exist_ok=True)
    for name in (b"%FF.jpg", b"a.\xff", b"\xff.jpg"):
        (folder / os.fsdecode(name)).write_bytes(b"")
    with Ledger(root.ledger) as ledger:
        ledger.record(Entry("c", "ok", path="zz/gone.jpg"))
    entries = download(root, {name: server.url(f"ok/{name}") for name in "abc"})
    assert {entry.status for entry in entries.values()} == {"ok"}


def test_ids_too_long_for_a_path_are_blocked_alone(root: Root, server: Misbehaving) -> None:
    entries = download(
        root, {"a": server.url("ok/a"), "A" * 1500: server.url("ok/b"), "c": server.url("ok/c")}
    )
    assert [entries[name].status for name in ("a", "A" * 1500, "c")] == ["ok", "blocked", "ok"]


def test_large_files_are_as_readable_as_small_ones(root: Root, server: Misbehaving) -> None:
    """They come through a temporary file."""
    noise = np.random.default_rng(0).integers(0, 256, (700, 700, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        Image.fromarray(noise).save(f"{folder}/a.png")
        with Spool(Path(folder)) as body:
            body.write(Path(folder, "a.png").read_bytes())
            content = body.content()
            assert isinstance(content, Path)
            store(content, Origin("a", "url", None, body.sha256()), Storing(root.images, None))
    (stored,) = root.images.rglob("*.png")
    umask = os.umask(0)
    os.umask(umask)
    assert stored.stat().st_mode & 0o777 == 0o666 & ~umask


def test_a_closed_connection_is_no_failure_without_retries(root: Root, server: Misbehaving) -> None:
    politeness = replace(QUICK, retries=0, per_host=1)
    server.forget()
    urls = {"a": server.url("ok/kept"), "b": server.url("hang-up-once/kept")}
    entries = download(root, urls, politeness=politeness)
    assert {entry.status for entry in entries.values()} == {"ok"}
    assert len(server.log()["times"]["/hang-up-once/kept"]) == 2
