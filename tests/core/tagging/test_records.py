"""Gap filling: what is proposed beside what is catalogued, and what contradicts it."""

from pathlib import Path

import numpy as np
import pytest

from eufcc_cli.core.errors import ImageError
from eufcc_cli.core.files import Root
from eufcc_cli.core.tagging.records import Catalogue, Contradiction, fill
from eufcc_cli.core.tagging.selection import Choice, Chooser
from eufcc_cli.core.taxonomy.vocabulary import FacetVocabulary, Vocabulary

TAGS = ("metal", "copper alloy", "bronze", "silver", "textile", "silk")
VOCABULARY = Vocabulary({"materials": FacetVocabulary(TAGS, (-1, 0, 1, 0, -1, 4))})


def filled(annotation: str, probabilities: dict[str, float], **choice: object):
    scores = np.log([probabilities.get(tag, 1e-4) for tag in TAGS]).astype(np.float32)
    chooser = Chooser(VOCABULARY, None, Choice(**choice))
    tags, contradictions = fill(chooser, {"materials": annotation}, {"materials": scores})
    return [(tag.tag, tag.kind) for tag in tags["materials"]], contradictions.get("materials", [])


BRONZE = {"metal": 0.99, "copper alloy": 0.9, "bronze": 0.8}


def test_an_empty_facet_lacks_everything() -> None:
    assert filled("", BRONZE) == (
        [("metal", "missing"), ("copper alloy", "missing"), ("bronze", "missing")],
        [],
    )


def test_what_is_there_is_not_proposed_again() -> None:
    assert filled("metal | copper alloy | bronze", BRONZE) == ([], [])
    # A name implies what stands above it in the vocabulary, wherever the annotation puts it.
    assert filled("bronze", BRONZE) == ([], [])


def test_more_specific_than_what_is_there() -> None:
    assert filled("metal", BRONZE) == ([("copper alloy", "more specific"), ("bronze", "more specific")], [])


def test_another_branch_is_missing_where_the_catalogued_one_is_likely() -> None:
    both = {**BRONZE, "textile": 0.7, "silk": 0.6}
    assert filled("textile", both) == (
        [
            ("metal", "missing"),
            ("copper alloy", "missing"),
            ("bronze", "missing"),
            ("silk", "more specific"),
        ],
        [],
    )


def test_a_contradiction_is_flagged_and_nothing_proposed() -> None:
    proposals, contradictions = filled("textile | silk", BRONZE)
    assert proposals == []
    (found,) = contradictions
    assert isinstance(found, Contradiction)
    assert (found.tag, found.path) == ("silk", ("textile", "silk"))
    assert found.score < 0.01
    assert found.instead.tag == "bronze"


def test_a_tag_that_is_not_wanted_contradicts_nothing() -> None:
    assert filled("textile | silk", BRONZE, exclude=("metal",)) == ([], [])
    assert filled("textile | silk", BRONZE, only=("textile",)) == ([], [])


def test_doubt_alone_is_no_contradiction() -> None:
    assert filled("textile | silk", {"metal": 0.4}) == ([], [])


def test_names_outside_the_vocabulary_leave_the_model_free() -> None:
    assert filled("ivory", {"metal": 0.9}) == ([("metal", "missing")], [])


def test_limits_count_proposals_only() -> None:
    assert filled("metal", BRONZE, top=1) == ([("copper alloy", "more specific")], [])
    assert filled("metal", BRONZE, threshold=0.85) == ([("copper alloy", "more specific")], [])
    assert filled("", BRONZE, exclude=("copper alloy",)) == ([("metal", "missing")], [])


def test_rows_are_joined_to_their_images(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(b"")
    table = tmp_path / "new.csv"
    table.write_text(
        "idInSource,materials.hierarchy,#portraitMedia.original,europeanaId\n"
        "a,metal,https://example.org/a.jpg,\n123-b,,,/123/b\n"
    )
    catalogue = Catalogue.read(table, Root(tmp_path))
    first, second = catalogue.inputs()
    assert (first.id, first.name, first.iri) == (
        "a",
        str(tmp_path / "images" / "a.jpg"),
        "https://example.org/a.jpg",
    )
    assert catalogue.record(first) == {
        "objectTypes": "",
        "materials": "metal",
        "classifications": "",
        "subjects": "",
    }
    assert (second.name, second.item) == ("123-b", "http://data.europeana.eu/item/123/b")
    assert callable(second.source)
    with pytest.raises(ImageError, match="eufcc download"):
        second.source()
