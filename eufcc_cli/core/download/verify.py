"""The files against the ledger: which are missing, changed or orphaned; the ledger is mended."""

from collections.abc import Collection, Set
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import NamedTuple

from eufcc_cli.core.download import origins
from eufcc_cli.core.download.image_files import walk_files
from eufcc_cli.core.download.ledger import OK, PLACEHOLDER, Entry, Ledger, recorded_file, stays_inside
from eufcc_cli.core.download.origins import Origin
from eufcc_cli.core.download.store import (
    CRASHED,
    INCOMING,
    Rejected,
    Stored,
    Storing,
    check_all,
    verify_existing_files,
)
from eufcc_cli.core.download.workers import Workers
from eufcc_cli.core.files import Root, image_id_of, is_text
from eufcc_cli.core.http import event_loop
from eufcc_cli.core.machine import cores
from eufcc_cli.core.progress import SILENT, Progress, Task


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
    known: Set[str],
    *,
    processes: int | None = None,
    progress: Progress = SILENT,
) -> Audit:
    """Compare every file's SHA-256 with the ledger, and the files with its rows; mend the ledger.

    A row whose file is gone, or no image to keep, is removed, so that the next download fetches it; a file
    that changed but is an image is recorded as it is now. A file without a row is recorded if its id is
    `known`, else left alone and told.
    """
    how = Storing(root.images, None, list(ledger.placeholders()))
    return event_loop.run(_audit(root, ledger, known, how, processes or cores(), progress))


async def _audit(
    root: Root,
    ledger: Ledger,
    known: Set[str],
    how: Storing,
    processes: int,
    progress: Progress,
) -> Audit:
    outcome = Audit()
    entries = {entry.id: entry for entry in ledger.entries("status = ?", (OK,))}
    files = {path for path, _ in walk_files(str(root.images)) if _is_image(path)}
    try:
        async with Workers(processes) as workers:
            with progress.task("Verifying", len(entries)) as task:
                await _check_recorded(outcome, root, ledger, entries, workers, how, task)
            orphans = files - {str(entry.path) for entry in entries.values()}
            await _check_orphans(outcome, root, ledger, orphans, known - entries.keys(), workers, how)
    finally:
        ledger.commit()
    outcome.findings.sort()
    return outcome


async def _check_recorded(
    outcome: Audit,
    root: Root,
    ledger: Ledger,
    entries: dict[str, Entry],
    workers: Workers,
    how: Storing,
    task: Task,
) -> None:
    inside = []
    for entry in entries.values():
        if file := recorded_file(root.images, str(entry.path)):
            inside.append((entry.id, file, str(entry.sha256)))
        else:
            outcome.note("missing", entry.id, "removed from the ledger: its path leads elsewhere")
    async for (image_id, _, _), result in workers.each(check_all, inside, how, crashed=CRASHED):
        _settle(outcome, ledger, entries[image_id], result)
        ledger.commit_if_due()
        task.advance()
    ledger.forget(finding.image for finding in outcome.findings if finding.done.startswith("removed"))


def _settle(outcome: Audit, ledger: Ledger, entry: Entry, result: Stored | Rejected | None) -> None:
    """Record what the check of one file found; None is a file that is gone."""
    if result is None and not stays_inside(str(entry.path)):
        outcome.note(
            "missing", entry.id, f"left in the ledger: it was {entry.path}; name the folder it is in"
        )
    elif result is None:
        outcome.note("missing", entry.id, "removed from the ledger")
    elif isinstance(result, Rejected):
        kind = PLACEHOLDER if result.status == PLACEHOLDER else "changed"
        outcome.note(kind, entry.id, f"removed from the ledger: {result.reason}")
    elif result.sha256 == entry.sha256:
        outcome.intact += 1
    else:
        outcome.note("changed", entry.id, "recorded as it is now")
        ledger.record(replace(entry, look=None, **vars(result)))


async def _check_orphans(
    outcome: Audit,
    root: Root,
    ledger: Ledger,
    orphans: Collection[str],
    wanting: Collection[str],
    workers: Workers,
    how: Storing,
) -> None:
    """Record the files without a row whose ids are still `wanting` one; tell of the others."""
    ours = []
    noted = origins.read(root.images / INCOMING)
    for path in orphans:
        image_id = image_id_of(PurePosixPath(path))
        if image_id in wanting and is_text(path):
            ours.append((image_id, root.images / path))
        else:
            outcome.note("orphaned", path, "left: no image of the tables is kept there")
    async for (image_id, file), result in workers.each(verify_existing_files, ours, how, crashed=CRASHED):
        if isinstance(result, Stored):
            origin = noted.get(image_id, Origin(image_id, origins.FOUND, None, None))
            entry = Entry(image_id, OK, origin.url, origin.candidate, source_sha256=origin.source_sha256)
            ledger.record(replace(entry, **vars(result)))
        done = "recorded" if isinstance(result, Stored) else f"left: {result.reason}"
        outcome.note("orphaned", file.relative_to(root.images).as_posix(), done)


def _is_image(path: str) -> bool:
    return "/" in path and not path.rpartition("/")[2].startswith(".")
