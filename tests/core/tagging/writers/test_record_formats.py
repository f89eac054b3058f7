"""LIDO and EDM of what people decided: elements as the schemas have them, and their content.

The schemas themselves are not part of this repository (LIDO: lido-v1.1.xsd of the LIDO working group; EDM:
EDM.xsd, EDM-EXTERNAL-MAIN.xsd and ORE.xsd of Europeana's metis-schema): what they demand of the elements that
we write stands below, one line an element. With EUFCC_TEST_SCHEMAS, a folder that holds lido-v1.1.xsd and
EDM.xsd with all that they import, the documents are validated against them as well.
"""

import os
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pandas as pd
import pytest
from lxml import etree
from rdflib import Graph, Literal, URIRef

from eufcc_cli.core.dataset.museum.readers.edm import read_edm
from eufcc_cli.core.dataset.museum.readers.lido import read_lido
from eufcc_cli.core.tagging.decided_images import DecidedImage, DecidedTag
from eufcc_cli.core.tagging.decided_records import DecidedRecord, decided_records
from eufcc_cli.core.tagging.inputs import Input
from eufcc_cli.core.tagging.writers.edm_records import Edm
from eufcc_cli.core.tagging.writers.lido_records import Lido
from eufcc_cli.core.taxonomy.decisions import Decision
from eufcc_cli.core.taxonomy.names import Names

BRONZE = "http://vocab.getty.edu/aat/300010957"
URIS = {"materials": {"bronze": BRONZE}, "objectTypes": {"vase": "http://vocab.getty.edu/aat/300132254"}}
NAMES = Names(
    {
        "materials": {"bronze": {"en": ["bronze", "bronzes"], "de": ["Bronze"]}},
        "objectTypes": {"vase": {"en": ["vase"]}},
        "subjects": {"barca": {"en": ["boat"], "ca": ["barca"]}},
    }
)
ITEM = "http://data.europeana.eu/item/12/d"

# Children in the order of the schema: ? may, * may be several, + at least one.
LIDO_CHILDREN = {
    "lidoWrap": "lido+",
    "lido": "lidoRecID+ objectPublishedID* category? descriptiveMetadata+ administrativeMetadata+",
    "descriptiveMetadata": "objectClassificationWrap objectIdentificationWrap eventWrap? objectRelationWrap?",
    "objectClassificationWrap": "objectWorkTypeWrap classificationWrap?",
    "objectWorkTypeWrap": "objectWorkType+",
    "classificationWrap": "classification*",
    "objectWorkType": "conceptID* term*",
    "classification": "conceptID* term*",
    "termMaterialsTech": "conceptID* term*",
    "subjectConcept": "conceptID* term*",
    "recordType": "conceptID* term*",
    "objectIdentificationWrap": "titleWrap inscriptionsWrap? repositoryWrap? displayStateEditionWrap? "
    "objectDescriptionWrap? objectMeasurementsWrap? objectMaterialsTechWrap?",
    "titleWrap": "titleSet+",
    "titleSet": "appellationValue+ sourceAppellation*",
    "repositoryWrap": "repositorySet*",
    "repositorySet": "displayRepository* repositoryName? workID* repositoryLocation? sourceRepositorySet*",
    "repositoryName": "legalBodyID* legalBodyName* legalBodyWeblink*",
    "recordSource": "legalBodyID* legalBodyName* legalBodyWeblink*",
    "legalBodyName": "appellationValue+ sourceAppellation*",
    "objectMaterialsTechWrap": "objectMaterialsTechSet*",
    "objectMaterialsTechSet": "displayMaterialsTech* materialsTech*",
    "materialsTech": "termMaterialsTech* extentMaterialsTech* sourceMaterialsTech*",
    "objectRelationWrap": "subjectWrap? relatedWorksWrap?",
    "subjectWrap": "subjectSet*",
    "subjectSet": "displaySubject* subject?",
    "subject": "extentSubject* subjectConcept* subjectActor* subjectDate* subjectEvent* subjectPlace* "
    "subjectObject*",
    "administrativeMetadata": "rightsWorkWrap? recordWrap resourceWrap?",
    "recordWrap": "recordID+ recordType recordSource+ recordRights* recordInfoSet* collection*",
    "resourceWrap": "resourceSet*",
    "resourceSet": "resourceID* resourceRepresentation* resourceType?",
    "resourceRepresentation": "linkResource resourceMeasurementsSet*",
}
EDM_CHILDREN = {
    "RDF": "(ProvidedCHO|Concept|Aggregation)*",
    "ProvidedCHO": "(identifier|title|type|medium|subject)* type",
    "Aggregation": "aggregatedCHO dataProvider? hasView* isShownAt? isShownBy? object? provider rights",
    "Concept": "(prefLabel|altLabel)*",
}


