"""Names of tags, and the glossary of EUFCC-340K."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eufcc_cli.core.errors import DataError
from eufcc_cli.core.files import Root
from eufcc_cli.core.taxonomy.hierarchy import Hierarchy, read_trees
from eufcc_cli.core.taxonomy.matching.words import plain
from eufcc_cli.core.taxonomy.names import (
    LANGUAGES,
    Names,
    glossary,
    glossary_trees,
    names_of,
    read_names,
    write_names,
)
from eufcc_cli.core.taxonomy.search import find
from eufcc_cli.core.taxonomy.tables.annotations import FACETS


def test_every_published_tag_has_a_name_in_every_language(shared_data: Path) -> None:
    trees = read_trees((shared_data / "eufcc-340k" / "labels" / f"{facet}.txt") for facet in FACETS)
    assert {facet: list(tree) for facet, tree in trees.items()} == {
        facet: list(glossary()[facet]) for facet in trees
    }
    assert sum(map(len, glossary().values())) == 1203
    for facet, tags in glossary().items():
        for tag, names in tags.items():
            assert set(names) == set(LANGUAGES), (facet, tag)
            assert all(text == text.strip() and text for texts in names.values() for text in texts)
            siblings = trees[facet].children(path[-2] if len(path := trees[facet].path(tag)) > 1 else None)
            same = [other for other in siblings if tags[other]["en"][0] == names["en"][0]]
            assert same == [tag], f"{facet}: {same} share an English name"


def test_names_of_a_root_are_its_own_then_the_glossary_s(tmp_path: Path) -> None:
    root = Root(tmp_path)
    trees = {"materials": Hierarchy.from_annotations("materials", {"metall | bronze $ stone | fusta": 1})}
    write_names(root.names, Names({"materials": {"metall": {"en": ["metalwork"]}}}))
    names = names_of(root, trees)
    assert list(names.every("materials", "metall"))[:2] == [("en", "metalwork"), ("en", "metal")]
    assert names.of("materials", "bronze", "de") == "Bronze"
    # No published tag is called stone: this fusta is a word of another language.
    assert list(names.every("materials", "fusta")) == []
    assert names.of("materials", "metall", "ca") == "metall"


def test_a_language_without_names_is_told(caplog: pytest.LogCaptureFixture) -> None:
    names = Names({"materials": {"fusta": {"nl": ["hout"]}}})
    names.warn_without("nl")
    names.warn_without(None)
    assert not caplog.messages
    names.warn_without("en")
    assert caplog.messages == ["no tag has a name in the language en: the tags themselves are shown"]


EVERY_NAME = [
    (facet, tag, text)
    for facet, tags in glossary().items()
    for tag, names in tags.items()
    for texts in names.values()
    for text in texts
]


@settings(max_examples=15)
@given(st.sampled_from(EVERY_NAME), st.sampled_from([str.upper, str.title, plain, "  {}  ".format]))
def test_any_name_in_any_language_finds_its_tag(
    found: tuple[str, str, str], written: Callable[[str], str]
) -> None:
    facet, tag, text = found
    trees = {facet: glossary_trees()[facet]}
    names = Names({facet: {tag: dict(of) for tag, of in glossary()[facet].items()}})
    assert tag in [place.tag for place in find(trees, written(text), names)]


text = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=8)


@given(
    st.dictionaries(
        text, st.dictionaries(st.sampled_from(LANGUAGES), st.lists(text, min_size=1, unique=True))
    )
)
def test_names_survive_their_file(tmp_path_factory: pytest.TempPathFactory, tags: dict) -> None:
    path = tmp_path_factory.mktemp("names") / "names.csv"
    names = Names()
    for tag, languages in tags.items():
        for language, texts in languages.items():
            for each in texts:
                names.add("materials", tag, language, each)
    write_names(path, names)
    once = read_names(path)
    write_names(path, once)
    assert read_names(path).facets == once.facets
    assert all(any(once.every("materials", tag)) for tag in once.facets.get("materials", {}))


def test_a_file_with_other_columns_is_named(tmp_path: Path) -> None:
    path = tmp_path / "names.csv"
    path.write_text("tag,name\nfusta,wood\n")
    with pytest.raises(DataError, match=r"names.csv: needs the columns .*, and has tag, name"):
        read_names(path)
