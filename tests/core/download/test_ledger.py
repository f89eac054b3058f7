"""The ledger: what lasts, who may write, and where images are found."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from eufcc_cli.core.download.ledger import Entry, Ledger, LedgerReader, find_images
from eufcc_cli.core.errors import CollectError
from eufcc_cli.core.files import Root, image_stem


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(tmp_path)


def touch(root: Root, image_id: str, ending: str = ".jpg") -> Path:
    path = root.images / image_stem(image_id).with_suffix(ending)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_what_is_recorded_lasts_and_the_last_word_counts(root: Root) -> None:
    with Ledger(root.ledger) as ledger:
        ledger.record(Entry("a", "timeout", "http://a", "v3", None, "no data", 5))
        ledger.record(Entry("b", "ok", path="b.jpg", bytes=7, width=2, height=3, format="JPEG", sha256="00"))
        ledger.record(Entry("a", "ok", path="a.jpg"))
    with Ledger(root.ledger) as ledger:
        a, b = ledger.entries()
        assert (a.id, a.status, a.path, a.reason, a.attempts) == ("a", "ok", "a.jpg", None, 0)
        assert (b.bytes, b.width, b.height, b.format, b.sha256) == (7, 2, 3, "JPEG", "00")
        ledger.forget(["a"])
    with Ledger(root.ledger) as ledger:
        assert [entry.id for entry in ledger.entries()] == ["b"]


def test_the_columns_that_others_rely_on(root: Root) -> None:
    with Ledger(root.ledger) as ledger, closing(sqlite3.connect(root.ledger)) as other:
        ledger.record(Entry("a", "ok", path="a.jpg"))
        ledger.commit()
        row = other.execute("SELECT id, status, path, sha256, bytes, width, height FROM images").fetchone()
        assert row[:3] == ("a", "ok", "a.jpg")
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_there_is_one_writer(root: Root) -> None:
    with Ledger(root.ledger):
        with pytest.raises(CollectError, match="another `eufcc download`") as error:
            Ledger(root.ledger)
        assert error.value.hint
    Ledger(root.ledger).close()


def test_a_file_that_is_no_ledger_is_told_and_left_alone(root: Root) -> None:
    root.images.mkdir(parents=True)
    root.ledger.write_text("my notes, which are long enough to be taken for a database file\n" * 20)
    for use in (lambda: Ledger(root.ledger), lambda: find_images(root)):
        with pytest.raises(CollectError, match=r"images\.sqlite: not a usable ledger") as error:
            use()
        assert error.value.hint
    assert root.ledger.read_text().startswith("my notes")


def test_a_ledger_of_another_shape_is_told(root: Root) -> None:
    root.images.mkdir(parents=True)
    with closing(sqlite3.connect(root.ledger)) as other:
        other.execute("CREATE TABLE images (id TEXT, status TEXT)")
    with pytest.raises(CollectError, match="not a usable ledger"):
        Ledger(root.ledger)


def test_a_damaged_page_is_told(root: Root) -> None:
    with Ledger(root.ledger) as ledger:
        for n in range(2000):
            ledger.record(Entry(f"{n:05}", "placeholder", f"http://a/{n}", source_sha256=f"{n:064}"))
    damaged = "not a usable ledger: database disk image is malformed"
    with pytest.raises(CollectError, match=damaged), Ledger(root.ledger) as ledger:
        with root.ledger.open("r+b") as file:
            file.seek(4096)  # behind the page that tells the columns
            file.write(b"\xff" * (root.ledger.stat().st_size - 4096))
        for use in (
            lambda: list(ledger.select("id")),
            lambda: list(ledger.entries()),
            ledger.mean_bytes,
            ledger.placeholders,
            lambda: ledger.sent_for_many("0" * 64, 2),
            lambda: ledger.record_look("01500", "00"),
            lambda: find_images(root),
        ):
            with pytest.raises(CollectError, match=damaged):
                use()


def test_reading_leaves_no_trace_and_waits_for_nobody(root: Root) -> None:
    with LedgerReader(root.ledger) as reader:
        assert (list(reader.entries()), reader.mean_bytes()) == ([], None)
    assert not root.data.exists()
    with Ledger(root.ledger) as ledger:
        ledger.record(Entry("a", "ok", path="a.jpg", bytes=7))
        ledger.commit()
        with LedgerReader(root.ledger) as reader:
            assert [entry.id for entry in reader.entries()] == ["a"]
    there = sorted(root.images.iterdir())
    with LedgerReader(root.ledger) as reader:
        assert reader.mean_bytes() == 7
    assert find_images(root).keys() == {"a"}
    assert sorted(root.images.iterdir()) == there


def test_images_are_found_through_the_ledger(root: Root) -> None:
    there = touch(root, "there")
    touch(root, "failed")
    with Ledger(root.ledger) as ledger:
        ledger.record(Entry("there", "ok", path=there.relative_to(root.images).as_posix()))
        ledger.record(Entry("failed", "missing"))
    assert find_images(root) == {"there": there}
    assert find_images(root, ["failed", "there", "unknown"]) == {"there": there}


@pytest.mark.parametrize("path", ["../secret.jpg", "/etc/passwd", "a/../../b.jpg", "C:\\x.jpg", "a\0b"])
def test_a_strangers_ledger_leads_nowhere_else(root: Root, path: str) -> None:
    with Ledger(root.ledger) as ledger:
        ledger.record(Entry("trap", "ok", path=path))
    assert find_images(root) == {}


def test_without_a_ledger_the_places_tell(root: Root) -> None:
    ids = ["art_1", "Ünï/cödé", "con", "x" * 250]
    paths = {image_id: touch(root, image_id, ".png") for image_id in ids}
    (root.images / ".art_2.jpg.77.part").touch()
    (root.images / "README").touch()
    (root.images / image_stem("linked").parent).mkdir(exist_ok=True)
    (root.images / image_stem("linked").with_suffix(".jpg")).symlink_to("/etc/passwd")
    assert find_images(root) == paths


def test_a_collection_that_came_with_its_pictures(root: Root, shared_data: Path) -> None:
    (root.path / "images").mkdir()
    (root.path / "images" / "a.b.jpg").touch()
    (root.path / "images" / "link.jpg").symlink_to("/etc/passwd")
    assert find_images(root) == {"a.b": root.path / "images" / "a.b.jpg"}
    clothing = find_images(Root(shared_data / "clothing"))
    assert len(clothing) == 1040
    assert all(path.stem == image_id for image_id, path in clothing.items())


def test_no_images_at_all(root: Root) -> None:
    assert find_images(root) == {}
