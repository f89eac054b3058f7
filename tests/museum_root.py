"""Two museums' photographs as a collection root: one to learn from and to test on, the other one outside.

The words of their catalogues become tags by a mapping that belongs to this benchmark alone.
"""

import csv
import hashlib
import re
from pathlib import Path

from eufcc_cli.core.files import Root

CLEVELAND, CHICAGO = "Cleveland Museum of Art", "Art Institute of Chicago"

_MATERIALS: dict[str, str] = {
    # what a word of `Medium` names, general to specific
    "terracotta|earthenware|pottery|silt|marl|clay|ceramic|ware": "ceramic",
    "terracotta": "ceramic | terracotta",
    "earthenware": "ceramic | earthenware",
    "silt|marl": "ceramic | Nile clay",
    "faience": "faience",
    "glass": "glass",
    "limestone|travertine|marble|steatite|granodiorite|graywacke|sandstone|granite|quartzite|basalt|calcite"
    "|stone|alabaster|carnelian|amethyst|hematite|feldspar|jasper|obsidian|sardonyx|lazuli": "stone",
    "limestone": "stone | limestone",
    "travertine|calcite|alabaster": "stone | travertine",
    "marble": "stone | marble",
    "steatite": "stone | steatite",
    "granodiorite|granite|graywacke|basalt|quartzite": "stone | hard stone",
    "carnelian|amethyst|hematite|feldspar|jasper|obsidian|sardonyx|lazuli": "stone | gem",
    "bronze|tin-bronze|copper|gold|silver|electrum|iron|lead": "metal",
    "bronze|tin-bronze|copper": "metal | copper alloy",
    "bronze|tin-bronze": "metal | copper alloy | bronze",
    "gold|electrum": "metal | gold",
    "silver": "metal | silver",
    "wood|sycamore|cedar|tamarisk|fig|boxwood|acacia|ebony": "wood",
    "paper|papyrus|canvas": "support",
    "paper": "support | paper",
    "papyrus": "support | papyrus",
    "linen|wool|silk|cotton|weave": "textile",
    "ivory|bone": "bone and ivory",
    "leather": "leather",
}
_OBJECTS: dict[str, str] = {
    "vessel|vessels|ceramic|ceramics|glass": "vessel",
    "jewelry|costume and accessories|amulets|scarabs": "personal ornament",
    "jewelry|costume and accessories": "personal ornament | jewellery",
    "amulets": "personal ornament | amulet",
    "scarabs": "personal ornament | amulet | scarab",
    "sculpture": "sculpture",
    "coin|coins": "coin",
    "funerary equipment|funerary object": "funerary equipment",
    "drawing|drawing and watercolor|painting": "picture",
    "drawing|drawing and watercolor": "picture | drawing",
    "painting": "picture | painting",
    "implements|cosmetic objects|metalwork|musical instrument": "implement",
    "cosmetic objects": "implement | cosmetic object",
    "furniture and woodwork|wood": "furniture",
    "architectural fragment": "architectural fragment",
}


def museum_root(shared: Path, folder: Path, split_seed: int = 0, outer: str = CHICAGO) -> Root:
    """Write tables and labels of a root at `folder`; its photographs stay where they are, linked to.

    Of one museum's records 60 % are train, 15 % val, 25 % test_id, by a hash of id and seed; all of the
    outer museum's are test_ood.
    """
    root = Root(folder)
    root.data.mkdir(parents=True, exist_ok=True)
    photos = folder / "images"
    if not photos.exists():
        photos.symlink_to((shared / "museum" / "photos").resolve(), target_is_directory=True)
    rows: dict[str, list[dict[str, str]]] = {split: [] for split in ("train", "val", "test_id", "test_ood")}
    with (shared / "museum" / "export.csv").open(encoding="utf-8", newline="") as file:
        for record in csv.DictReader(file):
            materials = _tags(re.findall(r"[a-z-]+", record["Medium"].lower()), _MATERIALS)
            objects = _tags([record["ObjectName"].strip().lower()], _OBJECTS)
            if not materials and not objects:
                continue
            rows[_split(record, split_seed, outer)].append(
                {
                    "idInSource": record["ID"],
                    "objectTypes.hierarchy": objects,
                    "subjects.hierarchy": "",
                    "materials.hierarchy": materials,
                    "#portraitMedia.original": record["ImageURL"],
                    "database": record["Source"],
                    "repository.keeper": record["Source"],
                    "classifications.hierarchy": "",
                }
            )
    for split, records in rows.items():
        with root.table(split).open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows["train"][0]))
            writer.writeheader()
            writer.writerows(records)
    return root


def _split(record: dict[str, str], seed: int, outer: str) -> str:
    if record["Source"] == outer:
        return "test_ood"
    share = int(hashlib.sha256(f"{seed} {record['ID']}".encode()).hexdigest()[:8], 16) / 16**8
    return "train" if share < 0.6 else "val" if share < 0.75 else "test_id"


def _tags(words: list[str], mapping: dict[str, str]) -> str:
    """The deepest paths that the words name, joined as in the published tables."""
    paths = {path for names, path in mapping.items() if set(names.split("|")) & set(words)}
    deepest = [path for path in paths if not any(other.startswith(f"{path} | ") for other in paths)]
    return " $ ".join(sorted(deepest))
