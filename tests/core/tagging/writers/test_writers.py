"""Each form of suggestions, read back by a reader of its own."""

import csv
import io
import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rdflib import Graph
from rich.console import Console

from eufcc_cli.core.errors import EufccError
from eufcc_cli.core.tagging.inputs import Input
from eufcc_cli.core.tagging.records import Contradiction
from eufcc_cli.core.tagging.selection import Suggestion
from eufcc_cli.core.tagging.tagger import Result
from eufcc_cli.core.tagging.writers.crowdheritage import CrowdHeritage
from eufcc_cli.core.tagging.writers.keywords.sidecar import Sidecars, creator
from eufcc_cli.core.tagging.writers.keywords.xmp import Terms
from eufcc_cli.core.tagging.writers.lines import Csv, Json, JsonLines, as_json, from_json, json_text
from eufcc_cli.core.tagging.writers.screen import Plain, bar, panel, percent, tree
from eufcc_cli.core.tagging.writers.table_columns import Additions
from eufcc_cli.core.tagging.writers.web_annotations import WebAnnotations
from eufcc_cli.core.tagging.writers.writer import Writer
from eufcc_cli.core.taxonomy.matching.flagged_terms import Flag
from eufcc_cli.core.taxonomy.names import Names

DIGEST = "ab" * 32
DATE = "2026-05-04T12:00:00Z"
BRONZE = Suggestion("bronze", ("metal", "copper alloy", "bronze"), 0.93)
METAL = Suggestion("metal", ("metal",), 0.98)
AMPERSAND = Suggestion('<a & "b">', ('<a & "b">',), 0.5)
GOOD = Result(
    Input("photos/a.jpg", Path("photos/a.jpg"), "file:///photos/a.jpg"),
    {"materials": [METAL, BRONZE], "objectTypes": []},
)
BROKEN = Result(Input("b.jpg", Path("b.jpg"), "file:///b.jpg"), {}, "not an image: empty file")
NOTHING = Result(Input("c.jpg", Path("c.jpg"), "file:///c.jpg"), {"materials": [], "objectTypes": []})
ROW = Input("d.jpg", Path("d.jpg"), "https://a.org/d.jpg", "/12/d", "http://data.europeana.eu/item/12/d", 0)
DOUBT = Result(
    ROW,
    {"materials": [], "objectTypes": [Suggestion("vase", ("vessel", "vase"), 0.7, "more specific")]},
    None,
    {"materials": [Contradiction("silk", ("textile", "silk"), 0.01, BRONZE)]},
)
RESULTS = [GOOD, BROKEN, NOTHING]


def whole(writer: Writer, results: list[Result]) -> str:
    texts = [text for result in results if (text := writer.text(result))]
    return writer.head + writer.separator.join(texts) + writer.tail


def test_lines_made_of_parts_are_those_of_the_encoder() -> None:
    named = Suggestion("Säbel", ("Waffe", "Säbel"), 1e-5, names=("arme", "sabre"))
    odd = Input('e "\\\n.jpg', Path("e"), "", "id", canvas="https://a.org/c", label="ö")
    more = [DOUBT, Result(odd, {'mate"rials': [AMPERSAND, named], "subjects": [BRONZE]})]
    for result in [*RESULTS, *more, *RESULTS]:
        expected = json.dumps(as_json(result, "m", DIGEST), ensure_ascii=False)
        assert json_text(result, "m", DIGEST) == expected


def test_json_lines() -> None:
    good, broken, nothing = map(json.loads, whole(JsonLines("demo"), RESULTS).splitlines())
    assert good == {
        "image": "photos/a.jpg",
        "model": "demo",
        "tags": {
            "materials": [
                {"tag": "metal", "path": ["metal"], "score": 0.98},
                {"tag": "bronze", "path": ["metal", "copper alloy", "bronze"], "score": 0.93},
            ],
            "objectTypes": [],
        },
    }
    assert broken == {"image": "b.jpg", "error": "not an image: empty file"}
    assert nothing == {"image": "c.jpg", "model": "demo", "tags": {"materials": [], "objectTypes": []}}


