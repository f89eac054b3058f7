"""The wanted images that are done, those with unrecorded files, and those to download."""

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import pandas as pd

from eufcc_cli.core.download import origins
from eufcc_cli.core.download.image_files import is_regular, scan_flat_images, walk_files
from eufcc_cli.core.download.ledger import OK, Entry, Ledger, LedgerReader, recorded_file, stays_inside
from eufcc_cli.core.download.origins import FOUND, Origin
from eufcc_cli.core.download.store import CRASHED, INCOMING, Stored, Storing, verify_existing
from eufcc_cli.core.download.workers import Workers
from eufcc_cli.core.files import Root, image_id_of, is_text
from eufcc_cli.core.progress import Progress

log = logging.getLogger("eufcc")


class Found(NamedTuple):
    """A file that may be a wanted image."""

    id: str
    file: Path
    url: str


@dataclass(frozen=True)
class Backlog:
    """`pending` are the rows to download, `found` existing files that may be some of these images (or of the
    failed ones); `done` and `failed` count the images that are finished. `lost` are rows whose files are
    missing or have another size, `partial` the incomplete files of a killed run."""

    pending: pd.DataFrame
    found: list[Found]
    done: int
    failed: int
    lost: list[str]
    partial: list[Path]

    def clear(self, ledger: Ledger) -> None:
        """Remove lost rows from the ledger, and partial files from the disk."""
        ledger.forget(self.lost)
        for file in self.partial:
            log.debug("removed partial file %s", file)
            file.unlink(missing_ok=True)


def find_backlog(
    root: Root, ledger: LedgerReader, wanted: pd.DataFrame, retry: Collection[str] = ()
) -> Backlog:
    """Compare the wanted images with the ledger and the ledger with the files.

    An image is done if its file is there with the recorded size; one that failed is pending if its status is
    in `retry`. Changes nothing: `Backlog.clear` does.
    """
    files, partial = _sizes(str(root.images))
    done, failed, lost = set(), set(), []
    urls = dict(zip(wanted["id"], wanted["url"], strict=True))
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
        elif not urls.get(image_id):
            failed.add(image_id)  # a photograph that was moved, which cannot be downloaded
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
    return Backlog(pending, waiting, int(is_done.sum()), int(is_failed.sum()), lost, partial)


def _among(ids: Sequence[str], some: set[str]) -> np.ndarray:
    # pandas' isin converts the set to an array first: ten times slower.
    return np.fromiter(map(some.__contains__, ids), bool, len(ids))


def _sizes(folder: str) -> tuple[dict[str, int], list[Path]]:
    """The size of every file below the folder, and the partial ones."""
    sizes, partial = {}, []
    for path, entry in walk_files(folder):
        if entry.name.startswith("."):
            if entry.name.endswith(".part"):
                partial.append(Path(folder, path))
        else:
            sizes[path] = entry.stat(follow_symlinks=False).st_size
    return sizes, partial


async def record_found(
    found: Sequence[Found], workers: Workers, how: Storing, ledger: Ledger, progress: Progress
) -> tuple[set[str], dict[str, Path]]:
    """Verify existing files, and record the valid ones, which need no download.

    Returns the ids that were recorded, and the invalid files below data/images by their ids.
    """
    recorded: set[str] = set()
    invalid: dict[str, Path] = {}
    urls = {image_id: url for image_id, _, url in found}
    resized = how.resize is not None  # perhaps: then the original bytes are not known
    noted = origins.read(how.folder / INCOMING)
    files = [(image_id, file) for image_id, file, _ in found]
    with progress.task("Checking images", len(found)) as task:
        checked = workers.each(verify_existing, files, how, crashed=CRASHED)
        async for (image_id, file), result in checked:
            if isinstance(result, Stored):
                recorded.add(image_id)
                source = None if resized else result.sha256
                origin = noted.get(image_id)
                ours = origin is not None and origin.candidate != FOUND
                if origin is None or not ours or not (resized or origin.source_sha256 == source):
                    origin = Origin(image_id, FOUND, urls[image_id], source)
                ledger.record(entry_of(result, origin))
            else:
                log.warning("%s is ignored: %s", file, result.reason)
                if file.is_relative_to(how.folder):
                    invalid[image_id] = file
            ledger.commit_if_due()
            task.advance()
    return recorded, invalid


def entry_of(stored: Stored, origin: Origin) -> Entry:
    """The ledger's row of an existing file."""
    entry = Entry(origin.id, OK, origin.url, origin.candidate, source_sha256=origin.source_sha256)
    return replace(entry, **vars(stored))
