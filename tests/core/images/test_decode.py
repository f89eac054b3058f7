"""Reading images: every mode comes out as the RGB that is looked at, every broken file with its reason."""

import io
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageFile

from eufcc_cli.core.errors import ImageError
from eufcc_cli.core.images.decode import ImageInfo, inspect_image, open_image, open_pixels


def encoded(image: Image.Image, name: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, name, **options)
    return buffer.getvalue()


def gradient(width: int = 64, height: int = 48) -> Image.Image:
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([x, y, 255 - x], axis=-1).astype(np.uint8))


def distance(image: Image.Image, wanted: Image.Image) -> float:
    assert image.mode == "RGB"
    assert image.size == wanted.size
    return float(np.abs(np.asarray(image, dtype=int) - np.asarray(wanted.convert("RGB"), dtype=int)).mean())


@contextmanager
def limit(pixels: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EUFCC_MAX_PIXELS", str(pixels))
        yield


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "TIFF", "BMP"])
def test_every_format_comes_out_as_it_looks(name: str) -> None:
    content = encoded(gradient(), name)
    assert distance(open_image(content), gradient()) < 4
    assert inspect_image(content) == ImageInfo(name, 64, 48)


def test_a_gif_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (20, 10), colour) for colour in ("red", "blue")]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert distance(open_image(content), frames[0]) == 0
    assert inspect_image(content) == ImageInfo("GIF", 20, 10)


def test_a_tiff_gives_its_first_page() -> None:
    pages = [Image.new("RGB", (20, 10), colour) for colour in ("red", "blue")]
    content = encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:], compression="tiff_lzw")
    assert distance(open_image(content), pages[0]) == 0


@pytest.mark.parametrize("name", ["JPEG", "TIFF"])
def test_cmyk_becomes_the_colours_it_prints(name: str) -> None:
    wanted = Image.new("RGB", (16, 16), (200, 40, 90))
    assert distance(open_image(encoded(wanted.convert("CMYK"), name)), wanted) < 3


def test_sixteen_bits_keep_their_brightness() -> None:
    values = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    wanted = Image.fromarray(np.rint(values / 257).astype(np.uint8))
    for name in ("PNG", "TIFF"):
        assert distance(open_image(encoded(Image.fromarray(values), name)), wanted) == 0


def test_sixteen_bits_with_white_as_zero() -> None:
    values = np.full((4, 4), 60000, dtype=np.uint16)
    content = encoded(Image.fromarray(values), "TIFF", tiffinfo={262: 0})
    assert np.asarray(open_image(content)).max() < 30


def test_floats_are_shown_in_their_range() -> None:
    values = np.linspace(0, 1, 16, dtype=np.float32).reshape(4, 4)
    shown = np.asarray(open_image(encoded(Image.fromarray(values), "TIFF")))[..., 0]
    assert shown.tolist() == np.rint(values * 255).astype(int).tolist()


def test_transparency_is_shown_over_white() -> None:
    clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    half = Image.new("RGBA", (8, 8), (0, 0, 0, 128))
    grey = Image.new("LA", (8, 8), (0, 0))
    palette = clear.convert("P")
    palette.info["transparency"] = 0
    for image, level in ((clear, 255), (half, 127), (grey, 255), (palette, 255)):
        assert open_image(encoded(image, "PNG")).getpixel((3, 3)) == pytest.approx((level,) * 3, abs=1)
    keyed = encoded(Image.new("L", (8, 8), 7), "PNG", transparency=7)
    assert open_image(keyed).getpixel((0, 0)) == (255, 255, 255)


def test_a_palette_and_a_bitmap() -> None:
    assert distance(open_image(encoded(gradient().quantize(256), "PNG")), gradient()) < 12
    bitmap = Image.new("1", (8, 8), 1)
    assert open_image(encoded(bitmap, "PNG")).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["JPEG", "TIFF", "PNG", "WEBP"])