def test_json_is_one_array_of_the_same() -> None:
    lines = whole(JsonLines("demo"), RESULTS).splitlines()
    assert json.loads(whole(Json("demo"), RESULTS)) == [json.loads(line) for line in lines]
    assert json.loads(whole(Json("demo"), [])) == []


def test_a_row_of_a_table_keeps_its_id_kind_and_contradictions() -> None:
    content = json.loads(JsonLines("demo").text(DOUBT))
    assert content["id"] == "/12/d"
    assert content["tags"]["objectTypes"][0]["kind"] == "more specific"
    assert content["contradictions"] == {
        "materials": [
            {
                "tag": "silk",
                "path": ["textile", "silk"],
                "score": 0.01,
                "instead": {"tag": "bronze", "path": ["metal", "copper alloy", "bronze"], "score": 0.93},
            }
        ]
    }


def test_csv() -> None:
    rows = list(csv.DictReader(io.StringIO(whole(Csv(), RESULTS))))
    assert rows[0] == {
        "image": "photos/a.jpg",
        "facet": "materials",
        "tag": "metal",
        "path": "metal",
        "score": "0.98",
        "error": "",
    }
    assert rows[1]["path"] == "metal | copper alloy | bronze"
    assert rows[2] == dict.fromkeys(rows[2], "") | {"image": "b.jpg", "error": "not an image: empty file"}
    assert [row["image"] for row in rows] == ["photos/a.jpg", "photos/a.jpg", "b.jpg", "c.jpg"]
    (vase, silk) = csv.DictReader(io.StringIO(whole(Csv(["kind"]), [DOUBT])))
    assert (vase["tag"], vase["kind"]) == ("vase", "more specific")
    assert (silk["tag"], silk["kind"]) == ("silk", "contradicted by bronze")


@given(st.text(max_size=20), st.lists(st.text(min_size=1, max_size=10), min_size=1, max_size=3))
def test_any_name_survives_json_and_csv(name: str, path: list[str]) -> None:
    name = name.encode("utf-8", "ignore").decode()
    path = [part.encode("utf-8", "ignore").decode() or "x" for part in path]
    result = Result(Input(name, Path("x"), "file:///x"), {"m": [Suggestion(path[-1], tuple(path), 0.5)]})
    (line,) = JsonLines("demo").text(result).split("\n")[:-1]
    assert json.loads(line)["image"] == name
    assert json.loads(line)["tags"]["m"][0]["path"] == path
    (row,) = list(csv.reader(io.StringIO(Csv().text(result), newline="")))
    assert (row[0], row[2], row[3]) == (name, path[-1], " | ".join(path))


def test_flags_stand_in_every_form_and_come_back() -> None:
    flag = Flag("Bronze", "en", "A note, with a comma.", "bronze")
    tags = {"materials": [METAL, BRONZE._replace(flags=(flag,))]}
    result = Result(GOOD.input, tags)
    content = json.loads(JsonLines("demo").text(result))
    metal, bronze = content["tags"]["materials"]
    assert "flags" not in metal
    assert bronze["flags"] == [flag._asdict()]
    assert from_json(content).tags == tags
    _, row = csv.DictReader(io.StringIO(whole(Csv(["flags"]), [result])))
    assert row["flags"] == "Bronze: A note, with a comma."
    for form in ("table", "tree"):
        assert "⚑ Bronze: A note, with a comma." in Plain(form).text(result)


