"""Who is answered and what: token, host and origin; images by number; errors in JSON."""

import io
import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
from PIL import Image

from eufcc_cli.core.files import Root
from eufcc_cli.core.tagging.review.review_state import Review
from eufcc_cli.core.tagging.review.thumbnails import Pictures, encode, placeholder
from tests.core.tagging.review.conftest import (
    METAL,
    line,
    make_root,
    make_suggestions,
    serving,
    suggestion,
)

HOSTILE = '<img src=x onerror="alert(1)">'


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Review, str]]:
    folder = tmp_path_factory.mktemp("served")
    path = make_suggestions(folder)
    with path.open("a") as file:
        for name in (HOSTILE, "/etc/passwd", "https://example.org/x.jpg"):
            file.write(json.dumps({**line(0, {"materials": [suggestion(METAL, 0.9)]}), "image": name}) + "\n")
    with serving(path, make_root(folder / "root")) as (review, url):
        yield review, url


def get(url: str, path: str = "", **headers: str) -> httpx.Response:
    return httpx.get(url + path, headers=headers, timeout=100)


def post(url: str, **content: Any) -> httpx.Response:
    return httpx.post(url + "api/decide", timeout=100, **content)


def test_only_this_machine(served: tuple[Review, str]) -> None:
    parts = urlsplit(served[1])
    assert parts.hostname == "127.0.0.1"
    with pytest.raises(OSError):  # another address of this machine
        socket.create_connection(("127.0.0.2", parts.port), timeout=2)


def test_the_token_is_needed_for_everything(served: tuple[Review, str]) -> None:
    url = served[1]
    base = url[: url.index("/", 8)]
    token = urlsplit(url).path.strip("/")
    assert len(token) >= 32
    other = token[:-1] + ("y" if token.endswith("x") else "x")
    assert get(url).status_code == 200
    for path in (
        "/",
        "/main.js",
        "/api/start",
        f"/{other}/api/start",
        "/thumbnail/0",
        f"/x/../{token}x/",
    ):
        assert get(base, path).status_code == 404, path
    for path in ("main.js", "review.css", "api/start", "small/0", "thumbnail/0", "picture/0", "icon.svg"):
        assert get(url, path).status_code == 200, path


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_other_hosts_and_origins_are_not_answered(
    served: tuple[Review, str], headers: dict[str, str]
) -> None:
    assert get(served[1], "api/start", **headers).status_code == 404


def test_a_change_needs_the_pages_own_origin(served: tuple[Review, str]) -> None:
    review, url = served
    origin = url[: url.index("/", 8)]
    body = {"page": "p", "rows": [[0, "accepted"]]}
    assert post(url, json=body).status_code == 404
    assert post(url, json=body, headers={"Origin": "http://evil.example"}).status_code == 404
    assert not review.verdict[0]
    answer = post(url, json=body, headers={"Origin": origin})
    assert answer.json()["changed"] == [[0, 0, 0, 1]]
    for wrong in (
        "x",
        "[]",
        '{"rows": 3}',
        '{"rows": [[0, "maybe"]]}',
        '{"rows": [[1e9, "accepted"]]}',
        "[" * 9999,
    ):
        answer = post(url, content=wrong, headers={"Origin": origin})
        assert answer.status_code == 400, wrong[:20]
        assert answer.json()["error"]


