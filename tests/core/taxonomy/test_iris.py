"""URLs of people as IRIs, by rdflib's own judgement."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eufcc_cli.core.taxonomy.linked_data.iris import as_iri

rdflib = pytest.importorskip("rdflib")


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("http://h/my photo (1).jpg", "http://h/my%20photo%20(1).jpg"),
        ("http://h/a|b{c}.jpg", "http://h/a%7Cb%7Bc%7D.jpg"),
        ('http://h/x"y".jpg', "http://h/x%22y%22.jpg"),
        ("http://h/a\\b^`<>.jpg", "http://h/a%5Cb%5E%60%3C%3E.jpg"),
        ("http://h/100%.jpg", "http://h/100%25.jpg"),
        ("http://h/a%20b.jpg", "http://h/a%20b.jpg"),
        ("http://[2001:db8::1]:80/a[1].jpg", "http://[2001:db8::1]:80/a%5B1%5D.jpg"),
        ("http://h/a#b#c", "http://h/a#b%23c"),
        ("  http://h/a\tb\n", "http://h/a%09b"),
        ("http://h/\ud800", "http://h/%ED%A0%80"),
        ("http://münchen.example/è.jpg?q=ä", "http://münchen.example/è.jpg?q=ä"),
        ("urn:uuid:1", "urn:uuid:1"),
    ],
)
def test_known_urls(url: str, wanted: str) -> None:
    assert as_iri(url) == wanted


@given(st.text())
def test_any_text_becomes_one_that_turtle_takes_and_stays_so(text: str) -> None:
    iri = as_iri(f"http://example.org/{text}")
    graph = rdflib.Graph()
    graph.add((rdflib.URIRef(iri), rdflib.RDF.type, rdflib.URIRef(iri)))
    assert rdflib.URIRef(iri) in set(rdflib.Graph().parse(data=graph.serialize(format="turtle")).subjects())
    assert as_iri(iri) == iri