def test_a_canvas_is_the_target_and_has_its_label() -> None:
    url = "https://a.org/manifest/canvas/1"
    result = Result(Input("https://a.org/1.jpg", Path("x"), url, canvas=url, label="Book: 1r"), GOOD.tags)
    content = json.loads(JsonLines("demo").text(result))
    assert (content["image"], content["canvas"], content["label"]) == ("https://a.org/1.jpg", url, "Book: 1r")
    row = next(csv.DictReader(io.StringIO(whole(Csv(["canvas", "label"]), [result]))))
    assert (row["image"], row["canvas"], row["label"]) == ("https://a.org/1.jpg", url, "Book: 1r")
    assert {item["target"] for item in annotations([result])["items"]} == {url}
    assert Plain("table").text(result).startswith("Book: 1r\n")


# --- W3C Web Annotation ------------------------------------------------------------------------------


def annotations(results: list[Result], **options: object) -> dict:
    uris = options.pop("uris", {})
    language = options.pop("language", None)
    names = options.pop("names", Names())
    return json.loads(whole(WebAnnotations("demo", DIGEST, DATE, uris, language, names), results))


def test_one_annotation_for_each_suggestion_with_what_w3c_requires() -> None:
    page = annotations([*RESULTS, DOUBT])
    assert page["@context"] == "http://www.w3.org/ns/anno.jsonld"
    assert page["type"] == "AnnotationPage"
    _, bronze, vase = page["items"]
    ids = {annotation["id"] for annotation in page["items"]}
    assert len(ids) == 3
    for annotation in page["items"]:
        # Web Annotation Data Model 3.1: at least one context, exactly one id, a type, one or more targets.
        assert annotation["@context"] == "http://www.w3.org/ns/anno.jsonld"
        assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", annotation["id"])
        assert annotation["type"] == "Annotation"
        assert annotation["target"]
        assert annotation["motivation"] == "tagging"
        assert annotation["created"] == DATE
        assert annotation["creator"] == {"id": f"urn:sha256:{DIGEST}", "type": "Software", "name": "demo"}
    assert bronze["target"] == "file:///photos/a.jpg"
    assert bronze["bodyValue"] == "bronze" and "body" not in bronze  # a word of no known language
    assert bronze["schema:reviewRating"]["schema:ratingValue"] == 0.93
    assert vase["target"] == {"scope": "http://data.europeana.eu/item/12/d", "source": "https://a.org/d.jpg"}
    assert annotations(RESULTS) == annotations(RESULTS)  # the same ids in every run


def test_a_concept_has_its_uri_and_a_name_its_language() -> None:
    uri = "http://vocab.getty.edu/aat/300010957"
    names = Names()
    for language, name in (("en", "bronze (metal)"), ("en", "bronze alloy"), ("de", "Bronze")):
        names.add("materials", "bronze", language, name)
    uris = {"materials": {"bronze": uri}}
    metal, bronze = annotations([GOOD], uris=uris, language="en", names=names)["items"]
    assert bronze["body"] == {
        "type": "SpecificResource",
        "source": uri,
        "purpose": "tagging",
        "rdfs:label": "materials | metal | copper alloy | bronze",
        "skos:prefLabel": [
            {"@value": "bronze (metal)", "@language": "en"},
            {"@value": "Bronze", "@language": "de"},
        ],
    }
    assert metal["body"]["language"] == "en"


def test_tags_that_europeana_rejects_are_left_out_and_named() -> None:
    """A simple tag has at most 64 characters and is no URL; a concept may be called as it likes."""
    long = Suggestion("x" * 65, ("x" * 65,), 0.9)
    url = Suggestion("https://a.org/x", ("https://a.org/x",), 0.9)
    fits = Suggestion("y" * 64, ("y" * 64,), 0.9)
    result = Result(GOOD.input, {"materials": [long, url, fits, BRONZE]})
    writer = WebAnnotations("demo", DIGEST, DATE, {"materials": {"x" * 65: "http://v.org/1"}}, None)
    items = json.loads(whole(writer, [result]))["items"]
    assert [one.get("bodyValue") for one in items] == [None, "y" * 64, "bronze"]
    assert items[0]["body"]["source"] == "http://v.org/1"
    (reason,) = writer.unwritten(result)
    assert "https://a.org/x" in reason and "64 characters" in reason


