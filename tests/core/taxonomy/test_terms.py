"""Known terms in free text: every name of the glossary, qualifiers, other languages, label files."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eufcc_cli.core.files import Root
from eufcc_cli.core.taxonomy.matching.terms import Term, TermMatcher
from eufcc_cli.core.taxonomy.matching.words import inflected, language_of, plain
from eufcc_cli.core.taxonomy.names import LANGUAGES, glossary, glossary_paths
from eufcc_cli.core.taxonomy.tables.annotations import FACETS

_WORDS = """bronze wood glass with and or not of (?) , ; - gold leather imitation turquoise lace bobbin
colored alloy copper faience blue Rubens 1913 silver thread d'argent de coure aliatge Holz"""
NOWHERE = Root(Path("/there/is/no/such/root"))


@pytest.fixture(scope="module")
def english() -> TermMatcher:
    return TermMatcher.for_root(NOWHERE, FACETS, "en")


def found(matcher: TermMatcher, text: str, facet: str = "materials") -> list[str]:
    return [match.path[-1] for match in matcher.match(facet, text) if match.path]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_name_of_the_glossary_finds_its_tag(language: str) -> None:
    """In every language, with the tags in that language or in English."""
    for tags_in in (language, "en"):
        matcher = TermMatcher.for_root(NOWHERE, FACETS, language, tags_in=tags_in)
        for facet in FACETS:
            for tag, path in glossary_paths(facet, tags_in).items():
                for name in glossary()[facet][tag][language]:
                    assert [m.path for m in matcher.match(facet, name)] == [path], (facet, tag, name)


@given(st.data())
def test_case_accents_and_order_of_words_do_not_matter(english: TermMatcher, data: st.DataObject) -> None:
    facet = data.draw(st.sampled_from(FACETS))
    tag, path = data.draw(st.sampled_from(sorted(glossary_paths(facet, "en").items())))
    words = re.split(r"[\s]+", glossary()[facet][tag]["en"][0])
    text = " ".join(data.draw(st.permutations(words)))
    text = data.draw(st.sampled_from([text, text.upper(), plain(text), f"  {text} ", text.title()]))
    assert [match.path for match in english.match(facet, text)] == [path]


@given(st.data())
def test_nothing_is_matched_that_the_text_does_not_name(english: TermMatcher, data: st.DataObject) -> None:
    """Whatever the text: each match is a stretch of it, and each of the term's words is in that stretch."""
    words = st.sampled_from(
        [
            "bronze",
            "wood",
            "glass",
            "with",
            "and",
            "or",
            "not",
            "of",
            "(?)",
            ",",
            ";",
            "-",
            "gold",
            "leather",
            "imitation",
            "turquoise",
            "lace",
            "bobbin",
            "colored",
            "alloy",
            "copper",
            "faience",
            "blue",
            "Rubens",
            "1913",
            "or",
            "silver",
            "thread",
            "d'argent",
            "de",
            "coure",
            "aliatge",
            "Holz",
        ]
    )
    text = data.draw(st.lists(words, max_size=9).map(" ".join))
    for match in english.match("materials", text):
        assert match.text in text
        if match.path:
            tag = next(tag for tag, path in glossary_paths("materials", "en").items() if path == match.path)
            names = [name for texts in glossary()["materials"][tag].values() for name in texts]
            stretch = set(re.findall(r"\w+", plain(match.text)))
            # The spellings are those of words.toml: "coloured glass".
            assert any(
                all(
                    {plain(w), plain(w).replace("color", "colour"), *inflected(plain(w), "en")} & stretch
                    for w in re.findall(r"\w+", name)
                    if len(w) > 2
                )
                for name in names
            ), (text, match)


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("bronze with gold inlay", ["bronze", "gold"]),
        ("Copper alloy with gilding", ["copper alloy"]),
        ("alloys of copper", ["copper alloy"]),
        ("lace, bobbin: linen", ["bobbin lace", "linen"]),
        ("glass, lead", ["glass", "lead"]),
        ("Wood, bone, mother-of-pearl, and wire", ["wood", "bone", "mother of pearl", "wire"]),
        ("coloured glass and wooden beads", ["colored glass", "wood"]),
        ("aluminium", ["aluminum"]),
        ("gold\nsilver", ["gold", "silver"]),
        # Qualifiers
        ("imitation leather", ["imitation leather"]),
        ("imitation gold", []),
        ("gold-coloured silk", ["silk"]),
        ("not wood", []),
        ("not wood or bone, but glass", ["glass"]),
        ("bronze without gold", ["bronze"]),
        ("silver (?)", []),
        ("black copper (?), hollow cast bronze", ["bronze"]),
        ("wood (copper, turquoise, amber?) and paint", ["wood", "copper", "turquoise", "paint"]),
        ("probably ebony; ivory", ["ivory"]),
        ("ebony, probably; ivory", ["ivory"]),
        ("prob. ebony on bone", ["bone"]),
        ("ivory or bone?", []),
        ("?gold, silver", ["silver"]),
        ("amber (imitation), gold", ["gold"]),
        ("neither gold nor silver", []),
        ("plaster cast after a bronze original", ["plaster"]),
        ("clay mould for glass", ["clay"]),
        ("horn-shaped glass", ["glass"]),
        ("wood-like plastic", ["plastic"]),
        ("wood, gold missing", ["wood"]),
        ("glass, 1850 or after", ["glass"]),
        ("bronze No. 5, silver", ["bronze", "silver"]),
        # Colours and expressions
        ("turquoise faience", ["faience"]),
        ("gold and turquoise", ["gold", "turquoise"]),
        ("gold tone metal", ["metal"]),
        ("lost-wax cast bronze", ["bronze"]),
        ("graphite on ivory laid paper", ["graphite", "paper"]),
        ("wax with dark amber varnish", ["wax"]),
        ("rock crystal", []),
        ("ink (iron gall) on paper", ["ink", "paper"]),
        # Words that mean another thing in another language
        ("bone or stucco", ["bone"]),
        ("brass", ["brass"]),
        ("boxwood", ["boxwood"]),
        ("", []),
        ("???", []),
    ],
)
def test_reading_of_english_texts(english: TermMatcher, text: str, terms: list[str]) -> None:
    assert found(english, text) == terms


