"""What was accepted and added, for other systems: rejected tags are in none of it."""

import csv
import functools
import io
import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from eufcc_cli.cli import app
from eufcc_cli.core.tagging.decided_images import DecidedImage, decided_images, tag_places
from eufcc_cli.core.tagging.inputs import Input
from eufcc_cli.core.tagging.writers.decided_tags import (
    DecidedAnnotations,
    decided_csv,
    decided_terms,
)
from eufcc_cli.core.tagging.writers.keywords.xmp import Packet
from eufcc_cli.core.taxonomy.decisions import Decision, Decisions
from tests.core.tagging.review.conftest import make_root, make_suggestions

SUBJECT = "{http://purl.org/dc/elements/1.1/}subject"


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


def test_keywords_name_their_contributors(decided: list[DecidedImage], tmp_path: Path) -> None:
    terms = decided_terms(decided[0])
    assert terms.contributors == ("Ann Example", "Bob & Co")
    assert terms.subjects == ("ceràmica", "metal", "bronze")
    assert terms.paths[2] == "materials|metal|copper alloy|bronze"
    assert (terms.origin.split(", ", 1)[1], terms.date) == ("decisions, model demo", "2026-11-26T10:00:05Z")


def test_broader_tags_and_rejected_images(tmp_path: Path) -> None:
    decisions = Decisions()
    for one in DECISIONS:
        decisions.add(one)
    places = tag_places(decisions, make_root(tmp_path / "root"))
    leaves, rejected = decided_images(decisions, places, leaves_only=True, rejected=True)
    assert [tag.tag for tag in leaves.tags] == ["ceràmica", "bronze"]
    assert (rejected.input.name, rejected.tags) == ("photos/1.png", [])


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_root(tmp_path / "root")
    make_suggestions(tmp_path, 3)
    (tmp_path / "d.jsonl").write_text("".join(one.line() for one in DECISIONS))
    run = functools.partial(CliRunner().invoke, app, catch_exceptions=False)
    base = ["--root", "root", "tag", "--decisions", "d.jsonl"]
    done = run([*base, "--format", "csv", "-o", "out.csv"])
    assert (done.exit_code, done.stdout) == (0, ""), done.stderr
    assert "3 accepted or added tags of 1 image" in done.stderr
    assert (tmp_path / "out.csv").read_text().count("\n") == 4
    for form in ("lido", "edm"):
        text = run([*base, "--format", form, "--language", "en"]).stdout
        assert "ceramics" in ET.fromstring(text.encode()).itertext()
    assert run([*base, "--format", "sidecar"]).stdout == f"{Path('photos/0.png.xmp')}\n"
    assert Packet(Path("photos/0.png.xmp").read_bytes()).values(SUBJECT) == ["ceràmica", "metal", "bronze"]
    with Path("d.jsonl").open("a") as file:
        file.writelines(replace(one, verdict="rejected").line() for one in DECISIONS)
    done = run([*base, "--format", "sidecar"])  # what was rejected is taken out; no file is made for it
    assert done.stdout == f"{Path('photos/0.png.xmp')}\n"
    assert Packet(Path("photos/0.png.xmp").read_bytes()).values(SUBJECT) == []
    none = run([*base, "photos/1.png", "--format", "webannotation"])
    assert none.exit_code == 1
    assert "nothing in it is accepted or added for these images" in none.stderr
    for wrong in (base, [*base, "--format", "table"], [*base, "--format", "csv", "--top", "3"]):
        assert run(wrong).exit_code == 2


def test_votes_of_a_campaign_are_added_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_root(tmp_path / "root")
    (tmp_path / "root/labels/concepts.csv").write_text("facet,tag,uri\nmaterials,bronze,http://v.org/1\n")
    annotation = {
        "body": "http://v.org/1",
        "target": {"source": "https://a.org/1.jpg"},
        "scope": "dcterms:medium",
        "review": {"type": "Validation", "recommendation": "accept"},
    }
    (tmp_path / "c.json").write_text(json.dumps({"@graph": [annotation, {**annotation, "review": {}}]}))
    command = ["--root", "root", "tag", "--votes", "c.json", "--decisions", "d.jsonl"]
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    assert "1 decisions added, 0 were already there; 1 annotations without a majority" in done.stderr, (
        done.output
    )
    assert "0 decisions added, 1 were already there" in CliRunner().invoke(app, command).stderr
    (line,) = (tmp_path / "d.jsonl").read_text().splitlines()
    assert json.loads(line)["verdict"] == "accepted"
