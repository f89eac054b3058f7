"""A small review: pictures on disk, suggestions about them, and a server that runs in a thread."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from eufcc_cli.core.files import Root
from eufcc_cli.core.tagging.review.opening import open_review
from eufcc_cli.core.tagging.review.review_state import Review

METAL, ALLOY, BRONZE = ["metal"], ["metal", "copper alloy"], ["metal", "copper alloy", "bronze"]
SILK, VASE = ["textile", "silk"], ["vessel", "vase"]


def suggestion(path: list[str], score: float) -> dict[str, object]:
    return {"tag": path[-1], "path": path, "score": score}


def line(number: int, tags: dict[str, list[dict[str, object]]], **more: object) -> dict[str, object]:
    return {"image": f"photos/{number}.png", "model": "demo", "digest": "d1", "tags": tags, **more}


def write_lines(path: Path, lines: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in lines), encoding="utf-8")
    return path


def make_suggestions(folder: Path, images: int = 24) -> Path:
    """tags.jsonl: each image is metal > copper alloy > bronze; every third a vase; the last one of silk."""
    (folder / "photos").mkdir(parents=True, exist_ok=True)
    lines = []
    for i in range(images):
        colour = (40 + i * 7 % 200, 120, 200 - i * 5 % 180)
        Image.new("RGB", (96, 64), colour).save(folder / "photos" / f"{i}.png")
        top = 0.98 - 0.9 * i / images
        materials = [
            suggestion(path, round(top * f, 4)) for path, f in ((METAL, 1), (ALLOY, 0.95), (BRONZE, 0.9))
        ]
        if i == images - 1:
            materials.append(suggestion(SILK, 0.3))
        tags = {"materials": materials}
        if i % 3 == 0:
            tags["objectTypes"] = [suggestion(VASE, round(0.95 - i / 100, 4))]
        lines.append(line(i, tags))
    return write_lines(folder / "tags.jsonl", lines)


def make_root(folder: Path) -> Root:
    """A root whose label files know more terms, and whose tables know some of the images."""
    (folder / "labels").mkdir(parents=True)
    (folder / "data").mkdir()
    (folder / "labels" / "materials.txt").write_text(
        "Root\n├── metal\n│   └── copper alloy\n│       ├── bronze\n│       └── llautó\n├── ceràmica\n"
        "└── textile\n    └── silk\n",
        encoding="utf-8",
    )
    (folder / "labels" / "objectTypes.txt").write_text("Root\n└── vessel\n    └── vase\n", encoding="utf-8")
    (folder / "labels" / "names.csv").write_text(
        "facet,tag,language,name\nmaterials,ceràmica,en,ceramics\nmaterials,bronze,de,Bronze\n",
        encoding="utf-8",
    )
    (folder / "data" / "train.csv").write_text(
        "idInSource,repository.keeper,materials.hierarchy,objectTypes.hierarchy\n"
        "0,Harbour Museum,textile | silk,\n1,Harbour Museum,metal | copper alloy,vessel\n"
        "3,City Archive,,vessel | vase\n",
        encoding="utf-8",
    )
    return Root(folder)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One Chromium for all tests of the page; each opens its own pages."""
    from tests.core.tagging.review.person import chromium

    with chromium() as started:
        yield started


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return make_root(tmp_path / "root")


@pytest.fixture
def suggestions_file(tmp_path: Path) -> Path:
    return make_suggestions(tmp_path)


@pytest.fixture
def review(suggestions_file: Path, root: Root) -> Review:
    return open_review(suggestions_file, root, "curator")[0]


@contextmanager
def serving(path: Path, root: Root) -> Iterator[tuple[Review, str]]:
    """A review and the URL where it is served."""
    review, server = open_review(path, root, "curator")
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield review, server.url
    finally:
        server.stop()
        thread.join(10)
