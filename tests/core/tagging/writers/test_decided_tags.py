"""What was accepted and added, for other systems: rejected tags are in none of it."""

import csv
import io
import json
from pathlib import Path

import pytest
from defusedxml.ElementTree import parse

from eufcc_cli.core.errors import ImageError
from eufcc_cli.core.tagging.decided_images import DecidedImage, decided_images, tag_places
from eufcc_cli.core.tagging.inputs import Input
from eufcc_cli.core.tagging.writers.decided_tags import (
    DecidedAnnotations,
    decided_csv,
    write_decided_sidecar,
)
from eufcc_cli.core.taxonomy.decisions import Decision, Decisions
from tests.conftest import Run
from tests.core.tagging.review.conftest import make_root, make_suggestions

DC = "{http://purl.org/dc/elements/1.1/}"
RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"


def decision(tag: str, verdict: str, time: int, **more: object) -> Decision:
    image = {"image": "photos/0.png", "id": "0", "facet": "materials", "reviewer": "Ann Example"}
    scored = {} if verdict == "added" else {"score": 0.9, "model": "demo", "digest": "ab"}
    return Decision(
        time=f"2026-11-26T10:00:{time:02}Z", tag=tag, verdict=verdict, **{**image, **scored, **more}
    )


DECISIONS = [
    decision("bronze", "accepted", 3),
    decision("metal", "accepted", 1),
    decision("silk", "rejected", 9),
    decision("ceràmica", "added", 5, reviewer="Bob & Co"),
    decision("vase", "rejected", 2, id="1", image="photos/1.png", facet="objectTypes"),
]


@pytest.fixture
def decided(tmp_path: Path) -> list[DecidedImage]:
    decisions = Decisions()
    for one in DECISIONS:
        decisions.add(one)
    return list(decided_images(decisions, tag_places(decisions, make_root(tmp_path / "root"))))


def test_rejected_tags_are_left_out_and_paths_found(decided: list[DecidedImage]) -> None:
    (image,) = decided
    assert [tag.path for tag in image.tags] == [
        ("ceràmica",),
        ("metal",),
        ("metal", "copper alloy", "bronze"),
    ]
    assert (image.reviewers, image.time) == (["Ann Example", "Bob & Co"], "2026-11-26T10:00:05Z")


def test_only_the_images_that_are_named(tmp_path: Path) -> None:
    decisions = Decisions()
    for one in DECISIONS:
        decisions.add(one)
    places = tag_places(decisions, make_root(tmp_path / "root"))
    by_id = Input("elsewhere.jpg", Path("elsewhere.jpg"), "https://a.org/0", "0")
    by_name = Input("photos/0.png", Path("photos/0.png"), "file:///0")
    other = Input("2.png", Path("2.png"), "file:///2")
    found = list(decided_images(decisions, places, [by_id, other, by_name]))
    assert [image.input for image in found] == [by_id, by_name]


def test_csv(decided: list[DecidedImage]) -> None:
    rows = list(csv.DictReader(io.StringIO("".join(decided_csv(decided)))))
    assert rows[0] == {
        "id": "0",
        "image": "photos/0.png",
        "facet": "materials",
        "tag": "ceràmica",
        "path": "ceràmica",
        "score": "",
        "error": "",
        "verdict": "added",
        "reviewer": "Bob & Co",
        "time": "2026-11-26T10:00:05Z",
    }
    assert [(row["path"], row["score"], row["verdict"]) for row in rows[1:]] == [
        ("metal", "0.9", "accepted"),
        ("metal | copper alloy | bronze", "0.9", "accepted"),
    ]


def test_annotations_have_a_person_as_creator(decided: list[DecidedImage]) -> None:
    uris = {"materials": {"bronze": "http://vocab.getty.edu/aat/300010957"}}
    page = json.loads("".join(DecidedAnnotations("2026-11-27T00:00:00Z", uris, None).texts(decided)))
    added, _, bronze = page["items"]
    assert bronze["motivation"] == "tagging"
    assert bronze["creator"] == {"type": "Person", "name": "Ann Example"}
    assert bronze["created"] == "2026-11-26T10:00:03Z"
    assert bronze["body"]["source"] == "http://vocab.getty.edu/aat/300010957"
    assert bronze["generator"][1] == {"id": "urn:sha256:ab", "type": "Software", "name": "demo"}
    assert bronze["schema:reviewRating"]["schema:ratingValue"] == 0.9
    assert added["creator"]["name"] == "Bob & Co"
    assert "schema:reviewRating" not in added
    assert len({item["id"] for item in page["items"]}) == 3


def test_sidecars_name_their_contributors(decided: list[DecidedImage], tmp_path: Path) -> None:
    path = write_decided_sidecar(decided[0], tmp_path / "out")
    tree = parse(path)
    people = [item.text for item in tree.iterfind(f".//{DC}contributor/{RDF}Bag/{RDF}li")]
    tags = [item.text for item in tree.iterfind(f".//{DC}subject/{RDF}Bag/{RDF}li")]
    assert people == ["Ann Example", "Bob & Co"]
    assert tags == ["ceràmica", "metal", "bronze"]
    write_decided_sidecar(decided[0], tmp_path / "out")  # its own may be replaced
    path.write_text("<x:xmpmeta x:xmptk='Other program'/>")
    with pytest.raises(ImageError, match="another program's"):
        write_decided_sidecar(decided[0], tmp_path / "out")


def test_the_command(tmp_path: Path, eufcc: Run) -> None:
    make_root(tmp_path / "root")
    make_suggestions(tmp_path, 3)
    (tmp_path / "d.jsonl").write_text("".join(one.line() for one in DECISIONS))
    base = ("--root", "root", "tag", "--decisions", "d.jsonl")
    done = eufcc(*base, "--format", "csv", "-o", "out.csv")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "3 accepted and added tags of 1 images" in done.stderr
    assert (tmp_path / "out.csv").read_text().count("\n") == 4
    done = eufcc(*base, "--format", "sidecar")
    assert done.stdout == f"{Path('photos/0.png.xmp')}\n"
    assert (tmp_path / "photos/0.png.xmp").is_file()
    none = eufcc(*base, "photos/1.png", "--format", "webannotation")
    assert none.returncode == 1
    assert "nothing in it is accepted or added for these images" in none.stderr
    for wrong in (base, (*base, "--format", "table"), (*base, "--format", "csv", "--top", "3")):
        assert eufcc(*wrong).returncode == 2
