"""Duplicates: identical and similar images are found, different pictures are not."""

import io
from itertools import combinations
from pathlib import Path

import imagehash
import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageEnhance

from eufcc_cli.core.download import duplicates
from eufcc_cli.core.download.backlog import find_backlog
from eufcc_cli.core.download.engine import download_images
from eufcc_cli.core.download.ledger import Ledger
from eufcc_cli.core.download.summary import read_wanted
from eufcc_cli.core.files import Root, image_stem
from eufcc_cli.core.images import fingerprint as fingerprints
from eufcc_cli.core.taxonomy.tables.annotation_files import write_table
from eufcc_cli.core.taxonomy.tables.annotations import DATABASE, FACET_COLUMNS, ID, IMAGE_URL, PROVIDER


def scene(seed: int) -> Image.Image:
    """A picture of blobs that no other seed gives."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8))
    return coarse.resize((180, 150), Image.Resampling.BICUBIC)


def jpeg(image: Image.Image, quality: int = 90) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


@pytest.fixture
def root(tmp_path: Path) -> Root:
    """Eight pictures in two splits; some there again in other guises."""
    root = Root(tmp_path)
    pictures = {f"train-{n}": ("train", jpeg(scene(n))) for n in range(8)}
    pictures["copy-0"] = ("test_id", jpeg(scene(0)))
    pictures["copy-1"] = ("train", jpeg(scene(1)))
    pictures["pale-2"] = ("test_id", jpeg(scene(2).resize((120, 100)), quality=60))
    pictures["dark-3"] = ("test_id", jpeg(ImageEnhance.Brightness(scene(3)).enhance(0.5)))
    pictures["turned-4"] = ("test_id", jpeg(scene(4).transpose(Image.Transpose.ROTATE_180)))
    for image_id, (_, content) in pictures.items():
        path = root.images / image_stem(image_id).with_suffix(".jpg")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    for split in ("train", "test_id"):
        ids = [image_id for image_id, (where, _) in pictures.items() if where == split]
        table = pd.DataFrame({ID: ids, IMAGE_URL: "", DATABASE: "TEST", PROVIDER: "museum"})
        for column in FACET_COLUMNS:
            table[column] = [f"{column} of {image_id}" for image_id in ids]
        write_table(table, root.table(split))
    return root


def test_duplicates_across_splits_are_found(root: Root) -> None:
    wanted = read_wanted(root)
    with Ledger(root.ledger) as ledger:
        stock = find_backlog(root, ledger, wanted)
        download_images(root, ledger, stock.pending, stock.found)
        found = duplicates.find_duplicates(root, ledger, wanted)
        groups = {
            (frozenset(group["id"]), *group[["kind", "leakage"]].iloc[0])
            for _, group in found.groupby("group")
        }
        assert groups == {
            (frozenset({"train-0", "copy-0"}), "identical", "yes"),
            (frozenset({"train-1", "copy-1"}), "identical", "no"),
            (frozenset({"train-2", "pale-2"}), "similar", "yes"),
        }
        assert list(found["leakage"]) == ["yes"] * 4 + ["no"] * 2
        assert list(found["group"]) == [1, 1, 2, 2, 3, 3]
        row = found.set_index("id").loc["copy-0"]
        assert (row["split"], row["provider"]) == ("test_id", "museum")
        assert row["materials.hierarchy"] == "materials.hierarchy of copy-0"
        # Nothing is deleted, and nothing is looked at twice.
        assert len(list(root.images.rglob("*.jpg"))) == 13
        for path in root.images.rglob("*.jpg"):
            path.unlink()
        pd.testing.assert_frame_equal(duplicates.find_duplicates(root, ledger, wanted), found)


def test_one_id_on_both_sides_is_leakage(root: Root) -> None:
    table = pd.read_csv(root.table("test_id"), dtype=str)
    both = table.iloc[:1].assign(**{ID: "train-5", FACET_COLUMNS[0]: "as the test says"})
    write_table(pd.concat([table, both]), root.table("test_id"))
    wanted = read_wanted(root)
    with Ledger(root.ledger) as ledger:
        stock = find_backlog(root, ledger, wanted.drop_duplicates("id"))
        download_images(root, ledger, stock.pending, stock.found)
        found = duplicates.find_duplicates(root, ledger, wanted)
    twice = found[found["id"] == "train-5"].set_index("split")
    assert twice[["kind", "leakage"]].to_numpy().tolist() == [["identical", "yes"]] * 2
    assert twice[FACET_COLUMNS[0]].to_dict() == {
        "train": f"{FACET_COLUMNS[0]} of train-5",
        "test_id": "as the test says",
    }


def test_no_images_have_no_duplicates(root: Root) -> None:
    wanted = read_wanted(root)
    with Ledger(root.ledger) as ledger:
        assert duplicates.find_duplicates(root, ledger, wanted).empty


def test_pairs_are_those_of_comparing_everything_with_everything() -> None:
    rng = np.random.default_rng(0)
    centres = rng.integers(0, 2**63, 12, dtype=np.uint64)
    bits = centres[rng.integers(0, 12, 300)]
    for _ in range(2):  # up to two bits away from a centre, up to four from each other
        bits ^= np.uint64(1) << rng.integers(0, 64, 300, dtype=np.uint64)
    colours = rng.choice([0, 3, 40], (300, 1)).astype(np.int16) + np.zeros((1, 48), np.int16)
    found = {
        tuple(sorted(pair))
        for one, other in duplicates.similar_pairs(bits, colours)
        for pair in zip(one.tolist(), other.tolist(), strict=True)
    }
    wanted = {
        (a, b)
        for a, b in combinations(range(300), 2)
        if int(bits[a] ^ bits[b]).bit_count() <= 3 and abs(int(colours[a, 0]) - int(colours[b, 0])) <= 6
    }
    assert found == wanted
    assert len(wanted) > 100


def test_a_look_holds_the_perceptual_hash() -> None:
    fingerprint = bytes.fromhex(fingerprints.fingerprint_of(scene(1)))
    assert fingerprint[:8].hex() == str(imagehash.phash(scene(1)))
    assert len(fingerprint) == 8 + 48


def test_real_photographs_have_few_duplicates(shared_data: Path) -> None:
    files = sorted((shared_data / "clothing" / "images").glob("*_te_*.jpg"))
    seen = pd.Series([fingerprints.fingerprint((file.stem, file)) for file in files])
    groups = duplicates.group_numbers(pd.Series(range(len(seen))), seen)
    assert len(set(groups.tolist())) >= 0.98 * len(files)
