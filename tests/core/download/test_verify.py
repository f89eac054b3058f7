"""Checking files against the ledger finds what changed, and mends the ledger."""

import hashlib
from pathlib import Path

import pytest

from eufcc_cli.core.download.image_locations import find_images
from eufcc_cli.core.download.ledger import Entry, Ledger
from eufcc_cli.core.download.origins import Origin
from eufcc_cli.core.download.store import Stored, Storing, place, store
from eufcc_cli.core.download.verify import verify_images
from eufcc_cli.core.files import Root, image_stem, sha256
from tests.servers.misbehaving import picture


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(tmp_path)


def keep(root: Root, ledger: Ledger, image_id: str) -> Path:
    stored = store(picture(image_id), Origin(image_id, "url", None, ""), Storing(root.images, None))
    assert isinstance(stored, Stored)
    path = root.images / stored.path
    ledger.record(Entry(image_id, "ok", path=stored.path, bytes=stored.bytes, sha256=sha256(path)))
    return path


def test_an_audit_finds_and_mends(root: Root) -> None:
    with Ledger(root.ledger) as ledger:
        files = {name: keep(root, ledger, name) for name in ("fine", "gone", "edited", "torn", "failed")}
        ledger.record(Entry("failed", "missing"))
        ledger.record(Entry("outside", "ok", path="../../../etc/passwd", sha256="00"))
        files["gone"].unlink()
        files["edited"].write_bytes(picture("edited by hand"))
        files["torn"].write_bytes(files["torn"].read_bytes()[:-400])
        for name in ("known", "unknown"):
            place(picture(name), root.images, image_stem(name).with_suffix(".jpg"))
        place(b"no image", root.images, image_stem("broken").with_suffix(".jpg"))
        outcome = verify_images(root, ledger, {*files, "known", "broken", "outside"})
        assert outcome.intact == 1
        findings = {(kind, image.rpartition("/")[2]): done for kind, image, done in outcome.findings}
        assert {what: done.partition(":")[0] for what, done in findings.items()} == {
            ("changed", "edited"): "recorded again",
            ("changed", "torn"): "removed from the ledger",
            ("missing", "gone"): "removed from the ledger",
            ("missing", "outside"): "removed from the ledger",
            ("new file", "broken.jpg"): "ignored",
            ("new file", "failed.jpg"): "recorded",
            ("new file", "unknown.jpg"): "ignored",
            ("new file", "known.jpg"): "recorded",
        }
        assert "truncated" in findings["changed", "torn"]
    assert find_images(root).keys() == {"fine", "edited", "known", "failed"}
    with Ledger(root.ledger) as ledger:
        edited = next(entry for entry in ledger.entries() if entry.id == "edited")
        assert (edited.sha256, edited.bytes) == (sha256(files["edited"]), files["edited"].stat().st_size)
        again = verify_images(root, ledger, {"known"})
    assert again.intact == 4
    assert {finding.kind for finding in again.findings} == {"new file"}


def test_a_file_can_be_stored_twice_and_its_original_is_never_written(root: Root, tmp_path: Path) -> None:
    """As when the process that stored it is ended by the next image."""
    original = tmp_path / "original.jpg"
    original.write_bytes(picture("a"))
    for _ in range(2):
        stored = store(original, Origin("a", "url", None, ""), Storing(root.images, None))
        assert isinstance(stored, Stored)
    store(picture("b"), Origin("b", "url", None, ""), Storing(root.images, None))
    assert original.read_bytes() == (root.images / stored.path).read_bytes() == picture("a")
    assert not list(root.images.rglob("*.part"))


def test_placeholders_are_found_among_the_files(root: Root, shared_data: Path) -> None:
    icon = shared_data / "europeana" / "EU_thumbnails_image.png"
    with Ledger(root.ledger) as ledger:
        keep(root, ledger, "known")
        keep(root, ledger, "fine")
        digest = hashlib.sha256(picture("known")).hexdigest()
        ledger.record(Entry("sender", "placeholder", source_sha256=digest))
        place(picture("known"), root.images, image_stem("orphan").with_suffix(".jpg"))
        place(icon, root.images, image_stem("icon").with_suffix(".png"))
        outcome = verify_images(root, ledger, {"known", "fine", "orphan", "icon"})
    assert outcome.intact == 1
    assert {(kind, image.rpartition("/")[2], done) for kind, image, done in outcome.findings} == {
        ("placeholder", "known", "removed from the ledger: a placeholder, not a picture"),
        ("new file", "orphan.jpg", "ignored: a placeholder, not a picture"),
        ("new file", "icon.png", "ignored: a placeholder, not a picture"),
    }
    assert find_images(root).keys() == {"fine"}


def test_a_sound_collection_needs_no_mending(root: Root) -> None:
    with Ledger(root.ledger) as ledger:
        for n in range(40):
            keep(root, ledger, f"image {n}")
        outcome = verify_images(root, ledger, ())
    assert (outcome.intact, outcome.findings) == (40, [])