def test_orientation_is_applied(orientation: int, name: str) -> None:
    # What a camera stores for each orientation, by the definition of the tag: row 0 / column 0 of the
    # stored image is this side of the scene.
    scene = np.asarray(gradient(64, 32))
    stored = {
        1: scene, 2: scene[:, ::-1], 3: scene[::-1, ::-1], 4: scene[::-1],
        5: scene.transpose(1, 0, 2), 6: scene.transpose(1, 0, 2)[::-1],
        7: scene.transpose(1, 0, 2)[::-1, ::-1], 8: scene.transpose(1, 0, 2)[:, ::-1],
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(Image.fromarray(np.ascontiguousarray(stored)), name, exif=exif)
    assert distance(open_image(content), gradient(64, 32)) < 4
    assert inspect_image(content) == ImageInfo(name, 64, 32)


def test_an_embedded_profile_is_converted_to_srgb() -> None:
    # In a profile with linear light, a middle value is much brighter than the same number in sRGB.
    lab = ImageCms.createProfile("LAB")
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    plain = Image.new("RGB", (8, 8), (100, 150, 200))
    assert open_image(encoded(plain, "PNG", icc_profile=srgb)).getpixel((0, 0)) == (100, 150, 200)
    swapped = _profile_with_swapped_colourants(srgb)
    assert open_image(encoded(plain, "PNG", icc_profile=swapped)).getpixel((0, 0)) == pytest.approx(
        (200, 150, 100), abs=3
    )
    # A profile that does not fit the image, or is no profile, changes nothing.
    for unusable in (ImageCms.ImageCmsProfile(lab).tobytes(), b"no profile at all"):
        assert open_image(encoded(plain, "PNG", icc_profile=unusable)).getpixel((0, 0)) == (100, 150, 200)


def _profile_with_swapped_colourants(profile: bytes) -> bytes:
    """The same profile under another name, with red and blue exchanged in its tag table."""
    content = bytearray(profile)
    for offset in range(132, 132 + 12 * struct.unpack(">I", profile[128:132])[0], 12):
        tag = bytes(content[offset : offset + 4])
        content[offset : offset + 4] = {b"rXYZ": b"bXYZ", b"bXYZ": b"rXYZ", b"desc": b"dscX"}.get(tag, tag)
    return bytes(content)


def _linear(content: bytes) -> bytes:
    """The sRGB profile with straight tone curves, its description as it was."""
    profile = bytearray(content)
    count = struct.unpack(">I", profile[128:132])[0]
    for entry in range(132, 132 + 12 * count, 12):
        tag, offset, size = struct.unpack(">4sII", profile[entry : entry + 12])
        if tag in (b"rTRC", b"gTRC", b"bTRC"):
            profile[offset : offset + size] = (b"curv" + bytes(8)).ljust(size, b"\0")
            profile[entry + 8 : entry + 12] = struct.pack(">I", 12)
    return bytes(profile)


def test_a_profile_is_judged_by_what_it_does_not_by_its_name() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    linear = _linear(srgb)
    assert ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(linear))).startswith("sRGB")
    plain = Image.new("RGB", (8, 8), (55, 55, 55))
    for name in ("PNG", "JPEG", "TIFF", "WEBP"):
        options = {"lossless": True} if name == "WEBP" else {}
        content = encoded(plain, name, icc_profile=linear, **options)
        assert open_image(content).getpixel((0, 0)) == pytest.approx((128, 128, 128), abs=2), name
        assert same(content)
    unnamed = srgb.replace("sRGB".encode("utf-16-be"), "some".encode("utf-16-be")).replace(b"sRGB ", b"some ")
    assert open_image(encoded(plain, "PNG", icc_profile=unnamed)).getpixel((0, 0)) == (55, 55, 55)


@pytest.mark.parametrize(("gamma", "wanted"), [(100000, 128), (45455, 55), (45000, 55)])
def test_a_gamma_of_a_png_counts(gamma: int, wanted: int) -> None:
    content = encoded(Image.new("RGB", (8, 8), (55, 55, 55)), "PNG")
    chunk = b"gAMA" + struct.pack(">I", gamma)
    content = (
        content[:33] + struct.pack(">I", 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) + content[33:]
    )
    assert open_image(content).getpixel((0, 0)) == pytest.approx((wanted,) * 3, abs=2)


