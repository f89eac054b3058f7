"""IIIF: what documents of both versions say, and the images of a real local server."""

import asyncio
import io
import json
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from math import ceil
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from eufcc_cli.core.download.prefetch import Fetcher, Get
from eufcc_cli.core.errors import DataError, ImageError
from eufcc_cli.core.files import Root
from eufcc_cli.core.harvest.iiif.image_service import Tiles, request_by_info, request_by_manifest
from eufcc_cli.core.harvest.iiif.pictures import fetch_picture
from eufcc_cli.core.harvest.iiif.presentation import (
    Canvas,
    Manifest,
    Picture,
    Service,
    parse_document,
    read_document,
)
from eufcc_cli.core.harvest.iiif.table import harvest_table
from eufcc_cli.core.harvest.iiif.walk import Broken, may_be_document, walk
from eufcc_cli.core.http.politeness import FetchError, Politeness
from eufcc_cli.core.tagging.canvases import Canvases
from tests.servers.iiif import Library, library


@pytest.fixture
def served() -> Iterator[Library]:
    with library() as running:
        yield running


@pytest.fixture
def fetcher() -> Iterator[Fetcher]:
    polite = Politeness(rate=0, retries=0, allow_private_hosts=True)
    with Fetcher(polite) as made:
        yield made


def test_any_number_of_threads_may_ask_first() -> None:
    async def recipe(get: Get) -> bytes:
        return b"picture"

    everyone, before = threading.Barrier(8), sys.getswitchinterval()

    def ask(picture: Callable[[], bytes]) -> bytes:
        everyone.wait()
        return picture()

    sys.setswitchinterval(1e-6)
    try:
        for _ in range(5):
            with Fetcher(Politeness()) as made, ThreadPoolExecutor(8) as pool:
                pictures = [made.by(recipe) for _ in range(8)]
                assert list(pool.map(ask, pictures)) == [b"picture"] * 8
    finally:
        sys.setswitchinterval(before)


# --- documents -----------------------------------------------------------------------------------------


def test_both_versions_say_the_same() -> None:
    found = Library()
    pages = [("1r", found.service("a", 2, 2)), ("1v", found.service("b", 3, 1))]
    old = parse_document(
        found.documents[found.manifest2("/2/manifest", "Book", pages, attribution="A museum")], "u"
    )
    new = parse_document(
        found.documents[
            found.manifest3(
                "/3/manifest",
                {"en": ["Book"]},
                [({"none": [text]}, service) for text, service in pages],
                provider=[{"label": {"en": ["A museum"]}}],
            )
        ],
        "u",
    )
    assert isinstance(old, Manifest)
    assert isinstance(new, Manifest)
    assert [canvas.picture for canvas in old.canvases] == [canvas.picture for canvas in new.canvases]
    assert [canvas.label.text() for canvas in old.canvases] == ["1r", "1v"]
    assert [canvas.label.text() for canvas in new.canvases] == ["1r", "1v"]
    assert old.label.text() == new.label.text() == "Book"
    assert old.provider.text() == new.provider.text() == "A museum"
    assert old.canvases[0].picture == Picture(
        "/image/2/a/full/full/0/default.jpg", 800, 600, Service("/image/2/a", 2, 2)
    )


def test_bodies_in_all_their_forms() -> None:
    image = {"id": "https://a.example/1.jpg", "type": "Image"}
    service = {
        "@id": "https://a.example/1/",
        "@type": "ImageService2",
        "profile": ["level1", {"formats": []}],
    }

    def first(body: Any) -> Picture | None:
        canvas = {"id": "c", "items": [{"items": [{"motivation": ["painting"], "body": body}]}]}
        found = parse_document({"type": "Manifest", "items": [canvas]}, "u")
        assert isinstance(found, Manifest)
        return found.canvases[0].picture

    assert first(image) == first([image]) == Picture("https://a.example/1.jpg")
    assert first({"type": "Choice", "items": [image, {**image, "id": "2"}]}) == Picture(
        "https://a.example/1.jpg"
    )
    assert first({"type": "SpecificResource", "source": image}) == Picture("https://a.example/1.jpg")
    assert first({"type": "SpecificResource", "source": image["id"]}) == Picture("https://a.example/1.jpg")
    several = [{"type": "AuthCookieService1", "id": "x"}, service, {"id": "s", "type": "ImageService3"}]
    for one, expected in (
        (service, Service("https://a.example/1", 2, 1)),
        ([service], Service("https://a.example/1", 2, 1)),
        (several, Service("s", 3, None)),
        ({"profile": "http://library.stanford.edu/iiif/image-api/1.1/compliance.html#level1", "@id": "s"},
         Service("s", 1, 1)),
        ({"@id": "s"}, None),
        ("nonsense", None),
    ):  # fmt: skip
        found = first({**image, "service": one})
        assert found is not None
        assert found.service == expected
    assert first({"type": "TextualBody", "value": "x"}) is None
    assert first({"type": "Video", "id": "v.mp4"}) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["id", "@id", "type", "@type", "label", "items", "sequences", "canvases", "images", "resource",
             "body", "service", "profile", "width", "metadata", "value", "first", "next", "members", "en",
             "@value"]
        ),
        inner,
        max_size=5,
    ),
    max_leaves=15,
)  # fmt: skip


