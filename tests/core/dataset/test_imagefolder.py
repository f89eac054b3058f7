"""A collection as an imagefolder, loaded by the `datasets` library."""

import csv
from pathlib import Path

import pytest
from huggingface_hub import DatasetCard
from PIL import Image

from eufcc_cli.core.dataset.imagefolder import dataset_card, export_imagefolder
from eufcc_cli.core.errors import DataError
from eufcc_cli.core.files import Root, image_stem

_HEADER = "idInSource,materials.hierarchy,objectTypes.hierarchy,repository.keeper,rights,title\n"


@pytest.fixture
def small(tmp_path: Path) -> Root:
    root = Root(tmp_path / "root")
    root.images.mkdir(parents=True)
    rows = {
        "train": [("a/1", "metal | bronze $ wood"), ("b", ""), ("gone", "wood")],
        "val": [("c", "wood")],
        "test_ood": [("d", "wood")],
    }
    for split, listed in rows.items():
        lines = (
            f'{name},{materials},,"Museum, Town",http://r.org/1,"A ""title"""\n' for name, materials in listed
        )
        root.table(split).write_text(_HEADER + "".join(lines), encoding="utf-8")
    for number, name in enumerate(("a/1", "b", "c", "d")):
        path = root.images / f"{image_stem(name)}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6), (number, 0, 0)).save(path)
    return root


def test_the_library_loads_every_split_with_its_columns(small: Root, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    done = export_imagefolder(small, tmp_path / "out")
    assert (done.images, done.missing) == ({"train": 2, "validation": 1, "test_ood": 1}, 1)
    loaded = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert {name: len(split) for name, split in loaded.items()} == done.images
    first = next(row for row in loaded["train"] if row["id"] == "a/1")
    assert first["materials"] == "metal | bronze $ wood"
    assert (first["title"], first["provider"], first["rights"]) == (
        'A "title"',
        "Museum, Town",
        "http://r.org/1",
    )
    assert first["image"].size == (8, 6) and first["image"].getpixel((0, 0)) == (0, 0, 0)
    assert loaded["validation"][0]["image"].getpixel((0, 0))[0] == 2


def test_by_the_documented_rules(small: Root, tmp_path: Path) -> None:
    """metadata.csv stands in the split's folder; each file_name is a file below it."""
    target = tmp_path / "out"
    export_imagefolder(small, target, ["train"])
    assert sorted(one.name for one in target.iterdir()) == ["README.md", "train"]
    with (target / "train/metadata.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == ["a/1", "b"]
    assert all((target / "train" / row["file_name"]).is_file() for row in rows)
    copied = (target / "train" / rows[0]["file_name"]).stat().st_mtime_ns
    export_imagefolder(small, target, ["train"])  # goes on where it stopped
    assert (target / "train" / rows[0]["file_name"]).stat().st_mtime_ns == copied


def test_the_card_names_folders_and_splits() -> None:
    card = DatasetCard(dataset_card("out", ["materials"], {"train": 2, "validation": 0, "test_id": 1}))
    assert card.data.configs == [
        {
            "config_name": "default",
            "data_files": [
                {"split": "train", "path": "train/**"},
                {"split": "test_id", "path": "test_id/**"},
            ],
        }
    ]
    assert card.data.task_categories == ["image-classification"]


def test_nothing_to_export(tmp_path: Path) -> None:
    root = Root(tmp_path)
    with pytest.raises(DataError, match="no annotation table"):
        export_imagefolder(root, tmp_path / "out")
    root.data.mkdir()
    root.table("train").write_text(_HEADER + "a,wood,,,,\n")
    with pytest.raises(DataError, match="no image there"):
        export_imagefolder(root, tmp_path / "out")
    assert not (tmp_path / "out").exists()