def test_crowdheritage_has_scope_and_confidence() -> None:
    uri = "http://vocab.getty.edu/aat/300010957"
    vase = Suggestion("vase", ("vessel", "vase"), 0.7)
    item = replace(GOOD.input, item="http://data.europeana.eu/item/12/d")
    result = Result(item, {"materials": [METAL, BRONZE], "objectTypes": [vase], "subjects": [AMPERSAND]})
    names = Names({"materials": {"metal": {"en": ["metal"]}}})
    writer = CrowdHeritage("demo", DIGEST, DATE, {"materials": {"bronze": uri}}, None, names)
    document = json.loads(whole(writer, [result]))
    metal, bronze, *others = document["@graph"]
    assert metal["body"] == {"type": "TextualBody", "value": "metal", "language": "en"}
    assert bronze == {
        "id": bronze["id"],
        "type": "Annotation",
        "created": DATE,
        "creator": {"id": f"urn:sha256:{DIGEST}", "type": "Software", "name": "demo"},
        "body": uri,
        "target": {"source": "http://data.europeana.eu/item/12/d"},
        "scope": "dcterms:medium",
        "confidence": 0.93,
    }
    assert [one["scope"] for one in others] == ["dc:type", "dc:subject"]


# The part of http://www.w3.org/ns/anno.jsonld that these annotations use.
_CONTEXT = {
    "oa": "http://www.w3.org/ns/oa#",
    "as": "http://www.w3.org/ns/activitystreams#",
    "dc": "http://purl.org/dc/elements/1.1/",
    "dcterms": "http://purl.org/dc/terms/",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "schema": "http://schema.org/",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "id": "@id",
    "type": "@type",
    "Annotation": "oa:Annotation",
    "AnnotationPage": "as:OrderedCollectionPage",
    "SpecificResource": "oa:SpecificResource",
    "TextualBody": "oa:TextualBody",
    "Software": "as:Application",
    "tagging": "oa:tagging",
    "body": {"@type": "@id", "@id": "oa:hasBody"},
    "bodyValue": "oa:bodyValue",
    "target": {"@type": "@id", "@id": "oa:hasTarget"},
    "source": {"@type": "@id", "@id": "oa:hasSource"},
    "scope": {"@type": "@id", "@id": "oa:hasScope"},
    "items": {"@type": "@id", "@id": "as:items", "@container": "@list"},
    "motivation": {"@type": "@vocab", "@id": "oa:motivatedBy"},
    "purpose": {"@type": "@vocab", "@id": "oa:hasPurpose"},
    "value": "rdf:value",
    "format": "dc:format",
    "language": "dc:language",
    "name": "foaf:name",
    "created": {"@id": "dcterms:created", "@type": "xsd:dateTime"},
    "creator": {"@type": "@id", "@id": "dcterms:creator"},
    "generator": {"@type": "@id", "@id": "as:generator"},
}


def test_as_linked_data_the_annotations_say_all_of_it() -> None:
    page = annotations([GOOD])
    for part in (page, *page["items"]):
        part["@context"] = _CONTEXT
    graph = Graph().parse(data=json.dumps(page), format="json-ld")
    rows = graph.query(
        """PREFIX oa: <http://www.w3.org/ns/oa#> PREFIX s: <http://schema.org/>
        SELECT ?value ?score ?when ?model WHERE {
            ?a a oa:Annotation ; oa:motivatedBy oa:tagging ; oa:hasTarget <file:///photos/a.jpg> ;
               oa:bodyValue ?value ;
               <http://purl.org/dc/terms/created> ?when ; <http://purl.org/dc/terms/creator> ?model ;
               s:reviewRating [ s:ratingValue ?score ] } ORDER BY ?value"""
    )
    assert [(str(r.value), float(r.score), str(r.model)) for r in rows] == [
        ("bronze", 0.93, f"urn:sha256:{DIGEST}"),
        ("metal", 0.98, f"urn:sha256:{DIGEST}"),
    ]
    assert {r.when.toPython().isoformat() for r in rows} == {"2026-05-04T12:00:00+00:00"}