@given(json_values, st.sampled_from(["Manifest", "sc:Manifest", "Collection", "sc:Collection", None]))
def test_no_document_is_too_broken(document: Any, kind: str | None) -> None:
    if isinstance(document, dict) and kind:
        document["type"] = kind
    try:
        found = read_document(json.dumps(document).encode(), "https://a.example/m")
    except DataError as error:
        assert "https://a.example/m" in str(error)
        return
    assert found.id
    for canvas in getattr(found, "canvases", ()):
        assert isinstance(canvas, Canvas)
        if canvas.picture is not None:
            request_by_manifest(canvas.picture, 100)


@given(
    st.dictionaries(
        st.sampled_from(["width", "height", "sizes", "tiles", "profile", "maxWidth"]), json_values
    )
)
def test_no_info_is_too_broken(info: dict[str, Any]) -> None:
    request_by_info(Service("s", 3, None), info, 100)


positive = st.integers(1, 5000)


@given(positive, positive, st.integers(1, 600), st.sampled_from([1, 2]), st.sampled_from([2, 3]))
def test_a_scaled_image_is_large_enough_and_no_larger(
    width: int, height: int, side: int, level: int, version: int
) -> None:
    url = request_by_manifest(Picture("p", width, height, Service("s", version, level)), side)
    assert url is not None
    size = url.split("/")[2]
    asked = width if size in ("max", "full") else int(size.removesuffix(","))
    assert asked <= width
    short = min(asked, asked * height / width)
    assert short >= min(side, width, height) - 1e-6
    assert asked == width or min(asked - 1, (asked - 1) * height / width) < side


@given(positive, positive, st.integers(1, 600), st.sampled_from([64, 256, 512]), st.sampled_from([2, 3]))
def test_tiles_cover_the_image_once(width: int, height: int, side: int, tile: int, version: int) -> None:
    info = {"width": width, "height": height, "profile": "level0"}
    info["tiles"] = [{"width": tile, "scaleFactors": [1, 2, 4, 8, 16, 32, 64]}]
    found = request_by_info(Service("s", version, 0), info, side)
    assert isinstance(found, Tiles)
    covered = 0
    for one in found.tiles:
        region = one.url.split("/")[1]
        left, top, w, h = (0, 0, width, height) if region == "full" else map(int, region.split(","))
        covered += w * h
        assert left + w <= width
        assert top + h <= height
    assert covered == width * height
    if ceil(width / tile) * ceil(height / tile) <= 64:  # else a coarser level has to do
        assert min(found.width, found.height) >= min(side, width, height)


# --- collections ---------------------------------------------------------------------------------------


def walked(served: Library, url: str) -> list[str]:
    def start(address: str) -> Any:
        def wait() -> bytes:
            status, _, content = served.answer(address.removeprefix(served.base))
            if status != 200:
                raise FetchError("not-found", f"HTTP {status}", http=status)
            return content

        return wait

    return [
        f"broken {found.url}: {found.reason}" if isinstance(found, Broken) else found.id
        for found in walk(url, start)
    ]


def test_collections_in_collections_each_manifest_once_in_order() -> None:
    served = Library()
    a, b, c = (served.manifest3(f"/{name}/manifest", {}, []) for name in "abc")
    inner = served.collection2("/inner/collection", manifests=[b, a, "/gone/manifest"])
    served.documents["/bad/manifest"] = b"<html>"
    served.documents["/other/manifest"] = {"type": "Canvas"}
    outer = served.collection3("/outer/collection", [a, inner, "/bad/manifest", "/other/manifest", c, c])
    served.documents["/inner/collection"]["collections"] = [
        {"@id": outer, "@type": "sc:Collection"}
    ]  # a circle
    assert walked(served, outer) == [
        a,
        b,
        "broken /gone/manifest: HTTP 404",
        "broken /bad/manifest: not JSON",
        "broken /other/manifest: neither an IIIF manifest nor a collection",
        c,
    ]
    assert len(served.asked) == len(set(served.asked))


