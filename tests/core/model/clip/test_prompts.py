import logging
from pathlib import Path

import numpy as np
import pytest

from eufcc_cli.core.errors import DataError
from eufcc_cli.core.files import Root
from eufcc_cli.core.model.clip.prompts import (
    BARE,
    PROMPTS,
    Captions,
    TextOptions,
    Wording,
    english_names,
    prompts_of,
    read_names,
    read_prompts,
    text_names,
)
from eufcc_cli.core.model.methods import METHODS
from eufcc_cli.core.taxonomy.names import Names, write_names
from eufcc_cli.core.taxonomy.tables.annotations import FACETS
from eufcc_cli.core.taxonomy.vocabulary import FacetVocabulary, Targets, Vocabulary

VOCABULARY = Vocabulary(
    {
        "objectTypes": FacetVocabulary(("vessel", "vase", "paper"), (-1, 0, -1)),
        "materials": FacetVocabulary(("metal", "copper alloy", "bronze", "paper"), (-1, 0, 1, -1)),
    }
)


def targets(vocabulary, *rows):
    """Targets from {facet: names} rows."""
    made = {}
    for facet, tags in vocabulary.facets.items():
        indices = [sorted(tags.index[name] for name in row.get(facet, ())) for row in rows]
        lengths = np.array([len(row) for row in indices])
        made[facet] = Targets(
            np.concatenate([[0], np.cumsum(lengths)]),
            np.array([i for row in indices for i in row], dtype=np.int64),
            lengths > 0,
            {},
            len(tags),
        )
    return made


ROWS = targets(
    VOCABULARY,
    {"objectTypes": ("vase", "vessel"), "materials": ("bronze", "metal", "copper alloy")},
    {"materials": ("paper",)},
    {"objectTypes": ("paper",), "materials": ("paper",)},
)


def test_every_facet_has_a_prompt_with_a_place_for_the_tag():
    assert set(PROMPTS) == set(BARE) == set(FACETS)
    assert all("{tag}" in prompt for prompts in PROMPTS.values() for prompt in prompts)


@pytest.mark.parametrize(
    ("phrase", "expected"),
    [
        ("name", "bronze"),
        ("path", "metal, copper alloy, bronze"),
        ("parent", "bronze (copper alloy)"),
    ],
)
def test_a_tag_is_called_by_name_path_or_parent(phrase, expected):
    assert Wording(phrase=phrase).phrases("materials", VOCABULARY.facets["materials"])[2] == expected
    assert Wording(phrase=phrase).phrases("materials", VOCABULARY.facets["materials"])[3] == "paper"


def test_display_names_stand_on_the_whole_path():
    names = {"materials": {"metal": "Metall", "bronze": "Bronze {tag}"}}
    wording = Wording(phrase="path", names=names)
    assert wording.texts(VOCABULARY)["materials"][2] == (
        "an image of an object made of Metall, copper alloy, Bronze {tag}",
    )


def test_several_prompts_give_several_texts():
    wording = Wording(prompts={"materials": ("{tag}", "made of {tag} or {tag}")})
    texts = wording.texts(VOCABULARY)
    assert texts["materials"][3] == ("paper", "made of paper or paper")
    assert texts["objectTypes"][1] == ("vase",)


def test_a_wording_survives_its_json():
    wording = Wording({"materials": ("a {tag}", "the {tag}")}, "parent", {"materials": {"metal": "Metall"}})
    again = Wording.from_json(wording.to_json())
    assert again.texts(VOCABULARY) == wording.texts(VOCABULARY)
    assert again.to_json() == wording.to_json()


def test_prompts_of_a_file_replace_those_of_the_facets_it_names(tmp_path):
    file = tmp_path / "prompts.toml"
    file.write_text('materials = ["made of {tag}", "{tag}"]\nsubjects = "it shows {tag}"\n')
    assert read_prompts(file) == {"materials": ("made of {tag}", "{tag}"), "subjects": ("it shows {tag}",)}
    texts = TextOptions(prompts=file).wording(Wording(), VOCABULARY, Root(Path())).texts(VOCABULARY)
    assert texts["materials"][0] == ("made of metal", "metal")
    assert texts["objectTypes"][1] == ("an image of vase",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('materials = "made of bronze"', r"materials: 'made of bronze' has no \{tag\}"),
        ("materials = 3", r"3 has no \{tag\}"),
        ("materials = []", "no prompt"),
        ('colours = "{tag}"', "unknown facet 'colours'"),
        ("materials = ", "prompts.toml"),
        (None, "No such file"),
    ],
)
def test_prompts_that_will_not_do_are_refused(tmp_path, content, message):
    file = tmp_path / "prompts.toml"
    if content is not None:
        file.write_text(content)
    with pytest.raises(DataError, match=message) as caught:
        read_prompts(file)
    assert caught.value.hint


def test_names_are_read_by_tag_and_missing_ones_counted(tmp_path, caplog):
    file = tmp_path / "names.csv"
    file.write_text("\ufefftag,name,note\nmetal,Metall,x\npaper, Papier ,\nbronze,,\nunheard of,nobody,\n")
    with caplog.at_level(logging.WARNING, "eufcc"):
        names = read_names(file, VOCABULARY)
    assert names == {"objectTypes": {"paper": "Papier"}, "materials": {"metal": "Metall", "paper": "Papier"}}
    (record,) = caplog.records
    assert "no name for 4 of 7 tags" in record.message and "vessel" in record.message