@pytest.mark.parametrize(
    ("language", "text", "terms"),
    [
        ("ca", "ulls d'or i fusta daurada, sense plata", ["or", "fusta"]),
        ("fr", "bronze et or, imitation d'ivoire", ["bronze", "or"]),
        ("fr", "couleur or", []),
        ("fr", "peut-être bronze", []),
        ("fr", "cuir artificiel; plastique ton ivoire; or", ["plastique", "or"]),
        ("fr", "verre d'après un original en bois", ["verre"]),
        ("de", "evtl. Silber; Gold", ["Gold"]),
        ("es", "tal vez oro; plata", ["plata"]),
        ("es", "piedra caliza", ["caliza"]),
        ("de", "Bronze, nicht Gold; Hölzer", ["Bronze", "Holz"]),
        ("de", "Bronze mit Einlagen aus Gold, vermutlich Silber", ["Bronze", "Gold"]),
        ("es", "maderas con plata (¿?)", ["madera"]),
    ],
)
def test_reading_of_other_languages(language: str, text: str, terms: list[str]) -> None:
    assert found(TermMatcher.for_root(NOWHERE, ["materials"], language), text) == terms


def test_a_text_in_another_language_is_a_synonym(english: TermMatcher) -> None:
    [match] = english.match("materials", "aliatge de coure")
    assert (match.path, match.how) == (("metal", "nonferrous metal", "copper alloy"), "synonym")


def test_words_that_are_no_term_are_listed(english: TermMatcher) -> None:
    matches = english.match("materials", "3 gessoed boards of dark wood")
    assert [(match.text, match.how) for match in matches] == [
        ("gessoed", "none"),
        ("boards", "none"),
        ("wood", "word"),
    ]


def test_label_files_say_where_a_term_stands(tmp_path: Path) -> None:
    root = Root(tmp_path)
    root.labels.mkdir()
    # Catalan tags, the published vocabulary in part, at a place of their own.
    root.label_file("materials").write_text(
        "Root\n└── metalls\n    ├── bronze\n    └── or\n", encoding="utf-8"
    )
    matcher = TermMatcher.for_root(root, ["materials"], "en")
    assert [m.path for m in matcher.match("materials", "bronze with gold") if m.path] == [
        ("metalls", "bronze"),
        ("metalls", "or"),
    ]
    # The glossary's other terms are known as well, in the language of the labels.
    assert found(matcher, "brass") == ["llautó"]


def test_a_vocabulary_of_its_own_is_closed(tmp_path: Path) -> None:
    root = Root(tmp_path)
    root.labels.mkdir()
    root.label_file("materials").write_text("Root\n└── hout\n    └── eikenhout\n", encoding="utf-8")
    root.names.write_text("facet,tag,language,name\nmaterials,eikenhout,en,oak\n", encoding="utf-8")
    matcher = TermMatcher.for_root(root, ["materials"], "nl")
    assert found(matcher, "eikenhout, brass") == ["eikenhout"]
    assert matcher.match("materials", "oak")[0].path == ("hout", "eikenhout")


def test_names_of_the_root_come_before_the_glossary(tmp_path: Path) -> None:
    root = Root(tmp_path)
    root.labels.mkdir()
    root.names.write_text("facet,tag,language,name\nmaterials,flint,en,fire rock\n", encoding="utf-8")
    assert found(TermMatcher.for_root(root, ["materials"], "en"), "rocks, fire") == ["flint"]


def test_own_terms_and_edits() -> None:
    matcher = TermMatcher({"materials": [Term(("stone",)), Term(("stone", "marble"))]}, "en")
    matcher.add_own("materials", "steatite")
    matcher.add_edits("materials", {"glazed steatite": (("stone", "glazed stone"),), "marble": ()})
    assert found(matcher, "Steatites") == ["steatite"]
    assert found(matcher, "green glazed steatite with marble") == ["glazed stone"]
    assert [match.how for match in matcher.match("materials", "marble")] == ["edited"]


def test_the_language_of_texts() -> None:
    names = {
        language: [name for tags in glossary()["materials"].values() for name in tags[language]]
        for language in LANGUAGES
    }
    for language, text in {
        "en": "oil on canvas",
        "ca": "fusta amb or",
        "es": "madera con oro",
        "fr": "bois et laiton",
        "de": "Holz mit Gold",
    }.items():
        assert language_of({text: 5}, names) == language
    for text in (
        "12 x 13",
        "olieverf op doek, papier, hout, glas, zilver, aardewerk, ijzer",  # Dutch
        "óleo sobre tela, papel, bronze, madeira, prata, vidro, mármore",  # Portuguese
    ):
        assert language_of({text: 4}, names) is None