def png(samples: np.ndarray, depth: int, colour_type: int, extra: bytes = b"") -> bytes:
    """A PNG of samples [h, w, n], of any bit depth and colour type, written by its specification."""
    height, width = samples.shape[:2]
    if depth == 16:
        rows = [row.astype(">u2").tobytes() for row in samples]
    else:
        bits = (samples[..., None] >> np.arange(depth)[::-1]) & 1
        rows = [np.packbits(row.reshape(-1)).tobytes() for row in bits.reshape(height, -1)]
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    chunks = [
        (b"IHDR", header),
        (b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows))),
        (b"IEND", b""),
    ]
    made = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + made[0] + extra + b"".join(made[1:])


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


PNG_KINDS = [
    *((0, depth) for depth in (1, 2, 4, 8, 16)),
    *((3, depth) for depth in (1, 2, 4, 8)),
    *((kind, depth) for kind in (2, 4, 6) for depth in (8, 16)),
]


@pytest.mark.parametrize(("colour_type", "depth"), PNG_KINDS)
@pytest.mark.parametrize("transparent", [False, True])
def test_every_depth_and_colour_type_of_png_as_libvips_reads_it(
    colour_type: int, depth: int, transparent: bool
) -> None:
    pyvips = pytest.importorskip("pyvips")
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour_type]
    y, x = np.mgrid[0:37, 0:53]
    top = 2**depth - 1
    samples = np.stack(
        [(x * (n + 1) * 5 + y * 3) * (257 if depth == 16 else 1) % (top + 1) for n in range(channels)], -1
    )
    extra = b""
    if colour_type == 3:
        extra = chunk(b"PLTE", bytes(i * 83 % 256 for i in range(3 * (top + 1))))
    if transparent and colour_type == 3:
        extra += chunk(b"tRNS", bytes([0, 128][: top + 1]))
    elif transparent and colour_type in (0, 2):
        extra += chunk(b"tRNS", b"".join(struct.pack(">H", value) for value in samples[3, 5].tolist()))
    elif transparent:
        pytest.skip("alpha is in its samples")
    content = png(samples, depth, colour_type, extra)
    read = pyvips.Image.new_from_buffer(content, "")
    if read.hasalpha():
        read = read.flatten(background=65535 if read.format == "ushort" else 255)
    wanted = read.numpy().astype(int).reshape(37, 53, -1)
    wanted = (wanted * 255 + 32767) // 65535 if read.format == "ushort" else wanted
    assert np.abs(np.asarray(open_image(content)).astype(int) - wanted).max() <= 1


def test_what_surrounds_the_pixels_of_a_png_does_not_matter() -> None:
    """A damaged text, and texts larger than any decoder wants to unpack, before and after the pixels."""
    samples = np.random.default_rng(0).integers(0, 256, (5, 7, 3))
    large = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2 << 20)))
    damaged = chunk(b"tEXt", b"a\0b")[:-4] + bytes(4)
    for extra in (large, damaged, chunk(b"gAMA", struct.pack(">I", 45455)) + damaged + large):
        content = png(samples, 8, 2, extra)
        for made in (content, content[:-12] + extra + content[-12:]):
            assert np.array_equal(np.asarray(open_image(made)), samples)
            assert inspect_image(made).width == 7
    with pytest.raises(ImageError, match="broken PNG"):  # the pixels' own are another matter
        open_image(png(samples, 8, 2).replace(b"IDAT", b"IDAT" + b"x", 1))


