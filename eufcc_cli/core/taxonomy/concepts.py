"""The URIs of the concepts of tags: labels/concepts.csv with the columns facet, tag, uri."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from eufcc_cli.core.errors import DataError
from eufcc_cli.core.files import write_text
from eufcc_cli.core.taxonomy.iris import as_iri

if TYPE_CHECKING:
    from eufcc_cli.core.taxonomy.vocabulary import Vocabulary

_COLUMNS = ["facet", "tag", "uri"]

Uris = Mapping[str, Mapping[str, str]]
"""{facet: {tag: URI}}."""


def read_uris(path: Path) -> dict[str, dict[str, str]]:
    """The URIs of tags, empty without such a file. Raises DataError for a file of another format."""
    uris: dict[str, dict[str, str]] = {}
    if not path.is_file():
        return uris
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            if reader.fieldnames is None or not set(_COLUMNS) <= set(reader.fieldnames):
                raise DataError(f"{path}: needs the columns {', '.join(_COLUMNS)}", hint="or delete the file")
            for row in reader:
                uri = (row["uri"] or "").strip()
                if not uri.startswith(("http://", "https://")):
                    raise DataError(
                        f"{path}: line {reader.line_num}: {uri!r} is not a URI",
                        hint="http://vocab.getty.edu/aat/…",
                    )
                uris.setdefault(row["facet"], {})[row["tag"]] = as_iri(uri)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: {error}", hint="save the table as CSV in UTF-8") from error
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
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(_COLUMNS)
    rows.writerows([facet, tag, uri] for facet, tags in known.items() for tag, uri in sorted(tags.items()))
    write_text(path, text.getvalue())
