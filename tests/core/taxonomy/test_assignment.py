"""What texts of facet columns become: known terms, terms of their own, and a person's decisions."""

from dataclasses import replace

import pytest

from eufcc_cli.core.taxonomy.matching.assignment import Assignment, TermRow, assign, decided
from eufcc_cli.core.taxonomy.matching.known_terms import Term
from eufcc_cli.core.taxonomy.matching.terms import TermMatcher

TERMS = [
    Term(("metal",)),
    Term(("metal", "bronze"), {"de": ["Bronze"]}),
    Term(("metal", "gold"), {"de": ["Gold"]}),
    Term(("wood",), {"de": ["Holz"]}),
]
TEXTS = {
    "bronze": 10,
    "Bronze": 3,
    "bronze with gold inlay": 4,
    "Holz": 2,
    "steatite": 3,
    "glazed steatite": 4,
    "green glazed steatite": 1,
    "a text that is much too long to be a term of its own": 9,
    "Scarab": 2,
    "Scarabs": 6,
}


@pytest.fixture
def matcher() -> TermMatcher:
    return TermMatcher({"materials": TERMS}, "en")


def run(matcher: TermMatcher, rows: list[TermRow] = [], **options: int) -> Assignment:  # noqa: B006
    return assign(matcher, {"materials": TEXTS}, rows, **options)


def row_of(assignment: Assignment, text: str) -> TermRow:
    [row] = [row for row in assignment.rows if row.text == text]
    return row


def test_texts_become_known_terms_or_their_own(matcher: TermMatcher) -> None:
    assignment = run(matcher)
    assert assignment.annotations["materials"] == {
        "bronze": "metal | bronze",
        "Bronze": "metal | bronze",
        "bronze with gold inlay": "metal | bronze $ metal | gold",
        "Holz": "wood",
        "steatite": "steatite",
        "glazed steatite": "steatite",
        "green glazed steatite": "steatite",
        "a text that is much too long to be a term of its own": "",
        "Scarab": "Scarab",
        "Scarabs": "Scarab",
    }


def test_rows_hold_texts_and_words_most_frequent_first(matcher: TermMatcher) -> None:
    assignment = run(matcher)
    assert [row.count for row in assignment.rows] == sorted((r.count for r in assignment.rows), reverse=True)
    assert row_of(assignment, "bronze") == TermRow(
        "materials", "bronze", 17, "metal | bronze", "exact", "metal | bronze"
    )
    assert row_of(assignment, "bronze with gold inlay").how == "word"
    assert row_of(assignment, "gold").count == 4
    assert row_of(assignment, "Holz").how == "synonym"
    assert row_of(assignment, "steatite").count == 8
    assert row_of(assignment, "steatite").how == "own"
    assert (row_of(assignment, "text").count, row_of(assignment, "text").how) == (9, "none")
    assert "text" in [row.text for row in assignment.unmatched()]
    assert not any(row.edited for row in assignment.rows)


def test_rare_texts_do_not_become_terms(matcher: TermMatcher) -> None:
    assignment = run(matcher, min_count=9)
    assert assignment.annotations["materials"]["steatite"] == ""
    assert row_of(assignment, "Scarabs").how == "none"


def test_a_person_decides(matcher: TermMatcher) -> None:
    first = run(matcher)
    changed = {
        "steatite": "stone | steatite",  # a path that is not known yet
        "gold": "",  # nothing
        "Holz": "GOLD; wood",  # other terms, by their names
        "text": "bronze",  # a word that named nothing
    }
    rows = [replace(row, term=changed.get(row.text, row.term)) for row in first.rows]
    rows.append(TermRow("materials", "glazed steatite", 0, "glazed stone", "", ""))  # typed by hand
    second = run(TermMatcher({"materials": TERMS}, "en"), rows)
    annotations = second.annotations["materials"]
    assert annotations["steatite"] == "stone | steatite"
    assert annotations["green glazed steatite"] == "glazed stone"
    assert annotations["bronze with gold inlay"] == "metal | bronze"
    assert annotations["Holz"] == "metal | gold $ wood"
    assert annotations["a text that is much too long to be a term of its own"] == "metal | bronze"
    assert {row.text for row in second.rows if row.edited} == {*changed, "glazed steatite"}
    assert {row.text for row in second.rows if row.how == "edited"} == {*changed, "glazed steatite"}
    assert row_of(second, "green glazed steatite").how == "word"
    assert row_of(second, "gold").count == 4

    # The decisions stay, however often the command is given, and for texts that an export does not have.
    third = run(TermMatcher({"materials": TERMS}, "en"), second.rows)
    assert third == second
    none = assign(TermMatcher({"materials": TERMS}, "en"), {"materials": {"wood": 1}}, second.rows)
    assert {row.text for row in none.rows if row.edited} == {*changed, "glazed steatite"}


def test_a_decision_is_taken_back(matcher: TermMatcher) -> None:
    first = run(matcher)
    edited = [replace(row, term="") if row.text == "gold" else row for row in first.rows]
    second = run(TermMatcher({"materials": TERMS}, "en"), edited)
    back = [replace(row, term=row.automatic) for row in second.rows]
    assert run(TermMatcher({"materials": TERMS}, "en"), back) == first


def test_rows_that_nobody_changed_follow_the_vocabulary(matcher: TermMatcher) -> None:
    first = run(matcher)
    grown = TermMatcher({"materials": [*TERMS, Term(("stone", "steatite"))]}, "en")
    assert run(grown, first.rows).annotations["materials"]["steatite"] == "stone | steatite"


def test_what_an_entry_stands_for(matcher: TermMatcher) -> None:
    assert decided(matcher, "materials", "Bronze") == (("metal", "bronze"),)
    assert decided(matcher, "materials", "art | bronze | bell bronze") == (
        ("metal", "bronze", "bell bronze"),
    )
    assert decided(matcher, "materials", "stone | slate $ wood") == (("stone", "slate"), ("wood",))
    assert decided(matcher, "materials", " ") == ()


def test_paths_are_taken_as_they_are(matcher: TermMatcher) -> None:
    texts = {"materials": {"metal | bronze": 2, "stone | slate": 1}}
    assert assign(matcher, texts).annotations["materials"] == {
        "metal | bronze": "metal | bronze",
        "stone | slate": "stone | slate",
    }
