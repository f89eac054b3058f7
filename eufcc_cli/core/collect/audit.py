"""The files against the ledger: which are missing, changed or orphaned; the ledger is mended."""

import asyncio
from collections.abc import Collection
from dataclasses import asdict, dataclass, field, replace
from pathlib import PurePosixPath
from typing import NamedTuple

from eufcc_cli.core.collect.decode import MAX_PIXELS
from eufcc_cli.core.collect.ledger import FOUND, OK, Entry, Ledger, stays_inside, walk_files
from eufcc_cli.core.collect.storing import CRASHED, Rejected, Stored, Storing, adopt_all, check_all
from eufcc_cli.core.collect.workers import Workers, cores
from eufcc_cli.core.files import Root, image_id_of
from eufcc_cli.core.progress import SILENT, Progress


class Finding(NamedTuple):
    """One thing that was not as the ledger says, and what was done about it."""

    kind: str
    image: str
    done: str


@dataclass
class Audit:
    """The outcome: files that are as recorded, and what is not."""

    intact: int = 0
    findings: list[Finding] = field(default_factory=list)

    def note(self, kind: str, image: str, done: str) -> None:
        self.findings.append(Finding(kind, image, done))


def audit(
    root: Root,
    ledger: Ledger,
    known: Collection[str],
    *,
    max_pixels: int = MAX_PIXELS,
    processes: int | None = None,
    progress: Progress = SILENT,
) -> Audit:
    """Compare every file's SHA-256 with the ledger, and the files with its rows; mend the ledger.

    A row whose file is gone, or no image any more, is removed, so that the next download fetches it; a file
    that changed but is an image is recorded as it is now. A file without a row is recorded if its id is
    `known`, else left alone and told.
    """
    how = Storing(root.images, None, max_pixels)
    return asyncio.run(_audit(root, ledger, known, how, processes or cores(), progress))


async def _audit(
    root: Root,
    ledger: Ledger,
    known: Collection[str],
    how: Storing,
    processes: int,
    progress: Progress,
) -> Audit:
    outcome = Audit()
    workers = Workers(processes)
    try:
        entries = {entry.id: entry for entry in ledger.entries("status = ?", (OK,))}
        files = {path for path, item in walk_files(str(root.images)) if _is_image(path)}
        recorded = [
            (entry.id, root.images / str(entry.path), str(entry.sha256))
            for entry in entries.values()
            if stays_inside(str(entry.path))
        ]
        with progress.task("Verifying", len(entries)) as task:
            for image_id in entries.keys() - {image_id for image_id, *_ in recorded}:
                outcome.note("missing", image_id, "removed from the ledger: its path leads elsewhere")
            checks = workers.each(check_all, recorded, how, crashed=CRASHED)
            async for (image_id, _, _), result in checks:
                _settle(outcome, ledger, entries[image_id], result)
                ledger.commit_if_due()
                task.advance()
        ledger.forget(f.image for f in outcome.findings if f.done.startswith("removed"))
        orphans = [
            (image_id_of(PurePosixPath(path)), root.images / path)
            for path in sorted(files - {str(entry.path) for entry in entries.values()})
        ]
        ours = [item for item in orphans if item[0] in known and item[0] not in entries]
        async for (image_id, file), adopted in workers.each(adopt_all, ours, how, crashed=CRASHED):
            if isinstance(adopted, Stored):
                ledger.record(replace(Entry(image_id, OK, rung=FOUND), **asdict(adopted)))
                outcome.note("orphaned", file.relative_to(root.images).as_posix(), "recorded")
            else:
                outcome.note("orphaned", file.relative_to(root.images).as_posix(), f"left: {adopted.reason}")
        for image_id, file in orphans:
            if image_id not in known or image_id in entries:
                outcome.note("orphaned", file.relative_to(root.images).as_posix(), "left: of no row's image")
    finally:
        workers.close()
        ledger.commit()
    outcome.findings.sort()
    return outcome


def _is_image(path: str) -> bool:
    return "/" in path and not path.rpartition("/")[2].startswith(".")


def _settle(outcome: Audit, ledger: Ledger, entry: Entry, result: Stored | Rejected | None) -> None:
    """Record what the check of one file found; None is a file that is gone."""
    if result is None:
        outcome.note("missing", entry.id, "removed from the ledger")
    elif isinstance(result, Rejected):
        outcome.note("changed", entry.id, f"removed from the ledger: {result.reason}")
    elif result.sha256 == entry.sha256:
        outcome.intact += 1
    else:
        outcome.note("changed", entry.id, "recorded as it is now")
        ledger.record(replace(entry, look=None, **asdict(result)))
