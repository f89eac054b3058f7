"""Lists of contentious terms: what is read from files, and which names they are found in."""

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eufcc_cli.core.errors import DataError
from eufcc_cli.core.files import Root
from eufcc_cli.core.taxonomy.hierarchy import build_trees
from eufcc_cli.core.taxonomy.lint import lint
from eufcc_cli.core.taxonomy.matching.flagged_terms import Flag, FlaggedTerm, FlaggedTerms, read_flagged_terms
from eufcc_cli.core.taxonomy.names import Names, glossary_trees, names_of

# In the shape of the DE-BIAS vocabulary (https://pro.europeana.eu/page/the-de-bias-vocabulary).
DEBIAS = """
@prefix d: <http://data.europa.eu/c4p/data/> . @prefix o: <http://data.europa.eu/c4p/ontology#> .
@prefix skos: <http://www.w3.org/2004/02/skos/core#> . @prefix xl: <http://www.w3.org/2008/05/skos-xl#> .
@prefix dct: <http://purl.org/dc/terms/> . @prefix rdf: <http://www.w3.org/1999/02/22-rdf-syntax-ns#> .
d:c_1_en a skos:Concept ; dct:title "Tribe"@en ; dct:description "Says little about a people."@en ;
    o:hasContentiousTerm d:t_1_en ; o:hasSuggestedTerm d:g_1_en ; skos:inScheme d:0001 .
d:t_1_en a o:ContentiousTerm ; xl:literalForm "Tribe"@en ; o:hasSuggestionNote d:s_1 .
d:g_1_en a o:SuggestedTerm ; xl:literalForm "community"@en .
d:s_1 rdf:value "Name the people."@en, "Nenn das Volk."@de .
d:s_2 rdf:value "Ask them."@en ; o:suggestionNoteFor d:t_1_en .
d:cat_1 a skos:Concept ; xl:prefLabel d:label . d:label xl:literalForm "Ethnicity"@en .
d:0001 a skos:ConceptScheme ; dct:title "A vocabulary"@en .
"""
SKOS = """
@prefix skos: <http://www.w3.org/2004/02/skos/core#> .
<urn:1> a skos:Concept ; skos:prefLabel "Zigeuner"@de, "gypsy"@en ; skos:altLabel "gipsy"@en-GB ;
    skos:scopeNote "Better Roma."@en, "Besser Roma."@de .
<urn:s> a skos:ConceptScheme ; skos:prefLabel "vase"@en .
"""


def test_csv_as_spreadsheets_write_it(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text(
        "\ufeffTerm;Language;Note;Source\r\nTribe;EN;'Says; little';x\r\nmestís;;\r\n;;\r\n", "utf-8"
    )
    assert read_flagged_terms(path).terms == [
        FlaggedTerm("Tribe", "en", "'Says"), FlaggedTerm("mestís", "", "")
    ]  # fmt: skip


def test_only_what_de_bias_calls_contentious(tmp_path: Path) -> None:
    path = tmp_path / "DE-BIAS_vocabulary.ttl"
    path.write_text(DEBIAS)
    assert read_flagged_terms(path).terms == [
        FlaggedTerm("Tribe", "en", "Says little about a people. Name the people. Ask them.")
    ]


def test_every_label_of_a_skos_concept(tmp_path: Path) -> None:
    from rdflib import Graph

    path, xml = tmp_path / "list.ttl", tmp_path / "list"
    path.write_text(SKOS)
    xml.write_text(Graph().parse(data=SKOS, format="turtle").serialize(format="xml"))
    for file in (path, xml):
        assert set(read_flagged_terms(file).terms) == {
            FlaggedTerm("Zigeuner", "de", "Besser Roma."),
            FlaggedTerm("gypsy", "en", "Better Roma."),
            FlaggedTerm("gipsy", "en-gb", "Better Roma."),
        }


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "word,note\nx,y\n", "no column `term`, but word, note"),
        ("a.csv", "term\n", "no term in it"),
        ("a.csv", b"term\n\xff\xfe\n", "a.csv"),
        ("a.ttl", "<urn:1> nothing", "a.ttl"),
        ("a.xml", "<?xml version='1.0'?><rdf:RDF", "not well-formed"),
        ("a.xml", "<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>", "declares XML entities"),
        ("gone.csv", None, "No such file"),
    ],
)
def test_files_that_are_no_list(tmp_path: Path, name: str, content: str | bytes | None, message: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(DataError, match=message) as caught:
        read_flagged_terms(path)
    assert "flag_terms" in str(caught.value)
    assert caught.value.hint


def test_whole_words_in_their_language() -> None:
    flagged = FlaggedTerms([FlaggedTerm("Mohr", "de", ""), FlaggedTerm("primitive art", "", "why")])
    for language, text, found in (
        ("de", "MOHREN", True),
        ("de-AT", "Kopf eines Mohren", True),
        ("de", "Mohrrübe", False),
        ("ca", "mohr", False),
        ("", "mohr", True),
        ("en", "Primitive  Arts, of the sea", True),
        ("en", "primitive", False),
    ):
        assert bool(flagged.of_names([(language, text)])) is found, text
    assert flagged.of_names([]) == []


word = st.text("abcdefghijklmnopqrstuvwxyzàéïöüñç", min_size=4, max_size=9)


@given(st.lists(word, min_size=1, max_size=3), st.lists(word, max_size=2), st.sampled_from(["en", "ca", ""]))
def test_a_term_is_found_wherever_it_stands(term: list[str], around: list[str], language: str) -> None:
    text = " ".join([*around, *term, *around]).upper()
    wanted = FlaggedTerm(" ".join(term), language, "n")
    assert [flag[:3] for flag in FlaggedTerms([wanted]).of_names([(language, text)])] == [tuple(wanted)]


def test_published_tags_by_their_names_in_every_language(tmp_path: Path) -> None:
    """A list in one language flags Catalan tags by their names; the tag itself counts as Catalan."""
    names = names_of(Root(tmp_path), glossary_trees())
    flagged = FlaggedTerms([FlaggedTerm("Wood", "en", ""), FlaggedTerm("fusta", "fr", "false friend")])
    assert flagged.of_tag(names, "materials", "fusta") == [Flag("Wood", "en", "", "wood")]
    assert FlaggedTerms([FlaggedTerm("FÚSTA", "ca", "")]).of_tag(names, "materials", "fusta")
    assert FlaggedTerms([FlaggedTerm("chair", "fr", "")]).of_tag(Names(), "objectTypes", "Chair")


def test_lint_tells_them_with_the_note() -> None:
    table = pd.DataFrame({"idInSource": ["1"], "materials.hierarchy": ["fusta | noguera"]})
    trees = build_trees([table], ["materials"])
    names = Names()
    names.add("materials", "fusta", "en", "wood")
    found = lint({}, trees, {}, flagged=FlaggedTerms([FlaggedTerm("wood", "en", "Say tree.")]), names=names)
    (one,) = [finding for finding in found if finding.kind == "contentious"]
    assert one.message == "fusta (1), by its name wood: wood: Say tree."
    assert one.tags == ("fusta",)