# --- XMP ---------------------------------------------------------------------------------------------


def test_a_sidecar_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg.xmp"
    tags = {"materials": [METAL, BRONZE], "subjects": [AMPERSAND]}
    Sidecars().write(path, Terms.of(tags, creator("demo", DIGEST, "0"), DATE))
    packet = path.read_text(encoding="utf-8")
    assert packet.startswith('<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>')
    rdf = next(ET.fromstring(packet).iter("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}RDF"))
    graph = Graph().parse(data=ET.tostring(rdf, encoding="unicode"), format="xml", publicID="file:///a.jpg")

    def bag(prop: str) -> set[str]:
        (node,) = graph.objects(None, graph.resource(prop).identifier)
        return {str(o) for _, p, o in graph.triples((node, None, None)) if re.search(r"#_\d+$", str(p))}

    assert bag("http://purl.org/dc/elements/1.1/subject") == {"metal", "bronze", '<a & "b">'}
    assert bag("http://ns.adobe.com/lightroom/1.0/hierarchicalSubject") == {
        "materials|metal",
        "materials|metal|copper alloy|bronze",
        'subjects|<a & "b">',
    }
    assert DIGEST in packet
    assert DATE in packet


# --- a catalogue -------------------------------------------------------------------------------------


def test_additions_leave_the_table_as_it_was() -> None:
    frame = pd.DataFrame(
        {"idInSource": ["a", "b"], "materials.hierarchy": ["", 'x | "y"'], "note": ["1,2", " spaced "]}
    )
    writer = Additions(frame, ["materials"], "demo")
    first = Result(
        Input("a.jpg", Path("a.jpg"), "file:///a.jpg", "a", None, 0),
        {"materials": [METAL, BRONZE, Suggestion("silver", ("metal", "silver"), 0.7)]},
    )
    second = Result(Input("b.jpg", Path("b.jpg"), "file:///b.jpg", "b", None, 1), {}, "truncated")
    doubted = Result(
        Input("b.jpg", Path("b.jpg"), "file:///b.jpg", "b", None, 1),
        {"materials": []},
        None,
        DOUBT.contradictions,
    )
    written = pd.read_csv(
        io.StringIO(whole(writer, [first, second, doubted])), dtype=str, keep_default_na=False
    )
    assert written[list(frame.columns)].iloc[:2].equals(frame)
    assert written.iloc[0].to_dict() == {
        "idInSource": "a",
        "materials.hierarchy": "",
        "note": "1,2",
        "materials.suggested": "metal | copper alloy | bronze $ metal | silver",
        "materials.suggested.score": "0.93 $ 0.7",
        "materials.contradicted": "",
        "suggested.model": "demo",
        "suggested.error": "",
    }
    assert (written["suggested.model"][1], written["suggested.error"][1]) == ("", "truncated")
    assert written["materials.contradicted"][2] == "textile | silk (0.01; bronze 0.93)"


# --- for people --------------------------------------------------------------------------------------


def drawn(renderable: object, width: int = 80) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(renderable)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_a_panel_shows_breadcrumb_bar_and_probability() -> None:
    text = drawn(panel(GOOD))
    assert "photos/a.jpg" in text
    assert "metal 98% › copper alloy › bronze" in text
    assert bar(0.93).strip() in text
    assert "93 %" in text
    assert text.count("\n") == 4  # the metal line is told by the breadcrumb
    assert "objectTypes" in text
    assert "not an image: empty file" in drawn(panel(BROKEN))
    doubt = drawn(panel(DOUBT), width=100)
    assert "textile › silk" in doubt
    assert "rather bronze (93 %)" in doubt
    assert "more specific" in doubt


def test_a_panel_fits_a_narrow_terminal() -> None:
    assert max(map(len, drawn(panel(GOOD), width=50).splitlines())) <= 50


