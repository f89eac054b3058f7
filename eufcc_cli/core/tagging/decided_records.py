"""The accepted and added tags of each record, over all of its photographs, with data from its row."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from eufcc_cli.core.tagging.decided_images import DecidedImage, DecidedTag
from eufcc_cli.core.tagging.inputs import is_url
from eufcc_cli.core.taxonomy.tables.annotations import PROVIDER, RECORD, facet_column, paths

if TYPE_CHECKING:
    import pandas as pd


@dataclass
class DecidedRecord:
    """A record with the tags that people accepted or added; unknown fields are empty."""

    id: str
    title: str = ""
    provider: str = ""
    rights: str = ""
    """URL of a licence or rights statement."""
    item: str = ""
    """URI of the Europeana item."""
    images: list[str] = field(default_factory=list)
    """URLs of its photographs."""
    tags: list[DecidedTag] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    """The most specific object types in its row."""

    def of(self, facet: str) -> list[DecidedTag]:
        """The tags of a facet."""
        return [tag for tag in self.tags if tag.facet == facet]


def decided_records(
    images: Iterable[DecidedImage], table: "pd.DataFrame | None" = None
) -> list[DecidedRecord]:
    """The records of images, in their order; `table` is the annotation table of the images."""
    records: dict[str, DecidedRecord] = {}
    for image in images:
        item = image.input
        row = {} if table is None or item.row is None else dict(table.iloc[item.row].astype(str))
        key = row.get(RECORD) or item.id or item.name
        record = records.get(key)
        if record is None:
            rights = row.get("rights", "")
            types = [path[-1] for path in paths(row.get(facet_column("objectTypes"), ""))]
            record = records[key] = DecidedRecord(
                key,
                title=row.get("title", ""),
                provider=row.get(PROVIDER, ""),
                rights=rights if is_url(rights) else "",
                item=item.item or "",
                types=types,
            )
        if is_url(item.iri) and not item.iri.startswith("file:") and item.iri not in record.images:
            record.images.append(item.iri)
        for tag in image.tags:
            if all((one.facet, one.path) != (tag.facet, tag.path) for one in record.tags):
                record.tags.append(tag)
    return list(records.values())