def test_a_high_dynamic_range_is_named() -> None:
    samples = np.zeros((5, 7, 3), int)
    for transfer, name in ((16, "PQ"), (18, "HLG")):
        with pytest.raises(ImageError, match=f"high dynamic range .{name}"):
            open_image(png(samples, 8, 2, chunk(b"cICP", bytes([9, transfer, 0, 1]))))
    assert open_image(png(samples, 8, 2, chunk(b"cICP", bytes([1, 13, 0, 1])))).size == (7, 5)


def test_kinds_of_jpeg_that_are_not_read_are_named() -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    grey = np.zeros((16, 16), np.uint8)
    for content, kind in (
        (imagecodecs.jpegls_encode(grey), "JPEG-LS"),
        (imagecodecs.jpeg8_encode(grey.astype(np.uint16), bitspersample=12), "12 bits"),
    ):
        with pytest.raises(ImageError, match=f"unsupported JPEG: {kind}"):
            open_image(content)


def test_a_lossless_jpeg_is_read_at_every_size() -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    content = imagecodecs.jpeg8_encode(pixels, lossless=True)
    assert np.array_equal(np.asarray(open_image(content)), pixels)
    assert np.array_equal(open_pixels(content, short_side=8)[..., :3], pixels)
    assert inspect_image(content).height == 40


def test_a_jpeg_is_decoded_no_larger_than_needed() -> None:
    content = encoded(gradient(1600, 1200), "JPEG")
    image = open_image(content, short_side=200)
    assert image.size == (400, 300)
    assert distance(image, gradient(400, 300)) < 4
    assert open_image(content, short_side=2000).size == (1600, 1200)


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"])
@pytest.mark.parametrize("kept", [0.5, 0.95])
def test_a_truncated_file_is_told(name: str, kept: float) -> None:
    noise = Image.effect_noise((200, 200), 80).convert("RGB")
    content = encoded(noise, name)
    for read in (open_image, open_pixels, inspect_image):
        with pytest.raises(ImageError, match=r"^truncated: |^not an image: broken (TIFF|GIF)"):
            read(content[: int(len(content) * kept)])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not an image: empty file"),
        (b"\n<!DOCTYPE html><html>", "not an image: HTML page"),
        (b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>", "not an image: SVG drawing"),
        (b"%PDF-1.7", "not an image: PDF document"),
        (b"\0\0\0\x20ftypavif", "not an image: unsupported format"),
        (b'{"error": "gone"}', "not an image: cannot identify image file"),
        (b"\xff\xd8\xff\xe0 and nothing more", "truncated: |not an image: broken JPEG"),
    ],
)
def test_what_is_no_image_is_told(content: bytes, reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        open_image(content)


def test_a_bomb_is_refused_by_its_header() -> None:
    bomb = bytearray(encoded(Image.new("1", (8, 8)), "PNG"))
    bomb[16:24] = struct.pack(">II", 50_000, 50_000)
    bomb[29:33] = struct.pack(">I", zlib.crc32(bomb[12:29]))
    for read in (open_image, open_pixels, inspect_image):
        with pytest.raises(ImageError, match=r"^too many pixels: 50000 x 50000"):
            read(bytes(bomb))
        with (
            pytest.raises(ImageError, match=r"^too many pixels: 64 x 48, and EUFCC_MAX_PIXELS is 3,000"),
            limit(3000),
        ):
            read(encoded(gradient(), "JPEG"))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"^cannot read: No such file"):
        open_image(tmp_path / "none.jpg")
    with pytest.raises(ImageError, match=r"^cannot read: Is a directory"):
        open_image(tmp_path)


PROBLEMS = ("not an image", "truncated", "too many pixels", "unsupported TIFF")
SAMPLES = [encoded(gradient(24, 16), name) for name in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP")]


@given(st.sampled_from(SAMPLES), st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=8))
def test_damage_gives_an_image_or_an_image_error(content: bytes, damage: list[tuple[int, int]]) -> None:
    damaged = bytearray(content)
    for place, value in damage:
        damaged[place % len(damaged)] = value
    for read in (open_image, open_pixels, inspect_image):
        try:
            with limit(10_000):
                result = read(bytes(damaged))
        except ImageError as error:
            assert str(error).split(":")[0] in PROBLEMS
        else:
            assert isinstance(result, ImageInfo | np.ndarray) or result.mode == "RGB"