def test_headers_forbid_inline_code_and_other_servers(served: tuple[Review, str]) -> None:
    for path in ("", "api/start", "thumbnail/0", "main.js"):
        headers = get(served[1], path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy and "http" not in policy
        assert headers["x-content-type-options"] == "nosniff"
    page = get(served[1]).text
    assert not re.search(r"<script(?![^>]*\ssrc=)|\son\w+=|\sstyle=|https?://", page)


def test_images_by_number_only(served: tuple[Review, str]) -> None:
    review, url = served
    numbers = {image.name: i for i, image in enumerate(review.suggestions.images)}
    picture = Image.open(io.BytesIO(get(url, "thumbnail/0").content))
    assert (picture.format, picture.size) == ("JPEG", (96, 64))
    for name, reason in (
        ("/etc/passwd", "not an image"),
        (HOSTILE, "not on this machine"),
        ("https://example.org/x.jpg", "a picture on the web, which this page does not load"),
    ):
        answer = get(url, f"picture/{numbers[name]}")
        assert answer.headers["content-type"] == "image/svg+xml"
        assert reason in " ".join(re.sub("<[^>]*>", " ", answer.text).split())
        assert "<img" not in answer.text and "root:" not in answer.text
        web = name if name.startswith("https:") else None
        assert get(url, f"api/image/{numbers[name]}").json()["url"] == web
    for path in (
        "picture/999",
        "picture/-1",
        "picture/..%2f..%2fetc%2fpasswd",
        "..%2f..%2f..%2fserver.py",
        "../server.py",
    ):
        assert get(url, path).status_code == 404, path


def test_a_full_disk_is_an_answer_and_changes_nothing(tmp_path: Path, root: Root) -> None:
    path = make_suggestions(tmp_path / "a")
    with serving(path, root) as (review, url):
        Path(review.path).mkdir()
        origin = url[: url.index("/", 8)]
        answer = post(url, json={"rows": [[0, "accepted"]]}, headers={"Origin": origin})
        assert answer.status_code in (400, 507)
        assert review.path in answer.json()["error"]
        assert not review.verdict.any()


def test_a_broken_request_does_not_end_the_server(served: tuple[Review, str]) -> None:
    url = served[1]
    with socket.create_connection(("127.0.0.1", urlsplit(url).port)) as connection:
        connection.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
        connection.recv(1000)
    assert get(url).status_code == 200


def test_pictures_of_any_kind_become_jpegs_a_browser_shows(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    ramp = np.linspace(0, 65535, 900 * 700).reshape(700, 900).astype(np.uint16)
    colour = Image.fromarray(rng.integers(0, 255, (700, 900, 3), np.uint8)).resize((900, 700))
    colour.convert("CMYK").save(tmp_path / "cmyk.jpg")
    Image.fromarray(ramp).save(tmp_path / "deep.tif")
    exif = Image.Exif()
    exif[0x0112] = 6
    colour.save(tmp_path / "turned.jpg", exif=exif)
    colour.convert("RGBA").save(tmp_path / "clear.png")
    pictures = Pictures(tmp_path / "cache")
    for name, size in (
        ("cmyk.jpg", (512, 398)),
        ("deep.tif", (512, 398)),
        ("turned.jpg", (398, 512)),
        ("clear.png", (512, 398)),
    ):
        content = pictures.get(tmp_path / name, 512)
        made = Image.open(io.BytesIO(content))
        assert (made.format, made.mode, made.size) == ("JPEG", "RGB", size), name
        assert Pictures(tmp_path / "cache").get(tmp_path / name, 512) == content  # from the disk
    assert len(list((tmp_path / "cache").glob("*.jpg"))) == 4
    deep = np.asarray(Image.open(io.BytesIO(encode(tmp_path / "deep.tif", 512))).convert("L"))
    assert deep[0].mean() < 10 and 100 < deep[199].mean() < 156 and deep[-1].mean() > 245
    Image.new("RGB", (4000, 500)).save(tmp_path / "wide.png")
    assert Image.open(io.BytesIO(encode(tmp_path / "wide.png", 1600))).size == (1600, 200)
    colour.save(tmp_path / "clear.png")
    assert pictures.get(tmp_path / "clear.png", 512) != b""
    assert len(list((tmp_path / "cache").glob("*.jpg"))) == 5  # the file changed, and so did its picture


def test_a_placeholder_escapes_its_reason() -> None:
    assert b"<script>" not in placeholder("<script>alert(1)</script>")
