"""Dumps: the same rows as by Europeana's APIs, filtered, from archives that are whole."""

import zipfile
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import pytest

from eufcc_cli.core.dataset.museum.readers.edm import zipped_records
from eufcc_cli.core.errors import CollectError, DataError
from eufcc_cli.core.files import Root
from eufcc_cli.core.harvest.dumps import DumpFilter, harvest_dumps, reusability
from eufcc_cli.core.harvest.europeana import Search
from eufcc_cli.core.harvest.harvesting import Servers, harvest
from eufcc_cli.core.taxonomy.tables.annotation_files import read_table
from eufcc_cli.core.taxonomy.tables.annotations import ID, PROVIDER
from tests.servers import catalogue
from tests.servers.europe import Europe, europe
from tests.servers.europeana import KEY

RECORDS = 120
HEAD = (
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" '
    'xmlns:dc="http://purl.org/dc/elements/1.1/" '
    'xmlns:dcterms="http://purl.org/dc/terms/" xmlns:edm="http://www.europeana.eu/schemas/edm/" '
    'xmlns:ore="http://www.openarchives.org/ore/terms/" xmlns:skos="http://www.w3.org/2004/02/skos/core#" '
    'xmlns:foaf="http://xmlns.com/foaf/0.1/">'
)
TAGS = {
    "dcType": "dc:type",
    "dctermsMedium": "dcterms:medium",
    "dcFormat": "dc:format",
    "dcSubject": "dc:subject",
}


def as_edm(number: int, base: str) -> str:
    """A record of the made-up Europeana, as its weekly dump has it."""
    record = catalogue.record(number)
    answer = catalogue.record_answer(record, base, KEY)["object"]
    preview = catalogue.search_item(record, base, KEY)["edmPreview"]
    item = f"http://data.europeana.eu/item{record.id}"
    title = "".join(filter(str.isprintable, record.title))  # some are no text that XML could hold

    def values(proxy: dict[str, object]) -> str:
        out = []
        for field, tag in TAGS.items():
            for language, texts in (proxy.get(field) or {}).items():  # type: ignore[attr-defined]
                for text in texts:
                    if text.startswith("http"):
                        out.append(f"<{tag} rdf:resource={quoteattr(text)}/>")
                    else:
                        of = "" if language == "def" else f' xml:lang="{language}"'
                        out.append(f"<{tag}{of}>{escape(text)}</{tag}>")
        return "".join(out)

    proxies = "".join(
        f"<ore:Proxy rdf:about='http://data.europeana.eu{proxy.get('about')}'>"
        f"<edm:europeanaProxy>{str(proxy['europeanaProxy']).lower()}</edm:europeanaProxy>"
        f"<ore:proxyFor rdf:resource={quoteattr(item)}/>{values(proxy)}"
        + (
            ""
            if proxy["europeanaProxy"]
            else f"<dc:title>{escape(title)}</dc:title><edm:type>IMAGE</edm:type>"
        )
        + "</ore:Proxy>"
        for proxy in answer["proxies"]  # type: ignore[index]
    )
    concepts = "".join(
        f"<skos:Concept rdf:about={quoteattr(concept['about'])}>"
        + "".join(
            f"<skos:prefLabel xml:lang='{language}'>{escape(text)}</skos:prefLabel>"
            for language, texts in concept["prefLabel"].items()
            for text in texts
        )
        + "".join(
            f"<skos:exactMatch rdf:resource={quoteattr(uri)}/>" for uri in concept.get("exactMatch", ())
        )
        + "</skos:Concept>"
        for concept in answer["concepts"]  # type: ignore[index]
    )
    return (
        f"{HEAD}<edm:ProvidedCHO rdf:about={quoteattr(item)}/>{proxies}{concepts}"
        f"<foaf:Organization rdf:about='org'><skos:prefLabel xml:lang='en'>{record.provider}"
        f"</skos:prefLabel></foaf:Organization><ore:Aggregation rdf:about='a'>"
        f"<edm:aggregatedCHO rdf:resource={quoteattr(item)}/>"
        f"<edm:dataProvider rdf:resource='org'/>"
        f"<edm:isShownBy rdf:resource={quoteattr(record.original(base))}/>"
        f"<edm:rights rdf:resource={quoteattr(record.rights)}/></ore:Aggregation>"
        f"<edm:EuropeanaAggregation rdf:about='e'><edm:aggregatedCHO rdf:resource={quoteattr(item)}/>"
        f"<edm:preview rdf:resource={quoteattr(preview[0])}/></edm:EuropeanaAggregation></rdf:RDF>"  # type: ignore[index]
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory):
    with europe(RECORDS, tmp_path_factory.mktemp("files")) as running:
        yield running


def servers(of: Europe) -> Servers:
    return Servers(
        f"{of.base}/record/v2", f"{of.base}/entity", f"{of.base}/sparql.json", f"{of.base}/thumbnail"
    )


