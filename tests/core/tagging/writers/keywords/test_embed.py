"""Terms in images: read by ExifTool and libexiv2, pixels and all other metadata as before."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import exiv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from eufcc_cli.core.errors import ImageError
from eufcc_cli.core.tagging.inputs import Input
from eufcc_cli.core.tagging.writers.keywords.embed import Embedded
from eufcc_cli.core.tagging.writers.keywords.xmp import Terms
from tests.core.tagging.writers.keywords.foreign import LIGHTROOM
from tests.core.tagging.writers.keywords.readers import exiftool, libexiv2

TERMS = Terms(("silk", "Sèvres <a>"), ("materials|silk", "subjects|Sèvres <a>"), "eufcc test", "2026-11-26")
READERS = [exiftool, libexiv2]


def picture(path: Path, **options: object) -> Path:
    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = "a description", 6
    exif.get_ifd(0x8769)[0x9003] = "2020:01:02 03:04:05"
    drawn = Image.radial_gradient("L").resize((40, 30))
    Image.merge("RGB", (drawn, drawn.rotate(90), drawn.rotate(180))).save(path, exif=exif, **options)
    return path


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("name", ["a.jpg", "a.tif", "a.png", "a.webp"])
def test_other_programs_read_the_terms_and_the_pixels_stay(name: str, read: type, tmp_path: Path) -> None:
    path = picture(tmp_path / name)
    before, content = pixels(path), path.read_bytes()
    with Image.open(path) as image:
        exif = dict(image.getexif()) | dict(image.getexif().get_ifd(0x8769))
    Embedded().write(path, TERMS)
    assert read(path) == (list(TERMS.subjects), list(TERMS.paths))
    assert (pixels(path) == before).all()
    with Image.open(path) as image:
        after = dict(image.getexif()) | dict(image.getexif().get_ifd(0x8769))
    moved = {273, 700, 34665}
    assert {k: v for k, v in after.items() if k not in moved} == {
        k: v for k, v in exif.items() if k not in moved
    }
    assert path.with_name(f"{name}_original").read_bytes() == content
    Embedded().write(path, Terms(("gold",), ("materials|gold",), "eufcc later", "2026-11-27"))
    assert read(path) == (["gold"], ["materials|gold"])
    assert Embedded().origin(path) == "eufcc later"
    assert path.with_name(f"{name}_original").read_bytes() == content  # its first state


@pytest.mark.parametrize("read", READERS)
def test_what_others_wrote_into_the_image_stays(read: type, tmp_path: Path) -> None:
    path = picture(tmp_path / "a.jpg", xmp=LIGHTROOM)
    Embedded().write(path, TERMS)
    subjects, paths = read(path)
    assert subjects == ["bronze", "Sommer & Winter", *TERMS.subjects]
    assert paths == ["Orte|Köln", *TERMS.paths]
    assert b'crs:Exposure2012="+0.35"' in path.read_bytes()


def test_pages_and_pyramids_of_a_tiff_stay(tmp_path: Path) -> None:
    path = tmp_path / "deep.tif"
    deep = np.arange(64 * 64 * 3, dtype=np.uint16).reshape(64, 64, 3)
    with tifffile.TiffWriter(path) as file:
        file.write(deep, subifds=1, tile=(16, 16), photometric="rgb", compression="zlib")
        file.write(deep[::2, ::2], subfiletype=1, tile=(16, 16), photometric="rgb")
        file.write(deep[::-1], photometric="rgb")
    Embedded().write(path, TERMS)
    with tifffile.TiffFile(path) as file:
        pages = list(file.pages)
        assert (pages[0].asarray() == deep).all() and (pages[1].asarray() == deep[::-1]).all()
        assert (pages[0].pages[0].asarray() == deep[::2, ::2]).all()
    assert libexiv2(path)[0] == list(TERMS.subjects)


def test_animations_keep_their_frames(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue")]
    for name in ("a.webp", "a.png"):
        path = tmp_path / name
        frames[0].save(path, save_all=True, append_images=frames[1:], duration=40, lossless=True)
        Embedded().write(path, TERMS)
        with Image.open(path) as image:
            assert image.n_frames == 3


@pytest.mark.parametrize(
    ("name", "reason"),
    [("a.gif", "GIF has no place"), ("a.bmp", "BMP has no place"), ("big.tif", "cannot be")],
)
def test_other_formats_are_left_alone(name: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if name == "big.tif":
        tifffile.imwrite(path, np.zeros((4, 4), np.uint8), bigtiff=True)
    else:
        Image.new("L", (4, 4)).save(path)
    content = path.read_bytes()
    with pytest.raises(ImageError, match=reason):
        Embedded().write(path, TERMS)
    assert path.read_bytes() == content
    assert [one.name for one in tmp_path.iterdir()] == [name]


def test_a_file_that_would_change_otherwise_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = picture(tmp_path / "a.png")
    content = path.read_bytes()
    other = picture(tmp_path / "b.png")
    with Image.open(other) as image:
        image.transpose(Image.Transpose.FLIP_TOP_BOTTOM).save(other)
    really_open, changed = exiv2.ImageFactory.open, other.read_bytes()

    def confused(asked: bytes) -> Any:
        return really_open(changed if asked == content else asked)

    monkeypatch.setattr(exiv2, "ImageFactory", SimpleNamespace(open=confused))
    with pytest.raises(ImageError, match=r"change more than the terms|read back"):
        Embedded().write(path, TERMS)
    assert path.read_bytes() == content
    assert not path.with_name("a.png_original").exists()


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.webp"])
def test_a_truncated_image_is_left_alone(name: str, tmp_path: Path) -> None:
    path = picture(tmp_path / name)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(ImageError):
        Embedded().write(path, TERMS)
    assert path.read_bytes() == content[: len(content) * 2 // 3]
    assert Embedded().origin(path) is None


def test_what_is_not_there() -> None:
    url = Input("https://a.org/x.jpg", lambda: b"", "https://a.org/x.jpg")
    with pytest.raises(ImageError, match="not on this disk"):
        Embedded().path(url)
    with pytest.raises(ImageError, match="No such file"):
        Embedded().write(Path("nowhere.jpg"), TERMS)
