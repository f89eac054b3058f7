"""Targets with decisions: true, false and unknown, tag by tag."""

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from eufcc_cli.core.taxonomy.decided_targets import with_decisions
from eufcc_cli.core.taxonomy.decisions import Decision
from eufcc_cli.core.taxonomy.vocabulary import FacetVocabulary

#  a > b > c, a > d, e
TAGS = FacetVocabulary(("a", "b", "c", "d", "e"), (-1, 0, 1, 0, -1))


def decision(tag: str, verdict: str) -> Decision:
    return Decision(time="", reviewer="", image="x", facet="materials", tag=tag, verdict=verdict)


def state(annotation: str, *decided: tuple[str, str]) -> str:
    """What is known of each tag: + true, - false, ? unknown."""
    targets = TAGS.encode(pd.Series(["e", annotation]))
    found = with_decisions(targets, TAGS, {1: [decision(*one) for one in decided]})
    true, known = found.dense(slice(None)), found.known(slice(None))
    if known is None:
        known = np.broadcast_to(found.annotated[:, None], true.shape)
    assert true[0].tolist() == [False] * 4 + [True] and known[0].all()  # the other row stays as it was
    return "".join("+" if t else "-" if k else "?" for t, k in zip(true[1], known[1], strict=True))


def test_an_unannotated_facet_knows_only_what_was_decided() -> None:
    assert state("") == "?????"
    assert state("", ("b", "accepted")) == "++???"
    assert state("", ("b", "rejected")) == "?--??"
    assert state("", ("c", "added"), ("e", "rejected")) == "+++?-"


def test_an_annotated_facet_is_corrected_and_its_rest_stays_false() -> None:
    assert state("a | d") == "+--+-"
    assert state("a | d", ("c", "accepted")) == "++++-"
    assert state("a | d", ("d", "rejected")) == "+----"
    assert state("a | d $ e", ("a", "rejected")) == "----+"


def test_a_record_whose_tags_were_all_rejected_says_nothing_about_the_others() -> None:
    assert state("a | d", ("a", "rejected")) == "----?"


def test_the_later_decision_counts() -> None:
    assert state("", ("c", "accepted"), ("b", "rejected")) == "+--??"
    assert state("", ("a", "rejected"), ("b", "accepted")) == "++--?"


def test_unknown_tags_change_nothing() -> None:
    assert state("", ("zinc", "accepted")) == "?????"


verdicts = st.lists(
    st.tuples(st.sampled_from(TAGS.tags), st.sampled_from(["accepted", "added", "rejected"])), max_size=6
)


@given(st.sampled_from(["", "a | b", "e", "a | d $ e"]), verdicts)
def test_any_decisions_agree_with_one_tag_at_a_time(annotation: str, decided: list[tuple[str, str]]) -> None:
    words: dict[str, bool] = {}
    for tag, verdict in decided:
        i = TAGS.index[tag]
        for other, name in enumerate(TAGS.tags):
            if verdict == "rejected" and i in TAGS.ancestors[other]:
                words[name] = False
            elif verdict != "rejected" and other in TAGS.ancestors[i]:
                words[name] = True
    annotated = {"": [], "a | b": ["a", "b"], "e": ["e"], "a | d $ e": ["a", "d", "e"]}[annotation]
    stays = [tag for tag in annotated if words.get(tag, True)]
    expected = "".join(
        ("+" if words[tag] else "-") if tag in words else "+" if tag in stays else "-" if stays else "?"
        for tag in TAGS.tags
    )
    assert state(annotation, *decided) == expected


def test_rows_are_taken_with_what_is_known_of_them() -> None:
    targets = TAGS.encode(pd.Series(["e", "", "a"]))
    found = with_decisions(targets, TAGS, {1: [decision("b", "rejected")]}).take(np.array([1, 2]))
    assert found.annotated.tolist() == [True, True]
    known = found.known(slice(None))
    assert known is not None
    assert known.tolist() == [[False, True, True, False, False], [True] * 5]
