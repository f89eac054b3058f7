"""The images of an export's records: their photographs and URLs, as rows of an annotation table."""

from collections import defaultdict
from collections.abc import Container, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from eufcc_cli.core.dataset.museum.annotating import Annotated
from eufcc_cli.core.dataset.museum.export_records import PHOTO_SEPARATORS, Records, split_photographs
from eufcc_cli.core.dataset.museum.photo_ledger import lost_photographs, moved_photographs
from eufcc_cli.core.dataset.museum.photos import Found, Photograph, find_photographs
from eufcc_cli.core.download.image_files import ImageFiles
from eufcc_cli.core.files import Root
from eufcc_cli.core.taxonomy.tables.annotations import ID, IMAGE_URL, PROVIDER, RECORD, facet_column
from eufcc_cli.core.taxonomy.tables.text_columns import containing

TITLE = "title"
RECORD_NUMBER = "number"
"""The column with the record of an image."""
_SCHEMES = ("http://", "https://")


def image_rows(records: Records, photographs: Sequence[Photograph], there: Container[str]) -> pd.DataFrame:
    """The images of records, with the columns RECORD_NUMBER, ID and IMAGE_URL.

    A record without photographs has an image for each URL in its photo cell; else one that is `there`, by
    its id; else one without a file or URL.
    """
    of_record: dict[str, list[Photograph]] = defaultdict(list)
    for photograph in photographs:
        of_record[photograph.record].append(photograph)
    is_url = records.photos.str.startswith(_SCHEMES).to_numpy(dtype=bool)
    several = np.flatnonzero(containing(records.photos, (*PHOTO_SEPARATORS, ",http", ", http")))
    own = [number for number, record in enumerate(records.ids) if record in of_record] if of_record else []
    numbers, ids, urls = [], [], []
    for number in sorted({*several.tolist(), *own}):
        record = records.ids[number]
        named = [
            name for name in split_photographs(str(records.photos.iloc[number])) if name.startswith(_SCHEMES)
        ]
        if record in of_record:
            rows = [
                (photo.id, named[0] if i == 0 and named else "") for i, photo in enumerate(of_record[record])
            ]
        elif len(named) > 1 and record not in there:
            rows = [(record if i == 0 else f"{record} ({i + 1})", url) for i, url in enumerate(named)]
        else:
            rows = [(record, named[0] if named else "")]
        numbers += [number] * len(rows)
        ids += [image_id for image_id, _ in rows]
        urls += [url for _, url in rows]
    plain = np.ones(len(records), dtype=bool)
    plain[numbers] = False
    columns = {
        RECORD_NUMBER: np.arange(len(records)),
        ID: records.names,
        IMAGE_URL: records.photos if is_url.all() else records.photos.where(is_url, ""),
    }
    simple = pd.DataFrame(columns)
    if not numbers:
        return simple
    special = pd.DataFrame(
        {
            RECORD_NUMBER: np.array(numbers),
            ID: pd.Series(ids, dtype="str"),
            IMAGE_URL: pd.Series(urls, dtype="str"),
        }
    )
    both = pd.concat([simple[plain], special], ignore_index=True)
    return both.sort_values(RECORD_NUMBER, kind="stable", ignore_index=True)


def image_table(described: Annotated, rows: pd.DataFrame) -> pd.DataFrame:
    """The annotation table of some images, rows of `image_rows`."""
    records = described.records
    columns = {facet_column(facet): texts for facet, texts in described.annotations.items()}
    columns |= {
        PROVIDER: records.providers.array,
        TITLE: records.titles.array,
        RECORD: records.names.array,
    }
    numbers = rows[RECORD_NUMBER].to_numpy()
    if not np.array_equal(numbers, np.arange(len(records))):
        columns = {name: texts.take(numbers) for name, texts in columns.items()}
    table = pd.DataFrame({ID: rows[ID].array, IMAGE_URL: rows[IMAGE_URL].array, **columns})
    facets = [facet_column(facet) for facet in described.annotations]
    return table[[ID, *facets, IMAGE_URL, PROVIDER, TITLE, RECORD]]


def photographs_of(root: Root, records: Records, files: ImageFiles) -> Found:
    """The records' photographs, by name; moved and renamed ones as the ledger knows them."""
    if not files.files and not root.ledger.is_file():
        return Found()
    named = {records.ids[number]: names for number, names in records.photo_names().items()}
    found = find_photographs(records.ids, files, named)
    if found.unused:
        without = set(records.ids) - {photograph.record for photograph in found.photographs}
        moved = moved_photographs(root, ImageFiles(found.unused), without)
        found.photographs += [Photograph(image_id, image_id, file) for file, image_id in moved.items()]
        found.unused = [file for file in found.unused if file not in moved]
    lost = lost_photographs(root, {photograph.id for photograph in found.photographs})
    found.lost = [
        replace(photograph, id=lost[photograph.file])
        for photograph in find_photographs(records.ids, ImageFiles(list(lost)), named).photographs
    ]
    return found
