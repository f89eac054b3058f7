"""What arguments name: in order, each once, as it comes."""

import os
import threading
from pathlib import Path

import pytest

from eufcc_cli.core.download.image_files import ImageFiles
from eufcc_cli.core.errors import ImageError
from eufcc_cli.core.tagging.image_list import read_list
from eufcc_cli.core.tagging.inputs import count, listed


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("b.jpg", "a.PNG", "notes.txt", "deep/er/c.tiff", "deep/a.webp", ".hidden/x.jpg", ".y.jpg"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    (tmp_path / "photos" / "loop").symlink_to(tmp_path / "photos")
    (tmp_path / "photos" / "link.jpg").symlink_to(tmp_path / "photos" / "b.jpg")
    return tmp_path / "photos"


def names(*arguments: str, **kwargs: object) -> list[str]:
    return [item.name for item in listed(arguments, **kwargs)]


def test_folders_are_searched_in_the_order_of_their_names(photos: Path) -> None:
    inside = ["a.PNG", "b.jpg", "deep/a.webp", "deep/er/c.tiff", "link.jpg"]
    assert names("photos") == [f"photos/{name}" for name in inside]
    assert count(["photos", "photos/deep"]) == 7  # by names alone, before doubles are left out


def test_named_files_globs_and_doubles(photos: Path) -> None:
    assert names("photos/notes.txt", "no such.jpg") == ["photos/notes.txt", "no such.jpg"]
    assert names("photos/*.jpg") == ["photos/b.jpg", "photos/link.jpg"]
    assert names("photos/**/*.tiff") == ["photos/deep/er/c.tiff"]
    assert names("photos/b.jpg", "photos", "photos/b.jpg")[:2] == ["photos/b.jpg", "photos/a.PNG"]
    assert len(names("photos/b.jpg", "photos")) == 5


def test_a_name_that_looks_like_a_glob_is_a_name_first(photos: Path) -> None:
    (photos / "[1].jpg").write_bytes(b"")
    assert names("photos/[1].jpg") == ["photos/[1].jpg"]


def test_a_glob_without_matches_is_an_image_that_is_not_there(photos: Path) -> None:
    assert names("photos/*.gif", "missing[1].jpg") == ["photos/*.gif", "missing[1].jpg"]


def test_names_that_cannot_be_are_images_that_are_not_there(photos: Path) -> None:
    assert names("a" * 5000, "a\0b.jpg") == ["a" * 5000, "a\0b.jpg"]


def test_links_that_lead_nowhere_are_listed_in_their_folder(photos: Path) -> None:
    (photos / "y.jpg").symlink_to("gone.jpg")
    (photos / "z.jpg").symlink_to("z.jpg")
    (photos / "scan.heic").write_bytes(b"")
    assert {"photos/scan.heic", "photos/y.jpg", "photos/z.jpg"} < set(names("photos"))


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read every folder")
def test_a_closed_folder_is_an_image_that_cannot_be_read(photos: Path) -> None:
    (photos / "deep").chmod(0)
    assert "photos/deep" in names("photos")
    (photos / "deep").chmod(0o755)


def test_a_list_comes_line_by_line(photos: Path) -> None:
    """Each line is an input before the next one is written."""
    end, start = os.pipe()
    stream = listed(["-"], stdin=end)
    for line in (b"photos/b.jpg\n", b"\nphotos/deep\r\n", "é.jpg\n".encode(), b"caf\xe9.jpg\n"):
        os.write(start, line)
        if line != b"caf\xe9.jpg\n":
            assert next(stream).name in (
                "photos/b.jpg",
                "photos/deep/a.webp",
                "photos/deep/er/c.tiff",
                "é.jpg",
            )
        if b"deep" in line:
            assert next(stream).name == "photos/deep/er/c.tiff"
    undecodable = next(stream)
    assert undecodable.name == r"caf\xe9.jpg"
    assert os.fsencode(undecodable.path) == b"caf\xe9.jpg"
    assert undecodable.iri.endswith("/caf%E9.jpg")
    threading.Timer(0.05, os.close, [start]).start()
    assert next(stream, None) is None
    os.close(end)


def test_a_last_line_without_a_newline_counts(photos: Path) -> None:
    end, start = os.pipe()
    os.write(start, b"photos/b.jpg\nphotos/a.PNG")
    os.close(start)
    assert names("-", stdin=end) == ["photos/b.jpg", "photos/a.PNG"]
    os.close(end)
    assert count(["-"]) is None


def test_addresses_are_fetched_and_keep_no_password() -> None:
    asked = []

    def fetch(url: str):
        asked.append(url)
        return lambda: b"bytes"

    (item,) = listed(["https://user:secret@example.org/a.jpg?x=1"], fetch=fetch)
    assert item.name == item.iri == "https://example.org/a.jpg?x=1"
    assert asked == ["https://user:secret@example.org/a.jpg?x=1"]
    assert callable(item.source)
    assert item.source() == b"bytes"
    (item,) = listed(["ftp://example.org/a.jpg"])
    assert callable(item.source)
    with pytest.raises(ImageError):
        item.source()


LISTS = {
    "lines": "photos/b.jpg\nphotos/ä b.jpg\n".encode(),
    "CR LF, no end": b"photos/b.jpg\r\n\r\nphotos/\xc3\xa4 b.jpg",
    "UTF-8 with a mark": b"\xef\xbb\xbfphotos/b.jpg\nphotos/\xc3\xa4 b.jpg\n",
    "UTF-16 LE, as PowerShell": "\ufeffphotos/b.jpg\r\nphotos/ä b.jpg\r\n".encode("utf-16-le"),
    "UTF-16 BE": "\ufeffphotos/b.jpg\nphotos/ä b.jpg\n".encode("utf-16-be"),
    "UTF-16 without a mark": "photos/b.jpg\r\nphotos/ä b.jpg\r\n".encode("utf-16-le"),
    "NULs": "photos/b.jpg\0photos/ä b.jpg\0".encode(),
    "quoted": '"photos/b.jpg"\r\n"photos/ä b.jpg"\r\n'.encode(),
}


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize("piece", [1, 3, 1 << 16])
def test_lists_of_every_program_are_understood(kind: str, piece: int) -> None:
    reading, writing = os.pipe()

    def write() -> None:
        for start in range(0, len(LISTS[kind]), piece):
            os.write(writing, LISTS[kind][start : start + piece])
        os.close(writing)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert list(read_list(reading)) == ["photos/b.jpg", "photos/ä b.jpg"]
    finally:
        writer.join()
        os.close(reading)


def test_with_nulls_a_name_may_hold_anything() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"line\nbreak.jpg\0 b \r\0\xff.jpg")
    os.close(writing)
    assert list(read_list(reading, null=True)) == ["line\nbreak.jpg", " b \r", os.fsdecode(b"\xff.jpg")]
    os.close(reading)


def test_thumbnails_and_deleted_files_of_a_nas_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (
        "IMG_1.JPG", "@eaDir/IMG_1.JPG/SYNOPHOTO_THUMB_XL.jpg", "#recycle/old.jpg", "$RECYCLE.BIN/$R1.jpg",
        ".thumbnails/a.png", "._IMG_1.JPG", ".Trash-1000/files/a.jpg", "__MACOSX/._a.jpg", ".@__thumb/a.jpg",
        "sub/@Recycle/b.jpg", "sub/b.jpg", "lost+found/c.jpg", "System Volume Information/d.jpg",
    ):  # fmt: skip
        (tmp_path / "scans" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "scans" / name).touch()
    monkeypatch.chdir(tmp_path)
    assert names("scans") == names("scans/**/*.[jJ]*") == ["scans/IMG_1.JPG", "scans/sub/b.jpg"]
    assert names("scans/#recycle") == names("scans/#recycle/*.jpg") == ["scans/#recycle/old.jpg"]
    assert [path.name for path in ImageFiles.below([Path("scans")]).files] == ["IMG_1.JPG", "b.jpg"]