def test_names_may_differ_by_facet(tmp_path, caplog):
    file = tmp_path / "names.csv"
    file.write_text("facet,tag,name\nmaterials,paper,Papier\nobjectTypes,paper,Papierobjekt\n")
    names = read_names(file, VOCABULARY)
    assert names == {"objectTypes": {"paper": "Papierobjekt"}, "materials": {"paper": "Papier"}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"tag;name\n", "needs the columns tag, name, and has tag;name"),
        (b"", "and has nothing"),
        (b"tag,name\npaper,Papier\npaper,Karton\n", "line 3: paper has two names, Papier and Karton"),
        (b"tag,name\npaper,\xff\n", "names.csv"),
        (None, "No such file"),
    ],
)
def test_names_that_will_not_do_are_refused(tmp_path, content, message):
    file = tmp_path / "names.csv"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_names(file, VOCABULARY)
    assert caught.value.hint


def test_an_unknown_phrase_is_refused():
    with pytest.raises(DataError, match="`text` title"):
        TextOptions(phrase="title").wording(Wording(), VOCABULARY, Root(Path()))


def test_options_say_whether_they_say_anything(tmp_path):
    assert not TextOptions()
    assert TextOptions(phrase="name")
    assert TextOptions(added=("drone",))


def test_added_tags_stand_after_all_others_in_every_facet_or_in_one():
    added = TextOptions(added=("drone", "materials:plastic", "paper", "model 1:10")).vocabulary(VOCABULARY)
    assert added.facets["objectTypes"].tags == ("vessel", "vase", "paper", "drone", "model 1:10")
    assert added.facets["materials"].tags[4:] == ("drone", "plastic", "model 1:10")
    assert added.facets["materials"].parents[4:] == (-1, -1, -1)
    assert TextOptions().vocabulary(VOCABULARY).digest == VOCABULARY.digest
    with pytest.raises(DataError, match="`add_tag`"):
        TextOptions(added=("materials:",)).vocabulary(VOCABULARY)


def test_all_tags_go_facet_by_facet_from_general_to_specific():
    captions = Captions(METHODS["clip-all-tags"](), Wording(BARE), VOCABULARY, ROWS)
    assert captions.of(np.array([0, 1, 2]), np.zeros((3, 2))) == [
        "vessel, vase, metal, copper alloy, bronze",
        "paper",
        "paper",  # of both facets, said once
    ]


def test_one_tag_is_drawn_uniformly_over_all_facets():
    captions = Captions(METHODS["clip-1-tag"](), Wording(BARE), VOCABULARY, ROWS)
    draws = np.stack([np.linspace(0, 1, 500, endpoint=False), np.zeros(500)], axis=1)
    found = captions.of(np.zeros(500, np.int64), draws)
    names, counts = np.unique(found, return_counts=True)
    assert dict(zip(names, counts, strict=True)) == dict.fromkeys(
        ("bronze", "copper alloy", "metal", "vase", "vessel"), 100
    )


def test_one_tag_is_set_into_a_prompt_of_its_own_facet():
    wording = Wording({**PROMPTS, "materials": ("of {tag}", "with {tag}")}, phrase="parent")
    captions = Captions(METHODS["clip-1-tag-prompt"](), wording, VOCABULARY, ROWS)
    draws = np.array([[0.0, 0.0], [0.99, 0.0], [0.99, 0.5], [0.39, 0.9]])
    assert captions.of(np.zeros(4, np.int64), draws) == [
        "an image of vessel",
        "of bronze (copper alloy)",
        "with bronze (copper alloy)",
        "an image of vase (vessel)",
    ]


def test_tags_are_scored_by_the_texts_that_training_has_shown():
    prompted = {name: method.prompted for name, method in METHODS.items() if method.reads_texts}
    assert prompted == {"clip-1-tag": False, "clip-all-tags": False, "clip-1-tag-prompt": True}


CATALAN = Vocabulary(
    {"materials": FacetVocabulary(("material vegetal", "fusta", "unobtainium"), (-1, 0, -1))}
)


def test_published_tags_are_called_by_their_names(tmp_path):
    root = Root(tmp_path)
    assert english_names(CATALAN, root) == {
        "materials": {"material vegetal": "plant material", "fusta": "wood"}
    }
    assert text_names("de", CATALAN, root)["materials"]["fusta"] == "Holz"
    assert text_names("tags", CATALAN, root) == {}
    with pytest.raises(DataError, match="`names` nl: no tag has a name in this language"):
        text_names("nl", CATALAN, root)
    write_names(root.names, Names({"materials": {"fusta": {"nl": ["hout"]}}}))
    assert text_names("nl", CATALAN, root) == {"materials": {"fusta": "hout"}}
    assert english_names(Vocabulary({"materials": FacetVocabulary(("stone",), (-1,))}), root) == {}


@pytest.mark.parametrize("language", ["en", "es", "fr", "de", "ca"])
def test_names_of_a_language_stand_in_its_prompts(tmp_path, language):
    root = Root(tmp_path)
    wording = TextOptions(names=language).wording(Wording(), CATALAN, root)
    (text,) = wording.texts(CATALAN)["materials"][CATALAN.facets["materials"].index["fusta"]]
    words = {
        "en": "an image of an object made of wood",
        "es": "una imagen de un objeto hecho de madera",
        "fr": "une image d'un objet fait de bois",
        "de": "ein Bild eines Gegenstands aus Holz",
        "ca": "una imatge d'un objecte fet de fusta",
    }
    assert text == words[language]
    own = TextOptions(names=language).wording(Wording({"materials": ("{tag}",)}), CATALAN, root)
    assert own.prompts == {"materials": ("{tag}",)}  # those of a training stay
    assert set(prompts_of(language)) == set(FACETS)