def test_a_tree_shows_the_suggested_part_of_the_hierarchy() -> None:
    lines = drawn(tree(GOOD)).splitlines()
    assert [line.strip("│├└─ ") for line in lines] == [
        "photos/a.jpg",
        "materials",
        "metal  98 %",
        "copper alloy",
        "bronze  93 %",
        "objectTypes",
        "–",
    ]
    assert "not an image" in drawn(tree(BROKEN))


def test_names_that_look_like_markup_are_shown_as_they_are() -> None:
    result = Result(Input("[red]a.jpg", Path("a"), "file:///a"), {"m": [Suggestion("[b]", ("[b]",), 0.5)]})
    assert "[red]a.jpg" in drawn(panel(result))
    assert "[b]" in drawn(tree(result))


def test_a_name_cannot_command_the_terminal() -> None:
    result = Result(Input("\x1b]0;owned\x07\n.jpg", Path("a"), "file:///a"), {})
    for text in (drawn(panel(result)), drawn(tree(result)), Plain("table").text(result)):
        assert "\x1b" not in text
        assert "\x07" not in text
        assert r"\x1b]0;owned\x07\n.jpg" in text


def test_plain_text_has_no_boxes_colours_or_widths() -> None:
    long = Suggestion("x" * 300, ("y" * 300, "x" * 300), 0.5)
    result = Result(GOOD.input, {"materials": [long]})
    for form in ("table", "tree"):
        text = Plain(form).text(result)
        assert "\x1b" not in text
        assert "╭" not in text
        assert "x" * 300 in text
        assert all(line == line.rstrip() for line in text.splitlines())


@pytest.mark.parametrize("score", [0.0, 0.004, 0.5, 0.994, 0.996, 1.0])
def test_bars_and_percentages_are_never_out_of_range(score: float) -> None:
    assert len(bar(score)) == 12
    assert re.fullmatch(r"[<>]?\d{1,3} %", percent(score))


def test_forms_for_reading_cannot_be_continued(tmp_path: Path) -> None:
    with pytest.raises(EufccError, match="`skip_existing`"):
        Plain("table").existing(tmp_path / "x.txt")


def test_names_in_another_language_stand_beside_the_tags() -> None:
    wood = Suggestion("fusta", ("material vegetal", "fusta"), 0.5, names=("plant material", "wood"))
    named = replace(GOOD, tags={"materials": [wood]})
    (row,) = csv.DictReader(io.StringIO(whole(Csv(["name"]), [named])))
    assert (row["tag"], row["path"], row["name"]) == ("fusta", "material vegetal | fusta", "wood")
    (line,) = map(json.loads, whole(JsonLines("demo"), [named]).splitlines())
    assert line["tags"]["materials"][0]["names"] == ["plant material", "wood"]
    assert "plant material › wood" in whole(Plain("table"), [named])
    assert "wood" in whole(Plain("tree"), [named])
    names = Names({"materials": {"fusta": {"en": ["wood"], "ca": ["fusta"]}}})
    page = json.loads(whole(WebAnnotations("demo", DIGEST, DATE, {}, "en", names), [named]))
    assert (page["items"][0]["body"]["value"], page["items"][0]["body"]["language"]) == ("wood", "en")
    other = replace(GOOD, tags={"materials": [wood._replace(names=())]})
    page = json.loads(whole(WebAnnotations("demo", DIGEST, DATE, {}, "fr", names), [other]))
    body = page["items"][0]["body"]
    assert (body["value"], body["language"]) == ("fusta", "ca")  # no French name: its own language


def test_rows_of_a_table_begin_with_their_id() -> None:
    found = replace(GOOD, input=replace(GOOD.input, id="1913.5"))
    first, *_ = csv.DictReader(io.StringIO(whole(Csv(["id"]), [found])))
    assert list(first)[:2] == ["id", "image"] and first["id"] == "1913.5"
