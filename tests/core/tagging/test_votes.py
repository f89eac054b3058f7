"""Votes of a CrowdHeritage campaign as decisions, in the shape of the platform's own export."""

import json
from pathlib import Path
from typing import Any

import pytest

from eufcc_cli.core.errors import DataError
from eufcc_cli.core.files import Root
from eufcc_cli.core.tagging.inputs import Input
from eufcc_cli.core.tagging.votes import read_votes, votes_as_decisions
from tests.core.tagging.review.conftest import make_root

BRONZE = "http://vocab.getty.edu/aat/300010957"
ITEM = "http://data.europeana.eu/item/12/d"


def annotation(body: Any, scope: str, votes: tuple[int, int], **more: Any) -> dict[str, Any]:
    """One annotation as `toNtuaModel` in the platform's source code writes it."""
    up, down = votes
    content = {
        "type": "Annotation",
        "created": "Mon May 04 10:11:12 UTC 2026",
        "creator": {"id": "urn:sha256:abc", "name": "demo", "type": "Software"},
        "confidence": 0.9,
        "body": body,
        "target": {"source": ITEM},
        "scope": scope,
    }
    if up != down:
        recommendation = "accept" if up > down else "reject"
        review = {"type": "Validation", "upvotes": up, "downvotes": down, "recommendation": recommendation}
        content["review"] = review
    return content | more


@pytest.fixture
def root(tmp_path: Path) -> Root:
    made = make_root(tmp_path / "root")
    (made.path / "labels" / "concepts.csv").write_text(f"facet,tag,uri\nmaterials,bronze,{BRONZE}\n")
    return made


def write(folder: Path, *annotations: Any) -> Path:
    path = folder / "campaign.json"
    path.write_text(json.dumps({"@context": [], "@graph": annotations}), encoding="utf-8")
    return path


def test_votes_are_decisions_about_the_images_of_the_record(root: Root, tmp_path: Path) -> None:
    vase = {"type": "TextualBody", "value": "vase"}
    by_person = {"creator": {"name": "Bob", "type": "Person"}}
    path = write(
        tmp_path,
        annotation(BRONZE.replace("http:", "https:"), "dcterms:medium", (3, 1)),
        annotation({"type": "TextualBody", "value": "Ceramics", "language": "en"}, "dcterms:medium", (0, 2)),
        annotation(
            vase,
            "http://purl.org/dc/elements/1.1/type",
            (1, 0),
            **by_person,
        ),
        annotation(vase, "dc:type", (2, 2)),
        annotation(vase, "dc:subject", (1, 0)),
        annotation(BRONZE, "dcterms:medium", (1, 0), target={"source": "http://data.europeana.eu/item/9/z"}),
    )
    item = Input("photos/a.png", Path("photos/a.png"), "https://a.org/a.png", "a", ITEM)
    found = votes_as_decisions(read_votes(path), root, [item])
    assert [(one.facet, one.tag, one.verdict, one.score) for one in found.decisions] == [
        ("materials", "bronze", "accepted", 0.9),
        ("materials", "ceràmica", "rejected", 0.9),
        ("objectTypes", "vase", "added", None),
    ]
    first = found.decisions[0]
    assert (first.image, first.id, first.model, first.digest) == ("photos/a.png", "a", "demo", "abc")
    assert first.reviewer == "CrowdHeritage"
    assert (found.undecided, found.unknown_tags) == (1, ["vase"])  # no subject is called so
    assert found.unknown_images == ["http://data.europeana.eu/item/9/z"]


def test_without_images_they_are_called_as_in_the_campaign(root: Root, tmp_path: Path) -> None:
    local = annotation(BRONZE, "dcterms:medium", (1, 0), target={"source": "file:///photos/b%20c.png"})
    path = write(tmp_path, annotation(BRONZE, "dcterms:medium", (1, 0)), local)
    found = votes_as_decisions(read_votes(path), root)
    assert [one.image for one in found.decisions] == [ITEM, str(Path("/photos/b c.png"))]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[", "not JSON"),
        ("{}", "no list of annotations"),
        ('{"@graph": [{"body": "x"}]}', "annotation 1"),
        ('{"@graph": [7]}', "annotation 1"),
        ('[{"body": [], "target": {"source": "x"}}]', "annotation 1"),
        ('[{"body": "x", "target": {"source": "x"}, "review": {"upvotes": "many"}}]', "annotation 1"),
    ],
)
def test_other_files_are_rejected(content: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "campaign.json"
    path.write_text(content)
    with pytest.raises(DataError, match=reason):
        read_votes(path)
