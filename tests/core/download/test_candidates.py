"""Rungs of a Europeana thumbnail, and icons that are no pictures."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eufcc_cli.core.download.candidates import candidate_urls, is_icon
from eufcc_cli.core.taxonomy.tables.annotation_files import read_table
from eufcc_cli.core.taxonomy.tables.annotations import IMAGE_URL

V2 = "https://api.europeana.eu/thumbnail/v2/url.json"
ORIGINAL = "https://mm.dimu.org/image/012s93CNLsLx?dimension=1200x1200"
URL = f"{V2}?uri=https%3A%2F%2Fmm.dimu.org%2Fimage%2F012s93CNLsLx%3Fdimension%3D1200x1200&type=IMAGE"
MD5 = hashlib.md5(ORIGINAL.encode()).hexdigest()


@pytest.mark.parametrize("size", ["400", "200"])
def test_a_thumbnail_is_tried_at_v3_then_v2(size: str) -> None:
    width = "" if size == "400" else "&size=w200"
    v2 = (
        f"{V2}?uri=https%3A%2F%2Fmm.dimu.org%2Fimage%2F012s93CNLsLx%3Fdimension%3D1200x1200&type=IMAGE{width}"
    )
    assert candidate_urls(URL, size) == [
        ("v3", f"https://api.europeana.eu/thumbnail/v3/{size}/{MD5}.jpg"),
        ("v2", v2),
    ]


def test_the_original_comes_before_its_thumbnail() -> None:
    assert candidate_urls(URL, "original") == [("original", ORIGINAL), ("v2", URL)]


def test_a_size_in_the_url_gives_way_to_the_one_asked_for() -> None:
    assert candidate_urls(f"{URL}&size=w200", "400")[1].url == URL


@pytest.mark.parametrize("url", ["https://example.org/a.jpg", f"{V2}?type=IMAGE", "", "nonsense"])
def test_any_other_url_is_its_own_rung(url: str) -> None:
    for size in ("400", "200", "original"):
        assert candidate_urls(url, size) == [("url", url)]


@given(st.text())
def test_whatever_a_table_holds_has_a_rung(url: str) -> None:
    assert candidate_urls(url)
    assert candidate_urls(f"{V2}?uri={url}")


def test_the_published_urls(shared_data: Path) -> None:
    for url in read_table(shared_data / "eufcc-340k" / "test_id.csv", [IMAGE_URL])[IMAGE_URL]:
        v3, v2 = candidate_urls(url)
        assert v3.url.startswith("https://api.europeana.eu/thumbnail/v3/400/")
        assert v2.url.startswith(f"{V2}?uri=http")
        assert candidate_urls(url, "original")[0].url.startswith("http")


def test_the_real_icon_is_known(shared_data: Path) -> None:
    icon = (shared_data / "europeana" / "EU_thumbnails_image.png").read_bytes()
    assert is_icon(hashlib.sha256(icon).hexdigest(), "v2")


def test_a_picture_is_no_icon() -> None:
    assert not is_icon(hashlib.sha256(b"a picture").hexdigest(), "v2")
    assert is_icon("6b51e5cd" + 56 * "0", "v2")
    assert not is_icon("6b51e5cd" + 56 * "0", "url")
