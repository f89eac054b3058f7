"""Sidecar files: how they are called, what is merged, what is replaced."""

from pathlib import Path

import pytest

from eufcc_cli.core.errors import ImageError
from eufcc_cli.core.tagging.inputs import Input
from eufcc_cli.core.tagging.writers.formats import SidecarName
from eufcc_cli.core.tagging.writers.keywords.sidecar import Sidecars
from eufcc_cli.core.tagging.writers.keywords.xmp import Terms
from tests.core.tagging.writers.keywords.foreign import KEYWORDS, PROGRAMS
from tests.core.tagging.writers.keywords.readers import exiftool, libexiv2

TERMS = Terms(("silk", "<a & b>"), ("materials|silk", "subjects|<a & b>"), "eufcc test", "2026-11-26")


def image(path: Path | str) -> Input:
    return Input(str(path), Path(path), f"file:///{path}")


def test_where_sidecars_lie(tmp_path: Path) -> None:
    assert Sidecars().path(image("photos/a.jpg")) == Path("photos/a.jpg.xmp")
    assert Sidecars(Path("out")).path(image("photos/a.jpg")) == Path("out/photos/a.jpg.xmp")
    assert Sidecars(Path("out")).path(image("/x/a.jpg")) == Path("out/x/a.jpg.xmp")
    outside = Sidecars(tmp_path).path(image("../../a.jpg"))
    assert outside.is_relative_to(tmp_path) and ".." not in outside.parts
    url = Input("https://a.org/../x.jpg", lambda: b"", "https://a.org/../x.jpg")
    assert ".." not in Sidecars(Path("out")).path(url).parts
    with pytest.raises(ImageError, match="`output=FOLDER`"):
        Sidecars().path(url)


def test_the_sidecar_that_exists_is_taken(tmp_path: Path) -> None:
    photo = image(tmp_path / "a.jpg")
    full, stem = tmp_path / "a.jpg.xmp", tmp_path / "a.xmp"
    assert Sidecars().path(photo) == full
    stem.touch()
    assert Sidecars().path(photo) == stem
    assert Sidecars(name=SidecarName.full).path(photo) == full
    full.touch()
    assert Sidecars().path(photo) == full
    assert Sidecars(name=SidecarName.stem).path(photo) == stem


def test_two_images_do_not_share_a_sidecar(tmp_path: Path) -> None:
    place = Sidecars(name=SidecarName.stem)
    assert place.path(image(tmp_path / "a.jpg")) == place.path(image(tmp_path / "a.jpg"))
    with pytest.raises(ImageError, match=r"`sidecar_name=photo\.jpg\.xmp`"):
        place.path(image(tmp_path / "a.png"))


@pytest.mark.parametrize("read", [exiftool, libexiv2])
@pytest.mark.parametrize("program", [*PROGRAMS, "none"])
def test_other_programs_read_what_was_merged(program: str, read: type, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg.xmp"
    if program != "none":
        path.write_bytes(PROGRAMS[program])
    Sidecars().write(path, TERMS)
    if program == "digikam" and read is libexiv2:
        pytest.skip("libexiv2 itself reads no UTF-16")
    subjects, paths = read(path)
    assert subjects == [*KEYWORDS.get(program, []), "silk", "<a & b>"]
    assert [one for one in paths if not one.startswith("Orte")] == ["materials|silk", "subjects|<a & b>"]
    Sidecars().write(path, Terms((), (), "eufcc test", "later"))
    assert read(path)[0] == KEYWORDS.get(program, [])


def test_the_same_terms_are_current_until_the_image_changes(tmp_path: Path) -> None:
    photo = tmp_path / "a.jpg"
    photo.write_bytes(b"x")
    place, path = Sidecars(), tmp_path / "a.jpg.xmp"
    assert not place.is_current(path, image(photo), "eufcc test")
    place.write(path, TERMS)
    assert place.is_current(path, image(photo), "eufcc test")
    assert not place.is_current(path, image(photo), "another choice")
    later = path.stat().st_mtime + 10
    import os

    os.utime(photo, (later, later))
    assert not place.is_current(path, image(photo), "eufcc test")


def test_a_broken_sidecar_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg.xmp"
    path.write_text("<x:xmpmeta")
    with pytest.raises(ImageError, match=r"a\.jpg\.xmp: .*left as it is"):
        Sidecars().write(path, TERMS)
    assert path.read_text() == "<x:xmpmeta"
