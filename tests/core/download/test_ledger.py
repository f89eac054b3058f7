"""The ledger: what lasts, who may write, and where images are found."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from eufcc_cli.core.download.backlog import find_backlog
from eufcc_cli.core.download.image_locations import find_images
from eufcc_cli.core.download.ledger import Entry, Ledger, LedgerReader
from eufcc_cli.core.errors import CollectError
from eufcc_cli.core.files import Root, image_stem, sha256


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
            lambda: ledger.record_fingerprint("01500", "00"),
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


def test_a_file_is_found_wherever_it_lies_below_the_folders(root: Root, tmp_path: Path) -> None:
    shelf = tmp_path / "shelf"
    places = {
        "A.1": root.images / "A.1.jpg",
        "b": root.path / "images" / "deep" / "B.PNG",
        "1913/5": shelf / "2019" / "1913-5.TIF",
        "e\u0301": shelf / "\u00c9.jpeg",
    }
    for path in places.values():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    (shelf / ".hidden.jpg").touch()
    (shelf / "notes.txt").touch()
    assert find_images(root, places) == {"A.1": places["A.1"], "b": places["b"]}
    assert find_images(replace(root, photos=(shelf,)), [*places, "notes", ".hidden"]) == places


def test_two_ids_that_punctuation_alone_tells_apart_are_not_guessed(root: Root) -> None:
    root.images.mkdir(parents=True)
    (root.images / "1913_5.jpg").touch()
    assert find_images(root, ["1913.5"]) == {"1913.5": root.images / "1913_5.jpg"}
    assert find_images(root, ["1913.5", "1913-5"]) == {}
    assert find_images(root, ["1913.5", "1913_5"]).keys() == {"1913_5"}


def test_photographs_that_stay_where_they_are_and_are_moved(root: Root, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for name, content in (("a.jpg", b"first"), ("b.jpg", b"other"), ("c.jpg", b"third picture")):
        (old / name[0]).mkdir(parents=True, exist_ok=True)
        (old / name[0] / name).write_bytes(content)
    with Ledger(root.ledger) as ledger:
        for file in old.rglob("*.jpg"):
            of = {"path": str(file), "bytes": file.stat().st_size, "sha256": sha256(file)}
            ledger.record(Entry(f"id {file.stem}", "ok", **of))
        ledger.record(Entry("failed", "missing"))
    ids = ["id a", "id b", "id c", "failed"]
    assert find_images(root, ids).keys() == {"id a", "id b", "id c"}
    old.rename(new)
    (new / "a" / "a.jpg").rename(new / "a" / "renamed.jpg")
    (new / "failed.jpg").touch()
    assert find_images(root, ids) == {}
    moved = find_images(replace(root, photos=(new,)), ids)
    assert {image_id: path.name for image_id, path in moved.items()} == {
        "id a": "renamed.jpg", "id b": "b.jpg", "id c": "c.jpg", "failed": "failed.jpg"
    }  # fmt: skip


def test_a_download_leaves_photographs_elsewhere_alone(root: Root, tmp_path: Path) -> None:
    here, gone = tmp_path / "shelf" / "a.jpg", tmp_path / "shelf" / "b.jpg"
    here.parent.mkdir()
    here.write_bytes(b"x")
    with Ledger(root.ledger) as ledger:
        for image_id, file in (("a", here), ("b", gone), ("c", gone)):
            ledger.record(Entry(image_id, "ok", path=str(file), bytes=1))
    wanted = pd.DataFrame({"id": ["a", "b", "c"], "url": ["", "", "https://x/c.jpg"]}, dtype="str")
    with LedgerReader(root.ledger) as reader:
        stock = find_backlog(root, reader, wanted)
    assert (stock.done, stock.failed, stock.lost) == (1, 1, [])
    assert stock.pending["id"].tolist() == ["c"]


def test_no_images_at_all(root: Root) -> None:
    assert find_images(root) == {}