def test_pages_of_collections_and_manifests_that_stand_whole() -> None:
    served = Library()
    manifests = [served.manifest2(f"/{n}/manifest", "", []) for n in range(5)]
    served.collection2("/all/collection", first="/all/collection?page=1")
    for page, some in ((1, manifests[:2]), (2, manifests[2:4])):
        served.collection2(
            f"/all/collection?page={page}", manifests=some, next=f"/all/collection?page={page + 1}"
        )
    whole = served.documents[manifests[4]]
    served.documents["/all/collection?page=3"] = {"@type": "sc:Collection", "members": [whole],
                                                  "next": "/all/collection?page=1"}  # fmt: skip
    assert walked(served, "/all/collection") == manifests
    assert manifests[4] not in served.asked


def test_a_chain_of_collections_without_end_is_cut() -> None:
    def start(url: str) -> Any:
        number = int(url.rsplit("/", 1)[1])
        return lambda: json.dumps(
            {"type": "Collection", "items": [{"id": f"/{number + 1}", "type": "Collection"}]}
        ).encode()

    assert [found.reason for found in walk("/0", start) if isinstance(found, Broken)] == [
        "more than 32 collections within each other"
    ]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://iiif.wellcomecollection.org/presentation/v2/b18035723", True),
        ("https://media.getty.edu/iiif/manifest/1e0ed47e-5a5b-4ff0-aea0-45abee793a1c", True),
        ("https://example.org/items/7/manifest.json", True),
        ("https://example.org/view?manifest=7", True),
        ("https://iiif.io/api/image/3.0/example/reference/59d0/full/max/0/default.jpg", False),
        ("https://iiif.example.org/image/2/1/0,0,10,10/!90,90/0/native.webp", False),
        ("https://example.org/collections/top", True),
        ("https://api.europeana.eu/thumbnail/v2/url.json?uri=https%3A%2F%2Fiiif.example.org%2F1.jpg", False),
        ("https://example.org/photos/7", False),
    ],
)
def test_which_urls_look_like_documents(url: str, expected: bool) -> None:
    assert may_be_document(url) is expected


# --- a real server -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "version", "level", "asked"),
    [
        ("a", 2, 2, ["full/200,/0"]),
        ("a", 3, 1, ["full/200,/0"]),
        ("a", 3, None, ["info", "full/200,/0"]),
        ("level0sizes", 2, 0, ["info", "full/200,/0"]),
        ("level0sizes", 3, 0, ["info", "full/200,150/0"]),
        ("level0tiles", 2, 0, ["info", *["x"] * 4]),
        ("level0tiles", 3, 0, ["info", *["x"] * 4]),
    ],
)
def test_images_come_no_larger_than_they_are_needed(
    served: Library, fetcher: Fetcher, name: str, version: int, level: int | None, asked: list[str]
) -> None:
    service = served.service(name, version, level)
    url = served.manifest3("/m/manifest", {}, [({}, service)])
    (item,) = Canvases(fetcher, short_side=150)(url)
    assert callable(item.source)
    content = item.source()
    assert isinstance(content, bytes)
    image = Image.open(io.BytesIO(content)).convert("RGB")
    assert image.size == (200, 150)
    corners = [image.getpixel(at) for at in ((3, 3), (195, 3), (3, 145), (195, 145))]
    for corner, expected in zip(
        corners, ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)), strict=True
    ):
        assert all(abs(a - b) < 60 for a, b in zip(corner, expected, strict=True)), corners  # type: ignore[arg-type]
    paths = [path for path in served.asked if path.startswith("/image")]
    assert len(paths) == len(asked)
    for path, part in zip(paths, asked, strict=True):
        assert part in path or part == "x"


def test_what_a_service_cannot_do_comes_from_the_url_that_the_manifest_names(served: Library) -> None:
    picture = Picture("/plain/1.jpg", 800, 600, Service("/image/3/level0sizes", 3, 2))  # it is not level 2

    async def get(url: str) -> bytes:
        status, _, content = served.answer(url)
        if status != 200:
            raise FetchError("not-found", f"HTTP {status}", http=status)
        return content

    content = asyncio.run(fetch_picture(picture, 150, get))
    assert Image.open(io.BytesIO(content)).size == (800, 600)
    assert served.asked == ["/image/3/level0sizes/full/200,/0/default.jpg", "/plain/1.jpg"]


