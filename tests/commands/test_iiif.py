"""IIIF manifests as the input of `tag` and of `fetch table`, on a real local server."""

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from eufcc_cli.cli import app
from tests.servers.iiif import Library, library

Here = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def served() -> Iterator[Library]:
    with library() as running:
        pages = [({"none": ["1"]}, running.service("a", 3, 2)), ({"none": ["2"]}, running.service("b", 2, 2))]
        running.manifest3("/one/manifest", {"en": ["Book"], "de": ["Buch"]}, pages)
        metadata = [{"label": "Material", "value": "bronze"}, {"label": "Object type", "value": "vase"}]
        for n in range(6):
            service = running.service(f"vase{n}", 2, 2)
            running.manifest2(f"/vases/{n}/manifest", f"Vase {n}", [("1", service)], metadata=metadata)
        running.collection2(
            "/all/collection",
            manifests=[f"{running.base}/vases/{n}/manifest" for n in range(6)]
            + [f"{running.base}/gone/manifest"],
        )
        yield running


@pytest.fixture
def here() -> Here:
    def run(*arguments: object) -> tuple[int, str, str]:
        result = CliRunner().invoke(app, [*map(str, arguments)])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout, result.stderr

    return run


@pytest.mark.one_processor
def test_a_manifest_is_tagged_canvas_by_canvas(
    here: Here, trained: Path, served: Library, tmp_path: Path
) -> None:
    url, options = f"{served.base}/one/manifest", ("--allow-private-hosts", "--threshold", 0, "--top", 2)
    served.asked.clear()
    code, out, err = here("--root", trained, "tag", url, *options, "--language", "de")
    assert code == 0, err
    lines = [json.loads(line) for line in out.splitlines()]
    assert [(line["canvas"], line["label"]) for line in lines] == [
        (f"{url}/canvas/1", "Buch: 1"), (f"{url}/canvas/2", "Buch: 2")
    ]  # fmt: skip
    assert lines[0]["image"] == f"{served.base}/image/3/a/full/max/0/default.jpg"
    # 4:3 pictures for a network that sees 32 pixels
    assert [path.split("/")[5] for path in served.images()] == ["43,"] * 2

    output = tmp_path / "tags.jsonl"
    code, _, err = here("--root", trained, "tag", f"{served.base}/all/collection", *options, "-o", output)
    assert code == 3
    assert "gone/manifest" in output.read_text()
    assert len(output.read_text().splitlines()) == 7
    assert "1 image could not be tagged" in err
    asked = len(served.images())
    code, _, err = here(
        "--root", trained, "tag", f"{served.base}/all/collection", *options, "-o", output, "--skip-existing"
    )
    assert len(served.images()) == asked


def test_what_people_decided_is_said_of_the_canvas(here: Here, served: Library, tmp_path: Path) -> None:
    url, decisions = f"{served.base}/one/manifest", tmp_path / "s.decisions.jsonl"
    decision = {"time": "2026-11-26T10:11:12Z", "reviewer": "curator", "facet": "materials", "tag": "bronze"}
    image = f"{served.base}/image/3/a/full/max/0/default.jpg"
    decisions.write_text(json.dumps({**decision, "image": image, "verdict": "accepted", "score": 0.9}) + "\n")
    asked = len(served.images())
    code, out, err = here(
        "--root", tmp_path, "tag", url, "--decisions", decisions, "--format", "webannotation",
        "--allow-private-hosts",
    )  # fmt: skip
    assert code == 0, err
    (annotation,) = json.loads(out)["items"]
    assert annotation["target"] == f"{url}/canvas/1"
    assert len(served.images()) == asked  # no picture is needed for that


def test_a_collection_becomes_a_collection(here: Here, served: Library, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    url = f"{served.base}/all/collection"
    code, _, err = here("--root", root, "fetch", "table", url, "--yes", "--allow-private-hosts")
    assert code == 3, err
    assert "6 records" in err
    assert "gone/manifest: HTTP 404" in err
    rows = [row for split in root.glob("data/*.csv") if "hierarchy" in split.read_text().splitlines()[0]
            for row in csv.DictReader(split.open(newline=""))]  # fmt: skip
    assert sorted(row["idInSource"] for row in rows) == sorted(f"vases/{n}" for n in range(6))
    assert {row["#portraitMedia.original"] for row in rows} == {
        f"{served.base}/image/2/vase{n}/full/683,/0/default.jpg" for n in range(6)
    }
    assert all(row["materials.hierarchy"].endswith("bronze") for row in rows)
    code, _, err = here("--root", root, "download", "--allow-private-hosts")
    assert code == 0, err
    assert len(list((root / "data" / "images").rglob("*.jpg"))) == 6