def outcome(
    read: Callable[..., Image.Image | np.ndarray], content: bytes, **options: int
) -> str | np.ndarray:
    """The pixels that are read, or what is told instead."""
    try:
        return np.asarray(read(content, **options))[..., :3]
    except ImageError as error:
        return str(error)


def same(content: bytes, **options: int | None) -> bool:
    """Whether `open_pixels` reads, or tells, what `open_image` does."""
    return np.array_equal(outcome(open_image, content, **options), outcome(open_pixels, content, **options))


JPEGS = [
    encoded(gradient(210, 130), "JPEG", subsampling=subsampling, progressive=progressive)
    for subsampling in (0, 1, 2)
    for progressive in (False, True)
] + [
    encoded(gradient(33, 17), "JPEG", keep_rgb=True),
    encoded(gradient(33, 17), "JPEG", restart_marker_blocks=1),
    *(encoded(gradient(50, 70).convert(mode), "JPEG") for mode in ("L", "CMYK")),
]


def test_a_plain_jpeg_is_not_decoded_by_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = [outcome(open_image, content, short_side=60) for content in JPEGS[:-1]]
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("Pillow decodes it"))
    for content, pixels in zip(JPEGS[:-1], wanted, strict=True):
        assert np.array_equal(outcome(open_pixels, content, short_side=60), pixels)


def test_what_the_decoder_has_no_name_for_is_left_to_pillow() -> None:
    content = bytearray(encoded(gradient(), "JPEG", subsampling=0))
    content[content.index(b"\xff\xc0") + 11] = 0x14  # 4:4:1
    assert not isinstance(outcome(open_pixels, bytes(content)), str)
    assert same(bytes(content))


@given(st.sampled_from(JPEGS), st.none() | st.integers(1, 300))
def test_pixels_are_those_of_the_image(content: bytes, short_side: int | None) -> None:
    assert not isinstance(outcome(open_pixels, content), str)
    assert same(content, short_side=short_side)


def test_pixels_have_their_colours_and_orientation() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    profile = _profile_with_swapped_colourants(
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    )
    for options in ({"exif": exif}, {"icc_profile": profile}, {"exif": exif, "icc_profile": profile}):
        content = encoded(gradient(), "JPEG", **options)
        assert same(content)
        assert not np.array_equal(outcome(open_pixels, content), outcome(open_pixels, JPEGS[0]))
    for name in ("PNG", "WEBP", "GIF", "TIFF", "BMP"):
        assert same(encoded(gradient(), name))


@given(
    st.sampled_from(JPEGS),
    st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), max_size=3),
    st.floats(0, 1),
)
def test_damage_is_told_alike(content: bytes, damage: list[tuple[int, int]], kept: float) -> None:
    damaged = bytearray(content)
    for place, value in damage:
        damaged[place % len(damaged)] = value
    with limit(10**6):
        assert same(bytes(damaged))
        assert same(bytes(damaged[: int(len(damaged) * kept)]))


def test_real_photographs_come_out_as_pillow_reads_them(shared_data: Path) -> None:
    for path in sorted((shared_data / "clothing" / "images").glob("*_te_*.jpg"))[:20]:
        assert distance(open_image(path), Image.open(path)) == 0


def test_a_pipe_is_read_like_a_file(tmp_path: Path) -> None:
    Image.new("RGB", (8, 6), "teal").save(tmp_path / "a.png")
    reading, writing = os.pipe()
    os.write(writing, (tmp_path / "a.png").read_bytes())
    os.close(writing)
    assert open_image(Path(f"/dev/fd/{reading}")).size == (8, 6)
    os.close(reading)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that cannot be read")
def test_a_file_that_cannot_be_read_is_told() -> None:
    with pytest.raises(ImageError, match="cannot read: Input/output error"):
        open_image(Path("/proc/self/mem"))
