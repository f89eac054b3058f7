"""AAT: what an answer says, where a concept belongs, what it is called."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eufcc_cli.core.errors import DataError
from eufcc_cli.core.harvest.aat import Node, Placement, Roots, aat_id, language_order, query, read_answer
from eufcc_cli.core.taxonomy.tables.annotations import FACETS
from tests.servers import catalogue

NODES = read_answer(catalogue.sparql_answer(list(catalogue.NODES)), catalogue.NODES)
ROOTS = Roots.read()


def placed(concept: str, *facets: str) -> str:
    """Facet and path as English names, or the reason why there is none."""
    placement = ROOTS.place(concept, NODES, facets or FACETS)
    if isinstance(placement, str):
        return placement
    return f"{placement.facet}: {' | '.join(NODES[aat].labels['en'][0] for aat in placement.path)}"


@pytest.mark.parametrize(
    ("concept", "expected"),
    [
        ("300010957", "materials: metal | copper alloy | bronze"),
        ("300010900", "materials: metal"),
        ("300011914", "materials: plant material | wood (plant material)"),
        ("300014109", "materials: paper (fiber product)"),
        ("300041365", "objectTypes: prints (visual works) | etchings (prints)"),
        ("300132254", "objectTypes: containers (receptacles) | vases"),
        ("300054419", "classifications: numismatics"),
        ("300015637", "subjects: portraits"),
        ("300010358", "too general: a root of its facet"),
        ("300021147", "no root of objectTypes or materials or classifications or subjects above it"),
        ("300900001", "its broader concepts form a loop"),
        ("300999999", "AAT does not know it"),
    ],
)
def test_a_concept_has_its_place_or_a_reason_why_not(concept: str, expected: str) -> None:
    assert placed(concept) == expected


def test_the_facets_asked_for_decide_where_a_concept_may_stand() -> None:
    assert placed("300015637", "objectTypes") == "objectTypes: portraits"
    assert placed("300010957", "objectTypes") == "no root of objectTypes above it"
    assert placed("300054419", "subjects", "classifications") == "classifications: numismatics"


def test_the_list_of_roots_is_documented_and_speaks_of_all_facets() -> None:
    content = json.loads((Path(__file__).parents[3] / "eufcc_cli/core/harvest/aat_roots.json").read_text())
    assert content["about"]
    assert set(content["facets"]) == set(FACETS)
    listed = [root for roots in content["facets"].values() for root in roots]
    assert len({root["id"] for root in listed}) == len(listed)
    for root in listed:
        assert root["label"]
        assert aat_id(f"http://vocab.getty.edu/aat/{root['id']}") == root["id"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[]", "not a list of roots"),
        ("{", "not a list of roots"),
        ('{"facets": {"materials": ["300010900"]}}', "not a list of roots"),
        ('{"facets": {"colours": []}}', "unknown facet 'colours'"),
        ('{"facets": {"materials": [{"id": "metal", "starts": "here"}]}}', "metal is not an AAT id"),
        (
            '{"facets": {"materials": [{"id": "300010900", "starts": "there"}]}}',
            "300010900 starts neither here nor below but there",
        ),
    ],
)
def test_an_unusable_list_of_roots_is_told(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "roots.json"
    file.write_text(text)
    with pytest.raises(DataError) as caught:
        Roots.read(file)
    assert str(caught.value) == f"`roots` {file}: {reason}"


def test_a_missing_list_of_roots_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        Roots.read(tmp_path / "roots.json")


def test_a_query_asks_for_every_id_once_with_its_prefix() -> None:
    assert "VALUES ?concept { aat:300010957 aat:300011029 }" in query(["300010957", "300011029"])


@pytest.mark.parametrize("answer", [{}, {"results": []}, {"results": {"bindings": [{"concept": "x"}]}}])
def test_an_answer_of_another_shape_is_told(answer: dict[str, object]) -> None:
    with pytest.raises(DataError, match="no readable results"):
        read_answer(answer, ["300010957"])


def test_two_preferred_labels_are_kept_in_an_order_of_their_own() -> None:
    assert NODES["300010957"].labels["en"] == ["bronze", "bronze (metal)"]


@given(
    st.dictionaries(
        st.integers(0, 12), st.tuples(st.integers(0, 12), st.sampled_from(["Concept", "GuideTerm"]))
    )
)
def test_places_agree_with_a_literal_reading_of_the_rule(tree: dict[int, tuple[int, str]]) -> None:
    """Random parents, loops included; 0 is a root that starts here, 1 one that starts below."""
    nodes = {str(i): Node(kind, str(parent) if parent != i else None) for i, (parent, kind) in tree.items()}
    roots = Roots({"materials": {"0": True, "1": False}})
    for concept in map(str, range(13)):
        chain: list[str] = []
        current: str | None = concept
        while current is not None and current not in chain:
            chain.append(current)
            if current in ("0", "1"):
                break
            current = nodes[current].parent if current in nodes else None
        names = [aat for aat in chain if aat != "1" and aat in nodes and nodes[aat].kind == "Concept"]
        outcome = roots.place(concept, nodes, ["materials"])
        if concept in nodes and chain[-1] in ("0", "1") and names:
            assert outcome == Placement("materials", tuple(reversed(names)))
        else:
            assert isinstance(outcome, str)


@given(st.lists(st.from_regex(r"[a-z]{2}(-[a-z]{2,4})?", fullmatch=True), unique=True))
def test_languages_come_each_once_the_wanted_first(codes: list[str]) -> None:
    order = language_order("ca", codes)
    assert sorted(order) == sorted(codes)
    ranks = [0 if code == "ca" else 1 if code.startswith("ca-") else 2 for code in order]
    assert ranks == sorted(ranks)
    rest = [code for code in order if not (code == "ca" or code.startswith("ca-"))]
    english = [code == "en" or code.startswith("en-") for code in rest]
    assert english == sorted(english, reverse=True)
