"""The URIs of the concepts of tags: labels/concepts.csv with the columns facet, tag, uri."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from eufcc_cli.core.errors import DataError
from eufcc_cli.core.files import csv_text, read_rows, write_text
from eufcc_cli.core.taxonomy.linked_data.iris import as_iri

if TYPE_CHECKING:
    from eufcc_cli.core.taxonomy.vocabulary import Vocabulary

_COLUMNS = ["facet", "tag", "uri"]

Uris = Mapping[str, Mapping[str, str]]
"""{facet: {tag: URI}}."""


def read_uris(path: Path) -> dict[str, dict[str, str]]:
    """The URIs of tags, empty without such a file. Raises DataError for a file of another format."""
    uris: dict[str, dict[str, str]] = {}
    for line, row in read_rows(path, _COLUMNS) if path.is_file() else ():
        uri = row["uri"].strip()
        if not uri.startswith(("http://", "https://")):
            raise DataError(
                f"{path}: line {line}: {uri!r} is not a URI", hint="such as http://vocab.getty.edu/aat/…"
            )
        uris.setdefault(row["facet"], {})[row["tag"]] = as_iri(uri)
    return uris


def known_uris(path: Path, vocabulary: "Vocabulary") -> dict[str, dict[str, str]]:
    """The URIs of a vocabulary's tags that are in the file."""
    read = read_uris(path)
    return {
        facet: {tag: read[facet][tag] for tag in tags.tags if tag in read[facet]}
        for facet, tags in vocabulary.facets.items()
        if facet in read
    }


def add_uris(path: Path, uris: Uris) -> None:
    """Add URIs to the file; the new URI of a tag replaces the old one."""
    known = read_uris(path)
    for facet, tags in uris.items():
        known.setdefault(facet, {}).update(tags)
    rows = (
        {"facet": facet, "tag": tag, "uri": uri}
        for facet, tags in known.items()
        for tag, uri in sorted(tags.items())
    )
    write_text(path, csv_text(_COLUMNS, rows))
