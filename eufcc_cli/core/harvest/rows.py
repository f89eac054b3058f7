"""The rows of a harvest: its records as an annotation table, and the concepts that became no tag."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from eufcc_cli.core.files import csv_text, write_text
from eufcc_cli.core.harvest.europeana import image_id, image_url
from eufcc_cli.core.harvest.mapping import Mapper, Unmapped
from eufcc_cli.core.harvest.saved_records import HarvestedRecord
from eufcc_cli.core.taxonomy.tables.annotations import DATABASE, FACETS, ID, IMAGE_URL, PROVIDER, facet_column

COLUMNS = (
    ID,
    *(facet_column(facet) for facet in ("objectTypes", "subjects", "materials")),
    IMAGE_URL,
    DATABASE,
    PROVIDER,
    facet_column("classifications"),
    *("europeanaId", "title", "rights", "attribution", "keyword"),
)


def table_rows(
    records: Iterable[HarvestedRecord], shallow: bool, thumbnail_url: str, mapper: Mapper
) -> tuple[list[dict[str, str]], dict[str, str]]:
    """The rows of records, and the ids of those that give none, with the reason."""
    rows: list[dict[str, str]] = []
    failed: dict[str, str] = {}
    for keyword, item, record, problem in records:
        if problem and not shallow:
            failed[item["id"]] = problem
        elif not (picture := image_url(item, record or {}, thumbnail_url)):
            failed[item["id"]] = "it names no picture"
        else:
            mapper.add(item, None if shallow else record)
            rows.append(describe(keyword, item, {} if shallow else record or {}, picture))
    for row, annotation in zip(rows, mapper.annotations(), strict=True):
        row |= annotation_cells(annotation)
    return rows, failed


def annotation_cells(annotation: Mapping[str, list[tuple[str, ...]]]) -> dict[str, str]:
    """The facet columns of a row."""
    return {
        facet_column(facet): " $ ".join(" | ".join(path) for path in annotation.get(facet, ()))
        for facet in FACETS
    }


def describe(
    keyword: str, item: Mapping[str, Any], record: Mapping[str, Any], picture: str
) -> dict[str, str]:
    """A record's row without its annotations."""
    named = item["provider"] and not item["provider"].startswith(("http://", "https://"))
    provider = item["provider"] if named else record.get("provider") or item["provider"]
    rights = item["rights"] or record.get("rights", "")
    title = item["title"]
    credit = record.get("attribution") or ". ".join(text for text in (title, provider, rights) if text)
    row = {
        ID: image_id(item["id"]),
        IMAGE_URL: picture,
        DATABASE: "EUROPEANA",
        PROVIDER: provider,
        "europeanaId": item["id"],
        "title": title,
        "rights": rights,
        "attribution": credit,
        "keyword": keyword,
    }
    return {column: " ".join(text.split()) for column, text in row.items()}


def write_unmapped(unmapped: Mapping[Unmapped, int], path: Path) -> None:
    """Write the list of concepts that became no tag, the most frequent first."""
    ordered = sorted(unmapped.items(), key=lambda entry: (-entry[1], entry[0]))
    rows = ({**vars(each), "concept": each.value, "records": count} for each, count in ordered)
    write_text(path, csv_text(["field", "concept", "label", "reason", "records"], rows))
