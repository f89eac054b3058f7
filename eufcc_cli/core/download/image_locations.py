"""The image files of a root: from the ledger, or in folders by their names."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from eufcc_cli.core.download.image_files import (
    ImageFiles,
    Moved,
    is_regular,
    scan_flat_images,
    scan_images,
    walk_files,
)
from eufcc_cli.core.download.ledger import OK, LedgerReader, recorded_file, stays_inside
from eufcc_cli.core.files import Root


def find_images(root: Root, ids: Iterable[str] | None = None) -> dict[str, Path]:
    """The image files of all ids, or of those of these ids that have one.

    An id is searched in the ledger; then, unless its download failed, as a file whose stem is the id below
    data/images, images/ and the root's photo folders. A photograph that was moved is searched in the photo
    folders by its name and size, or its digest.
    """
    recorded, moved, failed = _recorded(root)
    if ids is None:
        if recorded or moved or failed:
            return recorded
        return scan_images(root.images, [root.path]) or scan_flat_images(root.path / "images")
    wanted = list(dict.fromkeys(ids))
    missing = [image_id for image_id in wanted if image_id not in recorded and image_id not in failed]
    # An image whose download failed may be in a folder that the user names.
    not_downloaded = [image_id for image_id in wanted if image_id in failed] if root.photos else []
    if missing or not_downloaded:
        recorded = recorded | _by_names(root, missing, not_downloaded, moved)
    return {image_id: recorded[image_id] for image_id in wanted if image_id in recorded}


def any_images(root: Root) -> bool:
    """False if `find_images` can find nothing: no ledger, and no file in the folders."""
    folders = map(str, (root.images, root.path / "images", *root.photos))
    return root.ledger.is_file() or any(True for folder in folders for _ in walk_files(folder, links=None))


def missing_hint(root: Root, split: str, an_id: str) -> str:
    """The hint for a split none of whose images is found."""
    there = ImageFiles.below([root.images, root.path / "images", *root.photos]).files
    if not there:
        return f"run `eufcc download --split {split}` first, or name their folder with `photos`"
    other = f"there are {len(there):,} image files with other names ({there[0].name})"
    return f"{other}: name each after its id ({an_id}), or run `eufcc download --split {split}`"


def _by_names(
    root: Root, missing: list[str], not_downloaded: list[str], moved: Mapping[str, Moved]
) -> dict[str, Path]:
    found: dict[str, Path] = {}
    named = ImageFiles.below(root.photos, [root.path])
    for image_id in (*missing, *not_downloaded) if moved else ():
        if image_id in moved and (file := named.moved(moved[image_id])):
            found[image_id] = file
    if encoded := scan_images(root.images, [root.path, *root.photos]):
        rest = [image_id for image_id in missing if image_id not in found]
        found |= {image_id: encoded[image_id] for image_id in rest if image_id in encoded}
    for files, of in (
        (lambda: ImageFiles.below([root.images, root.path / "images"], [root.path, *root.photos]), missing),
        (lambda: named, [*missing, *not_downloaded]),
    ):
        if rest := [image_id for image_id in of if image_id not in found]:
            found |= files().named(rest)
    return found


def _recorded(root: Root) -> tuple[dict[str, Path], dict[str, Moved], set[str]]:
    """The ledger's images with a file, those that were moved, and failures."""
    found: dict[str, Path] = {}
    moved: dict[str, Moved] = {}
    failed: set[str] = set()
    if not root.ledger.is_file():
        return found, moved, failed
    with LedgerReader(root.ledger) as ledger:
        for image_id, status, path, size, digest in ledger.rows(
            "SELECT id, status, path, bytes, sha256 FROM images"
        ):
            if status != OK:
                failed.add(image_id)
            elif path is not None and (file := recorded_file(root.images, path)):
                if stays_inside(path) or is_regular(file):
                    found[image_id] = file
                else:
                    moved[image_id] = Moved(file.name, size, digest)
    return found, moved, failed
