"""TIFF files of every kind, pixel by pixel: against the picture that is in them, and against libvips."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from eufcc_cli.core.errors import ImageError
from eufcc_cli.core.images.decode import inspect_image, open_image, open_pixels
from tests.core.images.test_decode import limit

pyvips = pytest.importorskip("pyvips")

HEIGHT, WIDTH = 61, 83  # no multiple of anything


def picture() -> np.ndarray:
    """A smooth picture in colour, uint8 [h, w, 3], that no two lines of a decoder's mistakes leave alike."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    red, green = 255 * x / (WIDTH - 1), 255 * y / (HEIGHT - 1)
    blue = 127.5 * (1 + np.sin(x / 9) * np.cos(y / 7))
    return np.rint(np.stack([red, green, blue], axis=-1)).astype(np.uint8)


RGB = picture()
GREY = RGB[..., 2]
ALPHA = RGB[::-1, :, 1]


def over_white(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    share = alpha[..., None] / 255
    return np.rint(colour * share + 255 * (1 - share))


def as_rgb(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, axis=-1)


def deep(values: np.ndarray, kind: str) -> np.ndarray:
    """8-bit levels as samples of another type."""
    top = {"u1": 255, "u2": 65535, "u4": 2**32 - 1, "i1": 127, "i2": 32767, "f2": 1, "f4": 1, "f8": 1}[kind]
    numbers = values.astype(np.float64) / 255 * top
    return (numbers if kind[0] == "f" else np.rint(numbers)).astype(kind)


def cmyk(colour: np.ndarray) -> np.ndarray:
    return np.dstack([255 - colour, np.zeros_like(colour[..., 0])])


SAMPLES = {  # what is in the file, how it is flagged, and how it is seen
    "grey": (GREY, {"photometric": "minisblack"}, as_rgb(GREY)),
    "white is zero": (255 - GREY, {"photometric": "miniswhite"}, as_rgb(GREY)),
    "grey, alpha": (
        np.dstack([GREY, ALPHA]),
        {"photometric": "minisblack", "extrasamples": ["unassalpha"]},
        over_white(as_rgb(GREY), ALPHA),
    ),
    "rgb": (RGB, {"photometric": "rgb"}, RGB),
    "rgb, alpha": (
        np.dstack([RGB, ALPHA]),
        {"photometric": "rgb", "extrasamples": ["unassalpha"]},
        over_white(RGB, ALPHA),
    ),
    "rgb, premultiplied": (
        np.dstack([np.rint(RGB * (ALPHA[..., None] / 255)).astype(np.uint8), ALPHA]),
        {"photometric": "rgb", "extrasamples": ["assocalpha"]},
        over_white(RGB, ALPHA),
    ),
    "rgb and more": (
        np.dstack([RGB, ALPHA, GREY]),
        {"photometric": "rgb", "extrasamples": ["unspecified"] * 2},
        RGB,
    ),
    "cmyk": (cmyk(RGB), {"photometric": "separated"}, RGB),
    "cmyk, alpha": (
        np.dstack([cmyk(RGB), ALPHA]),
        {"photometric": "separated", "extrasamples": ["unassalpha"]},
        over_white(RGB, ALPHA),
    ),
}
KINDS = ("u1", "u2", "u4", "i1", "i2", "f2", "f4", "f8")
LAYOUTS = {
    "one strip": {"rowsperstrip": HEIGHT},
    "strips": {"rowsperstrip": 7},
    "tiles": {"tile": (16, 32)},
}
COMPRESSIONS = ("none", "lzw", "deflate", "packbits", "zstd", "lzma")


def write(path: Path, samples: np.ndarray, flags: dict, **options: object) -> None:
    """Write a TIFF; `planar` puts each channel on its own."""
    if options.pop("planar", False):
        samples, options["planarconfig"] = np.moveaxis(samples, -1, 0), "separate"
    elif samples.ndim == 3:
        options["planarconfig"] = "contig"
    if options.get("compression") == "none":
        del options["compression"]
    tifffile.imwrite(path, samples, **flags, **options, metadata=None)


def variants() -> Iterator[tuple[str, str, dict[str, object]]]:
    for name, kind, (layout, how), planar in itertools.product(
        SAMPLES, KINDS, LAYOUTS.items(), (False, True)
    ):
        if planar and SAMPLES[name][0].ndim == 2:
            continue
        if kind in ("u4", "i1", "i2", "f2", "f8") and (name not in ("rgb", "grey") or layout == "one strip"):
            continue
        for order, compression in zip("<><>", ("none", "lzw", "deflate", "packbits"), strict=True):
            predictor = kind != "f2" and compression in ("lzw", "deflate")
            options: dict[str, object] = {"byteorder": order, "compression": compression, "planar": planar}
            yield name, kind, how | options | ({"predictor": True} if predictor else {})


def seen_by_vips(path: Path) -> np.ndarray:
    """The samples that libvips reads, [h, w, samples]."""
    image = pyvips.Image.new_from_buffer(path.read_bytes(), "")
    return image.numpy().reshape(image.height, image.width, -1)


def samples_of(path: Path, planar: object) -> np.ndarray:
    found = tifffile.imread(path)
    return np.moveaxis(found, 0, -1) if planar else found.reshape(*found.shape[:2], -1)


def seen(path: Path) -> np.ndarray:
    shown = np.asarray(open_image(path)).astype(int)
    assert np.array_equal(open_pixels(path)[..., :3], shown)
    info = inspect_image(path)
    assert (info.format, info.height, info.width) == ("TIFF", *shown.shape[:2])
    return shown


@pytest.mark.parametrize("name", SAMPLES)
def test_every_layout_depth_and_sample_format(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tried = compared = 0
    for _, kind, options in (variant for variant in variants() if variant[0] == name):
        samples, flags, wanted = SAMPLES[name]
        stored = deep(samples, kind)
        if name == "white is zero" and kind[0] != "u":
            continue
        write(path, stored, flags, **options)
        message = f"{name}, {kind}, {options}"
        rounding = 3 if name == "rgb, premultiplied" else 1
        assert np.abs(seen(path) - wanted).max() <= rounding, message
        planar, tiled = options["planar"], "tile" in options
        tried += 1
        if kind != "f2" and not (planar and (tiled or name == "grey, alpha")):  # which libvips cannot
            try:
                read = seen_by_vips(path).astype(stored.dtype)
            except pyvips.Error:
                continue
            compared += 1
            if name == "white is zero":  # which it turns over, and takes out what was multiplied in
                stored = np.iinfo(kind).max - stored
            if name != "rgb, premultiplied":
                assert np.array_equal(read, np.atleast_3d(stored)), message
    assert compared >= tried // 3 >= 6


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("bigtiff", [False, True])
def test_every_compression(compression: str, bigtiff: bool, tmp_path: Path) -> None:
    for kind, layout in itertools.product(("u1", "u2"), LAYOUTS.values()):
        stored = deep(RGB, kind)
        options = {"compression": compression, "bigtiff": bigtiff, **layout}
        write(tmp_path / "a.tif", stored, {"photometric": "rgb"}, **options)
        assert np.abs(seen(tmp_path / "a.tif") - RGB).max() <= 1
        if compression not in ("lzma", "zstd"):  # which libvips has not
            assert np.array_equal(seen_by_vips(tmp_path / "a.tif"), stored)


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("white", [False, True])
def test_few_bits(bits: int, white: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    source = pyvips.Image.new_from_array(GREY).copy(interpretation="b-w")
    for compression in ("none", "lzw", "deflate", "packbits", *(("ccittfax4",) if bits == 1 else ())):
        source.tiffsave(
            str(path),
            bitdepth=bits,
            compression=compression,
            miniswhite=white and bits == 1,
            predictor="none",
        )
        wanted = seen_by_vips(path)[..., 0]
        assert 1 < len(np.unique(wanted)) <= 2**bits
        assert np.array_equal(seen(path)[..., 0], wanted), compression


@pytest.mark.parametrize("compression", ["ccittfax3", "ccittfax4"])
def test_faxes(compression: str, tmp_path: Path) -> None:
    """As document scanners write them, by libtiff."""
    bitmap = Image.fromarray(GREY).convert("1")
    names = {"ccittfax3": "group3", "ccittfax4": "group4"}
    bitmap.save(tmp_path / "a.tif", compression=names[compression])
    assert np.array_equal(seen(tmp_path / "a.tif")[..., 0] > 0, np.asarray(bitmap))


def test_a_palette(tmp_path: Path) -> None:
    colours = RGB.reshape(-1, 3)[:: HEIGHT * WIDTH // 256][:256]
    index = (np.arange(HEIGHT * WIDTH) % 256).astype(np.uint8).reshape(HEIGHT, WIDTH)
    for scale in (257, 1):  # 16 bits, as is said; 8 bits, as some write them
        table = (colours.T.astype(np.uint16)) * scale
        tifffile.imwrite(tmp_path / "a.tif", index, photometric="palette", colormap=table, metadata=None)
        assert np.array_equal(seen(tmp_path / "a.tif"), colours[index])
    assert np.array_equal(seen_by_vips(tmp_path / "a.tif").shape[:2], index.shape)
    for bits in (1, 2, 4, 8):
        few = Image.fromarray(RGB).quantize(2**bits)
        few.save(tmp_path / "b.tif")
        assert np.array_equal(seen(tmp_path / "b.tif"), np.asarray(few.convert("RGB")))


@pytest.mark.parametrize("compression", ["jpeg", "webp"])
@pytest.mark.parametrize("tile", [False, True])
def test_lossy_parts(compression: str, tile: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    for colour in (GREY, RGB) if compression == "jpeg" else (RGB, np.dstack([RGB, ALPHA])):
        image = pyvips.Image.new_from_array(colour)
        image = image.copy(interpretation="b-w" if colour.ndim == 2 else "srgb")
        image.tiffsave(str(path), compression=compression, tile=tile, tile_width=32, tile_height=32, Q=90)
        found = pyvips.Image.new_from_buffer(path.read_bytes(), "")
        if found.hasalpha():
            found = found.flatten(background=255)
        wanted = found.colourspace("srgb").numpy()
        assert np.abs(seen(path) - wanted.reshape(HEIGHT, WIDTH, -1)).max() <= 3


def test_lossless_codecs_of_the_last_years(tmp_path: Path) -> None:
    for compression in ("jpegxl", "jpeg2000", "lerc"):
        tifffile.imwrite(
            tmp_path / "a.tif", RGB, photometric="rgb", compression=compression, tile=(32, 32), metadata=None
        )
        assert np.abs(seen(tmp_path / "a.tif") - RGB).max() <= (3 if compression == "jpegxl" else 0)


def test_ycbcr_without_jpeg(tmp_path: Path) -> None:
    ycbcr = np.asarray(Image.fromarray(RGB).convert("YCbCr"))
    for planar in (False, True):
        write(tmp_path / "a.tif", ycbcr, {"photometric": "ycbcr", "subsampling": (1, 1)}, planar=planar)
        assert np.abs(seen(tmp_path / "a.tif") - RGB).max() <= 3


@pytest.mark.parametrize("bits", [8, 16])
def test_lab(bits: int, tmp_path: Path) -> None:
    to_lab = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
    )
    encoded = np.asarray(to_lab.apply(Image.fromarray(RGB))).copy()
    lab = encoded.copy()
    lab[..., 1:] ^= 128  # with 128 added instead of a sign
    if bits == 16:
        lightness = np.rint(lab[..., :1] * 257.0).astype(np.uint16)
        encoded = np.concatenate(
            [lightness, ((lab[..., 1:] - 128.0) * 256).astype(np.int16).view(np.uint16)], -1
        )
    write(tmp_path / "a.tif", encoded, {"photometric": "cielab"})
    wanted = np.asarray(Image.fromarray(RGB)).astype(int)
    assert np.abs(seen(tmp_path / "a.tif") - wanted).mean() < 2
    if bits == 16:
        lightness = np.rint(lab[..., :1] / 255 * 0xFF00).astype(np.uint16)
        encoded = np.concatenate([lightness, lab[..., 1:].astype(np.uint16) << 8], -1)
    else:
        encoded = lab
    write(tmp_path / "a.tif", encoded, {"photometric": "icclab"})
    assert np.abs(seen(tmp_path / "a.tif") - wanted).mean() < 2


@pytest.mark.parametrize("subifd", [False, True])
def test_a_pyramid_is_read_at_the_level_that_is_needed(subifd: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    large = pyvips.Image.new_from_array(RGB).copy(interpretation="srgb").resize(10)
    large.tiffsave(str(path), tile=True, pyramid=True, subifd=subifd, tile_width=64, tile_height=64)
    assert open_image(path).size == (10 * WIDTH, 10 * HEIGHT)
    small = open_image(path, short_side=100)
    assert small.size == (10 * WIDTH // 4, 10 * HEIGHT // 4)
    level = {"subifd": 1} if subifd else {"page": 2}
    wanted = pyvips.Image.new_from_file(str(path), **level).numpy()
    assert np.array_equal(np.asarray(small), wanted)
    assert inspect_image(path).width == 10 * WIDTH


def test_a_thumbnail_or_a_mask_before_the_picture_is_left_out(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(RGB[::4, ::4], photometric="rgb", subfiletype=1, metadata=None)
        file.write(GREY > 99, photometric="mask", subfiletype=4, metadata=None)
        file.write(RGB, photometric="rgb", metadata=None)
    assert np.array_equal(seen(tmp_path / "a.tif"), RGB)


@pytest.mark.parametrize(
    ("samples", "options", "reason"),
    [
        (np.dstack([GREY] * 6), {"photometric": "minisblack"}, "6 channels that are no colours"),
        (RGB.astype(np.complex64), {"photometric": "rgb"}, "samples of 64 bits"),
        (np.dstack([RGB, RGB]), {"photometric": "separated", "extratags": [(332, 3, 1, 2, True)]}, "inks"),
        (GREY, {"photometric": "cfa"}, "photometric interpretation CFA"),
        (np.full((9, 9), np.nan, np.float32), {}, "none of its numbers is finite"),
        (RGB, {"photometric": "rgb", "compression": "pixarlog"}, "compression"),
    ],
)
def test_what_is_not_surely_read_is_an_error_that_names_the_kind(
    samples: np.ndarray, options: dict, reason: str, tmp_path: Path
) -> None:
    compression = options.pop("compression", None)
    tifffile.imwrite(
        tmp_path / "a.tif",
        samples,
        metadata=None,
        planarconfig="contig" if samples.ndim == 3 else None,
        **options,
    )
    if compression:
        content = bytearray((tmp_path / "a.tif").read_bytes())
        with tifffile.TiffFile(tmp_path / "a.tif") as file:
            place = file.pages.first.tags["Compression"].valueoffset
        content[place : place + 2] = (32909).to_bytes(2, "little")
        (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(ImageError, match=rf"^unsupported TIFF: .*{reason}"):
        open_image(tmp_path / "a.tif")


def test_strips_that_are_not_there_are_no_black_ones(tmp_path: Path) -> None:
    for compression in ("none", "deflate"):
        write(tmp_path / "a.tif", RGB, {"photometric": "rgb"}, rowsperstrip=7, compression=compression)
        with tifffile.TiffFile(tmp_path / "a.tif") as file:
            tag = file.pages.first.tags["StripByteCounts"]
            place, size = tag.valueoffset, 2 if tag.dtype == 3 else 4
        content = bytearray((tmp_path / "a.tif").read_bytes())
        content[place + size : place + 2 * size] = bytes(size)
        with pytest.raises(ImageError, match="truncated: 1 of 9 strips or tiles are missing"):
            open_image(bytes(content))


def test_a_bomb_of_samples_or_tiles_is_rejected_before_it_is_unpacked(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif",
        np.zeros((8, 8, 40), np.uint8),
        photometric="rgb",
        planarconfig="contig",
        metadata=None,
    )
    with pytest.raises(ImageError, match="unsupported TIFF: 40 samples"):
        open_image(tmp_path / "a.tif")
    with limit(100), pytest.raises(ImageError, match="too many pixels"):
        write(tmp_path / "a.tif", RGB, {"photometric": "rgb"})
        open_image(tmp_path / "a.tif")
