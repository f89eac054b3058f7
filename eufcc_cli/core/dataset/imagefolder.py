"""A collection as a folder that Hugging Face's `datasets` loads: images, metadata.csv, a dataset card.

The layout is that of https://huggingface.co/docs/datasets/image_dataset (ImageFolder): each split is a
folder of images with a metadata.csv, whose column `file_name` names them; the card lists the folders.
"""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from eufcc_cli.core.dataset.provenance import AAT_ATTRIBUTION
from eufcc_cli.core.download.image_locations import find_images
from eufcc_cli.core.errors import DataError
from eufcc_cli.core.files import SPLITS, Root, atomic_open, image_stem, write_text
from eufcc_cli.core.progress import SILENT, Progress
from eufcc_cli.core.taxonomy.tables.annotation_files import read_table
from eufcc_cli.core.taxonomy.tables.annotations import FACETS, ID, PROVIDER, facet_column

SPLIT_NAMES = {"val": "validation"}
"""Hugging Face's names of splits, where they differ from ours."""
_COLUMNS = {
    ID: "id",
    **{facet_column(facet): facet for facet in FACETS},
    "title": "title",
    PROVIDER: "provider",
    "rights": "rights",
    "attribution": "attribution",
}
_CARD = """\
---
{metadata}
---

# {name}

{images:,} images of cultural heritage objects with tags in {facets}, exported by eufcc.

```python
from datasets import load_dataset

dataset = load_dataset("imagefolder", data_dir="{name}")
```

A tag stands with the broader ones above it: `metal | copper alloy | bronze $ wood` is two paths, from
general to specific. An empty value means "not annotated", never "none of these tags".

## Rights

Each image has rights of its own: see the columns `rights` and `attribution`, where there are any, before you
publish this folder, and add a `license` above. {aat}
"""


@dataclass
class Exported:
    """The images written, by split, and how many are not on disk."""

    images: dict[str, int] = field(default_factory=dict)
    missing: int = 0


def export_imagefolder(
    root: Root, target: Path, splits: Iterable[str] = (), progress: Progress = SILENT
) -> Exported:
    """Copy the images of the splits, with their annotations, to a folder; continues an interrupted export.

    Images that are missing are left out. Raises DataError if there is no table, or no image.
    """
    present = [split for split in (list(splits) or SPLITS) if root.table(split).is_file()]
    tables = {split: read_table(root.table(split), as_text=True) for split in present}
    if not tables:
        raise DataError(f"{root.data}: no annotation table", hint="`eufcc fetch` gets one")
    files = find_images(root, pd.concat([table[ID] for table in tables.values()]))
    if not files:
        raise DataError(f"{root.images}: no image there", hint="`eufcc download` gets them")
    exported = Exported()
    with progress.task("copying", sum(map(len, tables.values()))) as task:
        for split, table in tables.items():
            folder = target / SPLIT_NAMES.get(split, split)
            names = []
            for image_id in table[ID]:
                path = files.get(image_id)
                names.append(None if path is None else _copy(path, folder, image_id))
                task.advance()
            here = table.assign(file_name=pd.Series(names, table.index, dtype="str")).dropna(
                subset="file_name"
            )
            exported.missing += len(table) - len(here)
            exported.images[folder.name] = len(here)
            columns = {column: name for column, name in _COLUMNS.items() if column in here}
            with atomic_open(folder / "metadata.csv", "w") as file:
                rows = here[["file_name", *columns]].rename(columns=columns)
                rows.to_csv(file, index=False, lineterminator="\n")
    facets = [facet for facet in FACETS if any(facet_column(facet) in table for table in tables.values())]
    write_text(target / "README.md", dataset_card(target.resolve().name, facets, exported.images))
    return exported


def _copy(path: Path, folder: Path, image_id: str) -> str:
    """Copy an image into a split's folder, if it is not there yet; returns its name there."""
    name = f"{image_stem(image_id)}{path.suffix.lower()}"
    copy = folder / name
    if not copy.is_file() or copy.stat().st_size != path.stat().st_size:
        with path.open("rb") as source, atomic_open(copy) as file:
            shutil.copyfileobj(source, file)
    return name


def dataset_card(name: str, facets: Iterable[str], images: dict[str, int]) -> str:
    """The README of an exported folder; its metadata lists the folders of the splits."""
    from huggingface_hub import DatasetCardData

    data_files = [{"split": split, "path": f"{split}/**"} for split, count in images.items() if count]
    metadata = DatasetCardData(
        pretty_name=name,
        task_categories=["image-classification"],
        task_ids=["multi-label-image-classification"],
        tags=["cultural-heritage", "glam", "hierarchical", "aat"],
        configs=[{"config_name": "default", "data_files": data_files}],
    )
    return _CARD.format(
        metadata=metadata.to_yaml(),
        name=name,
        facets=", ".join(facets),
        images=sum(images.values()),
        aat=AAT_ATTRIBUTION,
    )
