"""Collections kept as links (DVC, git-annex, a hub's cache): followed below the folders that are named."""

import os
from pathlib import Path

import pytest

from eufcc_cli.core.download.image_locations import find_images
from eufcc_cli.core.errors import DataError
from eufcc_cli.core.files import Root, image_stem
from eufcc_cli.core.taxonomy.vocabulary import Vocabulary
from eufcc_cli.core.training.loading.data import load_split


def linked(tmp_path: Path, store: str, at: str) -> Root:
    """A collection whose image `a` is a link at a place to a file in a store, both relative to tmp_path."""
    (tmp_path / store).mkdir(parents=True)
    (tmp_path / store / "0f3e.jpg").write_bytes(b"picture")
    link = tmp_path / "root" / at
    link.parent.mkdir(parents=True)
    link.symlink_to(os.path.relpath(tmp_path / store / "0f3e.jpg", link.parent))
    return Root(tmp_path / "root")


@pytest.mark.parametrize("at", ["images/a.jpg", "images/deep/A.JPG", f"data/images/{image_stem('a')}.jpg"])
@pytest.mark.parametrize("store", ["root/.dvc/cache/files", "root/.git/annex/objects", "root/blobs"])
def test_links_below_the_root_are_followed(tmp_path: Path, store: str, at: str) -> None:
    root = linked(tmp_path, store, at)
    assert find_images(root, ["a"]) == {"a": tmp_path / "root" / at}


def test_links_out_of_the_root_are_not_and_the_error_counts_them(tmp_path: Path) -> None:
    root = linked(tmp_path, "store", "images/a.jpg")
    assert find_images(root, ["a"]) == {}
    root.data.mkdir()
    root.table("val").write_text("idInSource,materials.hierarchy\na,or\n")
    with pytest.raises(DataError, match="1 links there lead out of"):
        load_split(root, "val", Vocabulary({}))


def test_links_into_a_named_folder_are_followed(tmp_path: Path) -> None:
    root = linked(tmp_path, "store", "images/a.jpg")
    assert find_images(Root(root.path, photos=(tmp_path / "store",)), ["a"]) == {
        "a": root.path / "images/a.jpg"
    }


def test_a_link_to_nowhere_or_to_itself_is_left_out(tmp_path: Path) -> None:
    root = linked(tmp_path, "root/blobs", "images/b.jpg")
    (root.path / "images" / "a.jpg").symlink_to("none.jpg")
    (root.path / "images" / "c.jpg").symlink_to("c.jpg")
    assert find_images(root, ["a", "b", "c"]) == {"b": root.path / "images" / "b.jpg"}