def follows(text: str, children: dict[str, str]) -> ET.Element:
    """The document; fails where an element's children are not as the schema has them."""
    root = ET.fromstring(text.encode())
    for element in root.iter():
        name = element.tag.rpartition("}")[2]
        found = "".join(f"{child.tag.rpartition('}')[2]} " for child in element)
        tokens = [(token.rstrip("?*+"), token) for token in children.get(name, "").split()]
        expected = "".join(f"(?:{child} ){token.removeprefix(child)}" for child, token in tokens)
        assert re.fullmatch(expected, found), f"{name}: {found}"
    return root


def tag(facet: str, *path: str) -> DecidedTag:
    decision = Decision(time="t", reviewer="Ann", image="a", facet=facet, tag=path[-1], verdict="accepted")
    return DecidedTag(facet, path, decision)


FULL = DecidedRecord(
    "1913.5",
    title='A vase & "lid"',
    provider="Harbour Museum",
    rights="http://creativecommons.org/publicdomain/zero/1.0/",
    item=ITEM,
    images=["https://a.org/1.jpg", "https://a.org/2.jpg"],
    tags=[
        tag("objectTypes", "vessel", "vase"),
        tag("materials", "metal", "bronze"),
        tag("classifications", "ceràmica"),
        tag("subjects", "barca"),
    ],
)
BARE = DecidedRecord("x\x07y", tags=[tag("materials", "metal", "bronze")])
L = {"l": "http://www.lido-schema.org"}


def test_lido_has_each_term_in_its_place_with_concept_and_names() -> None:
    text = "".join(Lido(URIS, NAMES, None).texts([FULL, BARE]))
    first, second = follows(text, LIDO_CHILDREN)
    kind = first.find(".//l:objectWorkType", L)
    assert kind is not None and kind.findtext("l:term", namespaces=L) == "vase"
    material = first.find(".//l:materialsTech/l:termMaterialsTech", L)
    assert material is not None
    assert material.get(f"{{{L['l']}}}type") == "http://terminology.lido-schema.org/lido00132"
    concept = material.find("l:conceptID", L)
    assert concept is not None and concept.text == BRONZE
    assert concept.get(f"{{{L['l']}}}type") == "http://terminology.lido-schema.org/lido00099"
    language = "{http://www.w3.org/XML/1998/namespace}lang"
    terms = {one.get(language): one.text for one in material.iterfind("l:term", L)}
    assert terms == {"en": "bronze", "de": "Bronze"}
    assert first.findtext(".//l:classification/l:term", namespaces=L) == "ceràmica"
    assert first.findtext(".//l:subjectConcept/l:term", namespaces=L) == "boat"
    assert first.findtext(".//l:titleSet/l:appellationValue", namespaces=L) == FULL.title
    assert [one.text for one in first.iterfind(".//l:linkResource", L)] == FULL.images
    assert second.findtext("l:lidoRecID", namespaces=L) == "x\ufffdy"
    assert second.findtext(".//l:objectWorkType/l:term", namespaces=L) == "unknown"


@pytest.mark.parametrize("schema", ["lido-v1.1.xsd", "EDM.xsd"])
def test_documents_are_valid_by_the_schemas(schema: str) -> None:
    path = Path(os.environ.get("EUFCC_TEST_SCHEMAS", "/nowhere"), schema)
    if not path.is_file():
        pytest.skip(f"{schema} not found (set EUFCC_TEST_SCHEMAS to the folder of the schemas)")
    validator = etree.XMLSchema(etree.parse(path))
    writer = Lido if schema.startswith("lido") else Edm
    for uris, names, language in ((URIS, NAMES, None), (URIS, NAMES, "ca"), ({}, Names(), None)):
        for records in ([FULL, BARE], [BARE]):
            text = "".join(writer(uris, names, language).texts(records))
            validator.assertValid(etree.fromstring(text.encode()))


