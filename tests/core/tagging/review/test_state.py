"""Verdicts: what follows from them, undo, other writers, and suggestions that changed since."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eufcc_cli.core.errors import DataError
from eufcc_cli.core.files import Root
from eufcc_cli.core.tagging.review.opening import open_review
from eufcc_cli.core.tagging.review.review_state import VERDICT_OF, Review
from eufcc_cli.core.taxonomy.decisions import Decision, DecisionsFile, read_decisions
from tests.core.tagging.review.conftest import BRONZE, METAL, line, make_suggestions, suggestion, write_lines


def row(review: Review, image: int, tag: str) -> int:
    (found,) = (r for r in review.rows_of_image(image) if review.suggestions.terms[review.term[r]].tag == tag)
    return found


def verdicts(review: Review, image: int) -> dict[str, str]:
    return {
        review.suggestions.terms[review.term[r]].tag: VERDICT_OF[int(review.verdict[r])]
        for r in review.rows_of_image(image)
        if review.verdict[r]
    }


def test_accepting_a_term_accepts_the_broader_ones(review: Review) -> None:
    review.decide("p", {row(review, 0, "bronze"): "accepted"})
    assert verdicts(review, 0) == {"metal": "accepted", "copper alloy": "accepted", "bronze": "accepted"}
    assert verdicts(review, 1) == {}
    review.decide("p", {row(review, 1, "metal"): "accepted"})
    assert verdicts(review, 1) == {"metal": "accepted"}


def test_rejecting_a_term_rejects_the_narrower_ones(review: Review) -> None:
    review.decide("p", {row(review, 0, "bronze"): "accepted"})
    review.decide("p", {row(review, 0, "copper alloy"): "rejected"})
    assert verdicts(review, 0) == {"metal": "accepted", "copper alloy": "rejected", "bronze": "rejected"}
    review.decide("p", {row(review, 0, "bronze"): "accepted"})
    assert verdicts(review, 0) == {"metal": "accepted", "copper alloy": "accepted", "bronze": "accepted"}


def test_each_click_is_in_the_file_with_all_it_needs(review: Review) -> None:
    review.decide("p", {row(review, 2, "metal"): "rejected"})
    lines = [json.loads(text) for text in Path(review.path).read_text().splitlines()]
    assert [(one["tag"], one["verdict"]) for one in lines] == [
        ("copper alloy", "rejected"),
        ("bronze", "rejected"),
        ("metal", "rejected"),
    ]
    assert all(
        one["reviewer"] == "curator" and one["model"] == "demo" and one["digest"] == "d1" for one in lines
    )
    assert lines[-1]["image"] == "photos/2.png"
    assert lines[-1]["score"] == pytest.approx(review.score[row(review, 2, "metal")])
    assert lines[-1]["time"].endswith("Z")


def test_undo_appends_and_reaches_back_action_by_action(review: Review) -> None:
    review.decide("p", {row(review, 0, "bronze"): "accepted"})
    review.decide("p", {row(review, 0, "metal"): "rejected"})
    assert len(review.undo("p")) == 3
    assert verdicts(review, 0) == {"metal": "accepted", "copper alloy": "accepted", "bronze": "accepted"}
    review.undo("p")
    assert verdicts(review, 0) == {}
    assert review.undo("p") == []
    content = Path(review.path).read_text().splitlines()
    assert len(content) == 12  # 3 accepted, 3 rejected, 3 accepted again, 3 undecided
    assert not list(read_decisions(Path(review.path)))


def test_undo_leaves_what_another_page_decided_since(review: Review) -> None:
    review.decide("mine", {row(review, 0, "bronze"): "accepted", row(review, 1, "bronze"): "accepted"})
    review.decide("other", {row(review, 1, "bronze"): "rejected"})
    review.undo("mine")
    assert verdicts(review, 0) == {}
    assert verdicts(review, 1) == {"bronze": "rejected"}


def test_an_added_term_accepts_the_broader_ones_and_can_be_taken_back(review: Review) -> None:
    review.add("p", 0, "materials", "llautó")
    assert verdicts(review, 0) == {"metal": "accepted", "copper alloy": "accepted", "llautó": "added"}
    review.undo("p")
    assert verdicts(review, 0) == {}
    review.add("p", 0, "materials", "bronze")  # it is suggested
    assert verdicts(review, 0)["bronze"] == "accepted"
    with pytest.raises(DataError, match="no tag 'gold'"):
        review.add("p", 0, "materials", "gold")


def test_everything_is_there_when_it_is_opened_again(review: Review, root: Root) -> None:
    review.decide("p", {row(review, 0, "bronze"): "accepted", row(review, 1, "metal"): "rejected"})
    review.add("p", 2, "materials", "ceràmica")
    again = open_review(review.suggestions.path, root, "other")[0]
    assert [verdicts(again, i) for i in range(4)] == [verdicts(review, i) for i in range(4)]
    assert verdicts(again, 2) == {"ceràmica": "added"}
    assert again.decided == review.decided == 6


def test_two_programs_see_each_other(review: Review, root: Root) -> None:
    other = open_review(review.suggestions.path, root, "other")[0]
    review.decide("p", {row(review, 0, "bronze"): "accepted"})
    other.decide("p", {row(other, 1, "bronze"): "accepted"})
    version = review.version
    review.refresh()
    assert verdicts(review, 1)["bronze"] == "accepted"
    assert {int(review.image[r]) for r in review.changed_since(version)} == {1}
    assert verdicts(other, 0)["bronze"] == "accepted"


def test_changed_suggestions_keep_what_fits_and_name_the_rest(review: Review, root: Root) -> None:
    review.decide("p", {row(review, 0, "bronze"): "accepted", row(review, 5, "metal"): "rejected"})
    review.add("p", 0, "materials", "ceràmica")
    path = review.suggestions.path
    write_lines(
        path,
        [line(0, {"materials": [suggestion(METAL, 0.9)]}), line(7, {"materials": [suggestion(BRONZE, 0.5)]})],
    )
    again = open_review(path, root, "curator")[0]
    assert verdicts(again, 0) == {"metal": "accepted", "ceràmica": "added"}
    assert {(d.image, d.tag) for d in again.orphans.values()} == {
        ("photos/0.png", "copper alloy"),
        ("photos/0.png", "bronze"),
        *(("photos/5.png", tag) for tag in ("metal", "copper alloy", "bronze")),
    }
    again.decide("p", {row(again, 1, "bronze"): "accepted"})
    assert len(list(read_decisions(Path(review.path)))) == 8  # nothing is removed from the file


def test_decisions_by_id_survive_another_file_name(tmp_path: Path, root: Root) -> None:
    file = DecisionsFile(tmp_path / "tags.decisions.jsonl")
    file.append(
        [
            Decision(
                time="",
                reviewer="",
                image="old/1.tif",
                id="1",
                facet="materials",
                tag="metal",
                verdict="accepted",
            )
        ]
    )
    path = write_lines(tmp_path / "tags.jsonl", [line(9, {"materials": [suggestion(METAL, 0.9)]}, id="1")])
    review = open_review(path, root, "x")[0]
    assert verdicts(review, 0) == {"metal": "accepted"}
    assert not review.orphans


def test_contradictions_with_the_record(review: Review) -> None:
    assert review.suggestions.images[0].provider == "Harbour Museum"
    flags = {
        (int(review.image[r]), review.suggestions.terms[review.term[r]].tag)
        for r in np.flatnonzero(review.contradicts)
    }
    assert flags == {(0, "metal"), (0, "copper alloy"), (0, "bronze")}
    recorded = {
        (int(review.image[r]), review.suggestions.terms[review.term[r]].tag)
        for r in np.flatnonzero(review.in_record)
    }
    assert recorded == {(1, "metal"), (1, "copper alloy"), (3, "vase")}


def test_unknown_rows_and_verdicts_change_nothing(review: Review) -> None:
    for wrong in ({99999: "accepted"}, {-1: "accepted"}, {0: "perhaps"}):
        with pytest.raises(DataError, match="no such row"):
            review.decide("p", wrong)
    assert not Path(review.path).exists()


@given(
    st.lists(
        st.tuples(st.integers(0, 27), st.sampled_from(["accepted", "rejected", "undo", "reopen"])),
        max_size=15,
    )
)
@settings(max_examples=30)
def test_a_broader_term_is_never_rejected_where_a_narrower_one_is_true(
    tmp_path_factory: pytest.TempPathFactory, actions: list[tuple[int, str]]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    path, root = make_suggestions(folder, 8), Root(folder)
    review = open_review(path, root, "x")[0]
    for number, action in actions:
        if action == "undo":
            review.undo("p")
        elif action == "reopen":
            review = open_review(path, root, "x")[0]
        else:
            review.decide("p", {number % len(review): action})
        narrower, broader = review.pairs
        assert not ((review.verdict[narrower] == 1) & (review.verdict[broader] == 2)).any()
    again = open_review(path, root, "x")[0]
    assert again.verdict.tolist() == review.verdict.tolist()
