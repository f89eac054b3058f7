"""The URIs of tags: written, added to, read, refused."""

from pathlib import Path

import pytest

from eufcc_cli.core.errors import DataError
from eufcc_cli.core.taxonomy.linked_data.concepts import add_uris, known_uris, read_uris
from eufcc_cli.core.taxonomy.vocabulary import FacetVocabulary, Vocabulary

BRONZE = "http://vocab.getty.edu/aat/300010957"


def test_uris_add_up(tmp_path: Path) -> None:
    path = tmp_path / "labels" / "concepts.csv"
    assert read_uris(path) == {}
    add_uris(path, {"materials": {"bronze": "http://example.org/wrong", "or, blanc": BRONZE}})
    add_uris(path, {"materials": {"bronze": BRONZE}, "subjects": {"mar": BRONZE}})
    assert read_uris(path) == {
        "materials": {"bronze": BRONZE, "or, blanc": BRONZE},
        "subjects": {"mar": BRONZE},
    }
    vocabulary = Vocabulary({"materials": FacetVocabulary(("bronze", "paper"), (-1, -1))})
    assert known_uris(path, vocabulary) == {"materials": {"bronze": BRONZE}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n1,2\n", "needs the columns facet, tag, uri"),
        ("facet,tag,uri\nmaterials,bronze,javascript:alert(1)\n", "line 2: 'javascript:alert"),
        ("facet,tag,uri\nmaterials\n", "line 2"),
        (b"\xff\xfe\x00", "concepts.csv"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, content: str | bytes, message: str) -> None:
    path = tmp_path / "concepts.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=message):
        read_uris(path)
