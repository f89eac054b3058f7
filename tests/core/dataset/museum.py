"""A small made-up museum: records with free text, and photographs."""

import random
from pathlib import Path

import pandas as pd
from PIL import Image

from eufcc_cli.core.dataset.museum.readers.export import text_frame

KINDS = ("Vase", "Münze", "vases", "Skulptur aus Stein", "Coin", "")
MEDIA = (
    "bronze",
    "Bronze with gold inlay",
    "gold; silver",
    "wood",
    "marble",
    "Papier",
    "imitation leather",
    "",
)
COLUMNS = ("Inventar-Nr.", "Bezeichnung", "Objektart", "Material", "Einrichtung", "Bild")


def export(records: int = 60, seed: int = 0, museums: int = 1) -> pd.DataFrame:
    """The export of a museum that numbers its objects 1913.1, 1913.2 …"""
    rng = random.Random(seed)
    rows = [
        (
            f"1913.{i}",
            f"Gegenstand Größe {i}",
            rng.choice(KINDS),
            rng.choice(MEDIA),
            f"Museum {'ABCDEFGH'[i % museums]}",
            f"bild_{i}.jpg" if i % 9 == 0 else "",
        )
        for i in range(1, records + 1)
    ]
    return text_frame(COLUMNS, list(zip(*rows, strict=True)))


def photograph(path: Path, colour: int, size: int = 24) -> Path:
    """A small picture of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shades = (colour % 256, colour // 256 % 256, colour * 7 % 256)
    form = {".png": "PNG", ".tif": "TIFF", ".tiff": "TIFF", ".webp": "WEBP"}.get(path.suffix.lower(), "JPEG")
    Image.new("RGB", (size, size), shades).save(path, form, **({"quality": 95} if form == "JPEG" else {}))
    return path


def photographs(folder: Path, table: pd.DataFrame) -> Path:
    """A photograph for every record, named by its id, or as the photo column says."""
    for i, (record, name) in enumerate(zip(table["Inventar-Nr."], table["Bild"], strict=True)):
        photograph(folder / (name or f"{record}.jpg"), 1000 + 37 * i)
    return folder