def test_lido_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "out.xml"
    path.write_text("".join(Lido(URIS, NAMES, None).texts([FULL])), encoding="utf-8")
    row = read_lido(path, "en").frame.iloc[0]
    assert (row["termMaterialsTech"], row["termMaterialsTech URI"]) == ("bronze", BRONZE)
    assert (row["workID"], row["repository"]) == ("1913.5", "Harbour Museum")


def test_edm_refers_to_concepts_and_describes_them() -> None:
    text = "".join(Edm(URIS, NAMES, "en").texts([FULL]))
    follows(text, EDM_CHILDREN)
    graph = Graph().parse(data=text, format="xml")
    item, bronze = URIRef(ITEM), URIRef(BRONZE)
    dc, skos = "http://purl.org/dc/elements/1.1/", "http://www.w3.org/2004/02/skos/core#"
    edm, terms = "http://www.europeana.eu/schemas/edm/", "http://purl.org/dc/terms/"
    assert set(graph.objects(item, URIRef(f"{terms}medium"))) == {bronze}
    assert set(graph.objects(item, URIRef(f"{dc}type"))) == {URIRef(URIS["objectTypes"]["vase"])}
    subjects = set(graph.objects(item, URIRef(f"{dc}subject")))
    assert subjects == {Literal("boat", lang="en"), Literal("ceràmica")}
    preferred = set(graph.objects(bronze, URIRef(f"{skos}prefLabel")))
    assert preferred == {Literal("bronze", lang="en"), Literal("Bronze", lang="de")}
    assert set(graph.objects(bronze, URIRef(f"{skos}altLabel"))) == {Literal("bronzes", lang="en")}
    (aggregation,) = graph.subjects(URIRef(f"{edm}aggregatedCHO"), item)
    assert set(graph.objects(aggregation, URIRef(f"{edm}rights"))) == {URIRef(FULL.rights)}
    assert set(graph.objects(item, URIRef(f"{edm}type"))) == {Literal("IMAGE")}


def test_edm_without_concepts_is_well_formed_too() -> None:
    text = "".join(Edm({}, Names(), None).texts([BARE]))
    assert "Aggregation" not in text  # which needs a provider and rights
    graph = Graph().parse(data=text, format="xml", publicID="http://a.org/")
    assert Literal("bronze") in set(graph.objects(None, URIRef("http://purl.org/dc/terms/medium")))
    assert all(one.count("#") <= 1 for one in graph.all_nodes() if isinstance(one, URIRef))


def test_edm_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "out.xml"
    path.write_text("".join(Edm(URIS, NAMES, "en").texts([FULL])), encoding="utf-8")
    row = read_edm(path, "de").frame.iloc[0]
    assert (row["dcterms:medium"], row["dcterms:medium URI"]) == ("Bronze", BRONZE)


def test_photographs_of_a_record_are_one_record() -> None:
    table = pd.DataFrame(
        {
            "idInSource": ["5", "5_2", "6"],
            "record": ["5", "5", "6"],
            "title": ["Vase", "Vase", "Cup"],
            "repository.keeper": "Harbour Museum",
            "rights": ["http://r.org/1", "http://r.org/1", "all reserved"],
            "objectTypes.hierarchy": ["", "", "vessel | cup $ set"],
        }
    )
    images = [
        DecidedImage(Input(f"{n}.jpg", Path(f"{n}.jpg"), f"https://a.org/{n}.jpg", None, None, n), [one, one])
        for n, one in enumerate([tag("materials", "wood"), tag("materials", "bronze"), tag("subjects", "x")])
    ]
    vase, cup = decided_records(images, table)
    assert (vase.id, vase.title, vase.rights) == ("5", "Vase", "http://r.org/1")
    assert [one.tag for one in vase.tags] == ["wood", "bronze"]
    assert vase.images == ["https://a.org/0.jpg", "https://a.org/1.jpg"]
    assert (cup.rights, cup.types) == ("", ["cup", "set"])
    text = "".join(Lido({}, Names(), None).texts([cup]))
    kinds = follows(text, LIDO_CHILDREN).iterfind(".//l:objectWorkType/l:term", L)
    assert [one.text for one in kinds] == ["cup", "set"]