def test_canvases_have_labels_and_those_without_an_image_say_so(served: Library, fetcher: Fetcher) -> None:
    pages = [({"de": ["Blatt 1"], "en": ["leaf 1"]}, None), ({"none": ["2"]}, "")]
    url = served.manifest3("/m/manifest", {"de": ["Buch"], "en": ["Book"]}, pages)
    first, second = Canvases(fetcher, 100, "de")(url)
    assert (first.name, first.canvas, first.label) == (
        f"{served.base}/plain/1.jpg", f"{url}/canvas/1", "Buch: Blatt 1"
    )  # fmt: skip
    assert first.iri == first.canvas
    assert second.label == "Buch: 2"
    assert callable(second.source)
    with pytest.raises(ImageError, match="no image is painted"):
        second.source()


def test_documents_that_cannot_be_used_are_rows(served: Library, fetcher: Fetcher) -> None:
    served.broken["/no/manifest"] = 403
    served.documents["/html/manifest"] = b"{ <html>"
    served.documents["/picture/iiif"] = served.answer("/plain/1.jpg")[2]
    for path, reason in (("/no/manifest", "HTTP 403"), ("/html/manifest", "not JSON")):
        (item,) = Canvases(fetcher, 100)(f"{served.base}{path}")
        assert item.canvas is None
        assert callable(item.source)
        with pytest.raises(ImageError, match=reason):
            item.source()
    (item,) = Canvases(fetcher, 100)(f"{served.base}/picture/iiif")  # an image after all
    assert callable(item.source)
    assert Image.open(io.BytesIO(item.source())).size == (800, 600)  # type: ignore[arg-type]


def test_servers_of_this_network_are_not_asked_unless_allowed(served: Library) -> None:
    url = served.manifest3("/m/manifest", {}, [])
    with Fetcher(Politeness(retries=0)) as careful:
        (item,) = Canvases(careful, 100)(url)
    assert callable(item.source)
    with pytest.raises(ImageError, match="cannot fetch: "):
        item.source()
    assert served.asked == []


def test_manifests_become_records_and_an_interrupted_harvest_goes_on(
    served: Library, fetcher: Fetcher, tmp_path: Any
) -> None:
    def pair(label: str, *values: str) -> dict[str, Any]:
        return {"label": {"en": [label]}, "value": {"en": list(values)}}

    root = Root(tmp_path)
    service = served.service("level0sizes", 3, 0)
    urls = [
        served.manifest3(f"/objects/{n}/manifest", {"en": [f"Object {n}"]}, [({}, service), ({}, None)],
                         metadata=[pair("Material", "bronze", "<i>wood</i>"), pair("Title", "x; y")])
        for n in range(3)
    ]  # fmt: skip
    collection = served.collection3("/collection", [*urls, f"{served.base}/gone/manifest"])
    served.broken["/objects/2/manifest"] = 500

    class Interrupted(Exception):
        pass

    class Interrupting:
        @contextmanager
        def task(self, *_: object) -> Iterator["Interrupting"]:
            yield self

        def advance(self, *_: object, **__: object) -> None:
            raise Interrupted

    with pytest.raises(Interrupted):
        harvest_table(root, collection, fetcher, progress=Interrupting())

    async def all_answered() -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)

    fetcher.start(all_answered()).result()  # what is under way may be asked for again
    del served.broken["/objects/2/manifest"]
    before = list(served.asked)
    done = harvest_table(root, collection, fetcher)
    assert [one.reason for one in done.broken] == ["HTTP 404"]
    again = [path for path in served.asked[len(before) :] if path in before]
    assert set(again) <= {"/objects/2/manifest", "/gone/manifest"}
    rows = [json.loads(line) for line in done.path.read_text().splitlines()]
    assert [row["id"] for row in rows] == ["0", "1", "2"]
    assert rows[0] == {
        "id": "0",
        "title": "Object 0",
        "provider": "",
        "image": [f"{served.base}/image/3/level0sizes/full/max/0/default.jpg", f"{served.base}/plain/2.jpg"],
        "manifest": urls[0],
        "rights": "",
        "Material": ["bronze", "wood"],
        "Title (metadata)": ["x; y"],
    }
    assert [path.name for path in done.path.parent.iterdir()] == [done.path.name]