@pytest.fixture
def dump(server: Europe, tmp_path: Path) -> list[Path]:
    """Two ZIP files, as the dumps come: an XML file for each record."""
    paths = [tmp_path / "901.zip", tmp_path / "902.zip"]
    for half, path in enumerate(paths):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("README.txt", "not a record")
            for number in range(1 + half, RECORDS + 1, 2):
                archive.writestr(f"{number}.xml", as_edm(number, server.base))
    return paths


def test_a_dump_gives_what_the_apis_give(server: Europe, dump: list[Path], tmp_path: Path) -> None:
    by_api, by_dump = Root(tmp_path / "api"), Root(tmp_path / "dump")
    asked = harvest(
        by_api, Search(("all",), reusability="all"), KEY, by_api.data / "t.csv", servers=servers(server)
    )
    done = harvest_dumps(
        by_dump, dump, by_dump.data / "t.csv", DumpFilter(reusability="all"), key=KEY, servers=servers(server)
    )
    theirs, ours = (read_table(root.data / "t.csv").set_index(ID).sort_index() for root in (by_api, by_dump))
    same = ["objectTypes.hierarchy", "materials.hierarchy", "subjects.hierarchy", "classifications.hierarchy"]
    same += ["#portraitMedia.original", PROVIDER, "europeanaId", "rights"]
    assert len(ours) == RECORDS and len(theirs) >= RECORDS - 1  # one was withdrawn since
    assert ours.loc[theirs.index, same].equals(theirs[same])
    assert done.images == RECORDS and not done.failed
    assert {facet: tags for facet, (_, tags) in done.facets.items()} == {
        facet: tags for facet, (_, tags) in asked.facets.items()
    }
    assert set(done.unmapped) >= set(asked.unmapped)
    assert not [path for path in by_dump.data.iterdir() if path.name.startswith("tmp")]


def test_filters(server: Europe, dump: list[Path], tmp_path: Path) -> None:
    root = Root(tmp_path / "root")
    provider = catalogue.record(1).provider
    wanted = DumpFilter(providers=(provider.upper(),))
    harvest_dumps(root, dump, root.data / "t.csv", wanted, key=KEY, servers=servers(server))
    table = read_table(root.data / "t.csv")
    expected = [n for n in range(1, RECORDS + 1) if catalogue.record(n).provider == provider]
    assert set(table[PROVIDER]) == {provider} and len(table) == len(expected)
    with pytest.raises(CollectError, match=r"901\.zip, .*902\.zip: no record is left"):
        harvest_dumps(
            root, dump, root.data / "u.csv", DumpFilter(reusability="permission"), servers=servers(server)
        )
    assert not (root.data / "u.csv").exists()
    (root.data / "v.csv").write_text("mine")
    with pytest.raises(CollectError, match=r"v\.csv: exists, and is from another source"):
        harvest_dumps(root, dump, root.data / "v.csv", servers=servers(server))


def test_themes_are_found_by_words(server: Europe, dump: list[Path]) -> None:
    records = [record for path in dump for record in zipped_records(path)]
    art = [record for record in records if DumpFilter(reusability="all", theme="art").wants(record)]
    assert 0 < len(art) < len(records)
    with pytest.raises(CollectError, match="`theme` arts is not known") as error:
        DumpFilter(theme="arts")
    assert "art" in str(error.value.hint)


@pytest.mark.parametrize(
    ("rights", "group"),
    [
        ("http://creativecommons.org/publicdomain/zero/1.0/", "open"),
        ("http://creativecommons.org/licenses/by/4.0/", "open"),
        ("http://creativecommons.org/licenses/by-nd/4.0/", "restricted"),
        ("http://rightsstatements.org/vocab/NoC-NC/1.0/", "restricted"),
        ("http://rightsstatements.org/vocab/CNE/1.0/", "permission"),
        ("", "permission"),
    ],
)
def test_rights(rights: str, group: str) -> None:
    assert reusability(rights) == group


def test_archives_that_cannot_be_read(server: Europe, dump: list[Path], tmp_path: Path) -> None:
    root = Root(tmp_path / "root")
    whole = dump[0].read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"cut\.zip: a damaged ZIP file"):
        harvest_dumps(root, [tmp_path / "cut.zip"], root.data / "t.csv", servers=servers(server))
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w") as archive:
        archive.writestr("1.xml", '<!DOCTYPE x [<!ENTITY a "b">]>' + as_edm(1, server.base))
    with pytest.raises(DataError, match=r"bomb\.zip/1\.xml: declares XML entities"):
        harvest_dumps(root, [tmp_path / "bomb.zip"], root.data / "t.csv", servers=servers(server))
    assert not (root.data / "t.csv").exists()
    with zipfile.ZipFile(tmp_path / "torn.zip", "w") as archive:
        archive.writestr("1.xml", as_edm(1, server.base))
        archive.writestr("2.xml", as_edm(2, server.base)[:900])
    done = harvest_dumps(root, [tmp_path / "torn.zip"], root.data / "t.csv", key=KEY, servers=servers(server))
    assert done.images == 1
    [(name, reason)] = done.failed.items()
    assert name.endswith("torn.zip/2.xml") and reason.startswith("not well-formed XML")
