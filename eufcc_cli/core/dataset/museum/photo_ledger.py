"""A museum's photographs in the ledger: verified, and copied only on request."""

import os
import zipfile
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from eufcc_cli.core.dataset.museum.photos import Found, Photograph
from eufcc_cli.core.download.image_files import ImageFiles, Moved, is_image_name, links_out
from eufcc_cli.core.download.ledger import OK, Entry, Ledger, LedgerReader, recorded_file
from eufcc_cli.core.download.origins import FOUND
from eufcc_cli.core.download.store import Rejected, Stored, Storing, describe, verify_existing
from eufcc_cli.core.errors import DataError
from eufcc_cli.core.files import Root, is_text
from eufcc_cli.core.progress import SILENT, Progress

_THREADS = 8  # mostly waiting for the disk


@dataclass
class Checked:
    """The photographs read: {image: its properties}, and why others cannot be used."""

    good: dict[str, Stored] = field(default_factory=dict)
    bad: dict[str, str] = field(default_factory=dict)
    statuses: dict[str, str] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    """{image: SHA-256 of its file}, also of images that the ledger has and this export lacks."""

    def digest(self, image_id: str) -> str | None:
        """The SHA-256 of an image's file."""
        return self.good[image_id].sha256 if image_id in self.good else None


def photo_files(root: Root, folders: Sequence[Path]) -> ImageFiles:
    """The image files below the photo folders, data/images and images/, without those of downloads.

    Raises DataError for a folder that does not exist or holds no image.
    """
    for folder in folders:
        if zipfile.is_zipfile(folder):
            raise DataError(f"{folder}: a ZIP file", hint="unpack it, and give the folder as `photos`")
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder", hint="give the one with the photographs as `photos`")
    files: list[Path] = []
    for folder in folders:
        here = ImageFiles.below([folder], folders).files
        if not here:
            raise _no_image(folder, folders)
        files += here
    # A link beside the file that it leads to is not a second photograph.
    links = {file: Path(os.path.realpath(file)) for file in files if file.is_symlink()}
    real = {Path(os.path.realpath(file)) for file in files if file not in links}
    files = [file for file in files if file not in links or links[file] not in real]
    own = ImageFiles.below([root.images.resolve(), (root.path / "images").resolve()]).files
    files += [file for file in own if not _is_download(root, file)]
    return ImageFiles([file for file in dict.fromkeys(files) if is_text(str(file))])


def _no_image(folder: Path, folders: Sequence[Path]) -> DataError:
    for link, target in links_out([folder], folders).items():
        if is_image_name(link.name) and target.is_file():
            return DataError(
                f"{folder}: no image in it, only links to files elsewhere: {link.name} leads to {target}",
                hint=f"give {target.parent} as `photos`, too",
            )
    packed = next(folder.rglob("*.zip"), None)
    hint = f"unpack {packed} first" if packed else "is it the folder of the photographs?"
    return DataError(f"{folder}: no image in it, or below it", hint=hint)


def _is_download(root: Root, file: Path) -> bool:
    """Whether a path is one that `image_stem` makes: two digits of a digest, then the encoded id."""
    images = root.images.resolve()
    if not file.is_relative_to(images):
        return False
    first = file.relative_to(images).parts[0]
    return len(first) == 2 and set(first) <= set("0123456789abcdef")


def check_photographs(root: Root, photographs: Sequence[Photograph], progress: Progress = SILENT) -> Checked:
    """Read every photograph that is new to the ledger or has changed."""
    checked = Checked()
    how = Storing(root.images.resolve(), None)
    with LedgerReader(root.ledger) as ledger:
        known = {entry.id: entry for entry in ledger.entries("status = ?", (OK,))}
    checked.digests = {entry.id: entry.sha256 for entry in known.values() if entry.sha256}
    todo = []
    for photograph in photographs:
        entry = known.get(photograph.id)
        if entry and _unchanged(root, entry, photograph.file):
            checked.good[photograph.id] = Stored(
                str(entry.path), entry.bytes or 0, entry.width or 0, entry.height or 0,
                str(entry.format), str(entry.sha256),
            )  # fmt: skip
        else:
            todo.append(photograph)
    with progress.task("Reading photographs", len(todo)) as task, ThreadPoolExecutor(_THREADS) as pool:
        results = pool.map(lambda photograph: describe(photograph.file, how), todo)
        for photograph, result in zip(todo, results, strict=True):
            if isinstance(result, Rejected):
                checked.bad[photograph.id] = result.reason
                checked.statuses[photograph.id] = result.status
            else:
                checked.good[photograph.id] = result
            task.advance()
    checked.digests |= {image_id: stored.sha256 for image_id, stored in checked.good.items()}
    return checked


def _unchanged(root: Root, entry: Entry, file: Path) -> bool:
    if not entry.path or entry.sha256 is None or recorded_file(root.images.resolve(), entry.path) != file:
        return False
    try:
        return file.stat().st_size == entry.bytes
    except OSError:
        return False


def record_photographs(
    root: Root,
    found: Found,
    checked: Checked,
    *,
    copy: bool = False,
    progress: Progress = SILENT,
) -> None:
    """Write the photographs into the ledger, without those that are lost; with `copy`, copy their files into
    data/images first."""
    photographs = found.photographs
    if not photographs and not found.lost:
        return
    how = Storing(root.images.resolve(), None)
    with Ledger(root.ledger) as ledger, progress.task("Recording photographs", len(photographs)) as task:
        ledger.forget(photograph.id for photograph in found.lost)
        before = {entry.id: entry for entry in ledger.entries()}
        for photograph in photographs:
            result: Stored | Rejected | None = checked.good.get(photograph.id)
            if copy and isinstance(result, Stored) and Path(result.path).is_absolute():
                result = verify_existing((photograph.id, photograph.file), how)
            if isinstance(result, Stored):
                entry = Entry(photograph.id, OK, candidate=FOUND, source_sha256=result.sha256)
                same = before.get(photograph.id)
                if not (
                    same and same.status == OK and (same.path, same.sha256) == (result.path, result.sha256)
                ):
                    ledger.record(replace(entry, **vars(result)))
            else:
                status = result.status if result else checked.statuses[photograph.id]
                reason = result.reason if result else checked.bad[photograph.id]
                ledger.record(Entry(photograph.id, status, candidate=FOUND, reason=reason))
            ledger.commit_if_due()
            task.advance()


def moved_photographs(root: Root, files: ImageFiles, ids: Collection[str]) -> dict[Path, str]:
    """Moved photographs of these ids, {file: id}: the ledger's file is gone, and this one has its name and
    size, or its content."""
    found: dict[Path, str] = {}
    with LedgerReader(root.ledger) as ledger:
        for entry in ledger.entries("status = ?", (OK,)):
            file = recorded_file(root.images, str(entry.path)) if entry.id in ids else None
            if file is not None and file.is_absolute() and not file.exists():
                now = files.moved(Moved(file.name, entry.bytes, entry.sha256))
                if now is not None:
                    found.setdefault(now, entry.id)
    return found


def lost_photographs(root: Root, found: Collection[str]) -> dict[Path, str]:
    """Photographs outside data/images that the ledger has and that no longer exist, {file: id}, without those
    that were found again."""
    with LedgerReader(root.ledger) as ledger:
        entries = [entry for entry in ledger.entries("status = ?", (OK,)) if entry.id not in found]
    files = {Path(entry.path): entry.id for entry in entries if entry.path}
    return {file: image_id for file, image_id in files.items() if file.is_absolute() and not file.exists()}
