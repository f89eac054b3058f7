"""What of the wanted images is done, what lies there unrecorded, and what is left to fetch."""

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import pandas as pd

from eufcc_cli.core.download.image_files import is_regular, scan_flat_images, walk_files
from eufcc_cli.core.download.ledger import OK, Ledger, LedgerReader, recorded_file, stays_inside
from eufcc_cli.core.files import Root, image_id_of, is_text

log = logging.getLogger("eufcc")


class Found(NamedTuple):
    """A file that may be a wanted image's."""

    id: str
    file: Path
    url: str


@dataclass(frozen=True)
class Backlog:
    """`pending` are the rows to fetch, `found` the files that may spare fetching some of them (or of the
    failed ones); `done` and `failed` count what the ledger has settled. `lost` are rows whose files are not
    there as recorded, `torn` what a killed run left half-written."""

    pending: pd.DataFrame
    found: list[Found]
    done: int
    failed: int
    lost: list[str]
    torn: list[Path]

    def clear(self, ledger: Ledger) -> None:
        """Remove what is lost from the ledger, and what is torn from the disk."""
        ledger.forget(self.lost)
        for file in self.torn:
            log.debug("removed half-written %s", file)
            file.unlink(missing_ok=True)


def take_stock(
    root: Root, ledger: LedgerReader, wanted: pd.DataFrame, retry: Collection[str] = ()
) -> Backlog:
    """Compare the wanted images with the ledger and the ledger with the files.

    An image is done if its file is there with the recorded size; one that failed is taken up again if its
    status is in `retry`. Changes nothing: that is for `Backlog.clear`.
    """
    files, torn = _sizes(str(root.images))
    done, failed, lost = set(), set(), []
    addresses = dict(zip(wanted["id"], wanted["url"], strict=True))
    for image_id, status, path, size in ledger.select("id", "status", "path", "bytes"):
        if status != OK:
            if status not in retry:
                failed.add(image_id)
        elif path in files and files[path] == size:
            done.add(image_id)
            del files[path]
        elif stays_inside(str(path)) or (file := recorded_file(root.images, path)) is None:
            lost.append(image_id)
        elif is_regular(file):
            done.add(image_id)
        elif not addresses.get(image_id):
            failed.add(image_id)  # a photograph that was moved: no download brings it back
    ids = wanted["id"].tolist()
    is_done, is_failed = _among(ids, done), _among(ids, failed)
    not_there = {i: url for i, url in zip(ids, wanted["url"].tolist(), strict=True) if i not in done}
    found = {
        image_id: root.images / path
        for path in files
        if "/" in path and is_text(path) and (image_id := image_id_of(PurePosixPath(path))) in not_there
    }
    if not_there:
        found = {
            i: path for i, path in scan_flat_images(root.path / "images").items() if i in not_there
        } | found
    pending = wanted[~is_done & ~is_failed].reset_index(drop=True)
    waiting = [Found(image_id, file, not_there[image_id]) for image_id, file in found.items()]
    return Backlog(pending, waiting, int(is_done.sum()), int(is_failed.sum()), lost, torn)


def _among(ids: Sequence[str], some: set[str]) -> np.ndarray:
    # pandas' isin makes an array of the set first, which takes ten times longer.
    return np.fromiter(map(some.__contains__, ids), bool, len(ids))


def _sizes(folder: str) -> tuple[dict[str, int], list[Path]]:
    """The size of every file below the folder, and the half-written ones."""
    sizes, torn = {}, []
    for path, entry in walk_files(folder):
        if entry.name.startswith("."):
            if entry.name.endswith(".part"):
                torn.append(Path(folder, path))
        else:
            sizes[path] = entry.stat(follow_symlinks=False).st_size
    return sizes, torn
