"""Compare the files with the ledger (missing, changed, not recorded), and correct the ledger."""

import asyncio
from collections.abc import Collection, Set
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import NamedTuple

from eufcc_cli.core.download import origins
from eufcc_cli.core.download.backlog import entry_of
from eufcc_cli.core.download.image_files import walk_files
from eufcc_cli.core.download.ledger import OK, PLACEHOLDER, Entry, Ledger, recorded_file, stays_inside
from eufcc_cli.core.download.origins import Origin
from eufcc_cli.core.download.store import (
    CRASHED,
    INCOMING,
    Rejected,
    Stored,
    Storing,
    check,
    verify_existing,
)
from eufcc_cli.core.download.workers import Workers
from eufcc_cli.core.files import Root, image_id_of, is_text
from eufcc_cli.core.machine import cores
from eufcc_cli.core.progress import SILENT, Progress, Task


class Finding(NamedTuple):
    """One difference between files and ledger, and the correction."""

    kind: str
    image: str
    done: str


@dataclass
class Verification:
    """The outcome: the number of files that are as recorded, and the differences."""

    intact: int = 0
    findings: list[Finding] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    """The ids whose rows were removed from the ledger."""


def verify_images(
    root: Root, ledger: Ledger, known: Set[str], *, progress: Progress = SILENT
) -> Verification:
    """Compare every file's SHA-256 with the ledger, and the files with its rows; correct the ledger.

    A row whose file is missing, or is not an image, is removed, so that the next download fetches it; a file
    that is another image now is recorded again. A file without a row is recorded if its id is `known`, else
    it is only reported.
    """
    return asyncio.run(_Check(root, ledger).run(known, progress))


class _Check:
    def __init__(self, root: Root, ledger: Ledger) -> None:
        self._images, self._ledger, self._outcome = root.images, ledger, Verification()
        self._how = Storing(root.images, None, list(ledger.placeholders()))

    async def run(self, known: Set[str], progress: Progress) -> Verification:
        entries = {entry.id: entry for entry in self._ledger.entries("status = ?", (OK,))}
        files = {path for path, _ in walk_files(str(self._images)) if _is_image(path)}
        try:
            async with Workers(cores()) as workers:
                with progress.task("Verifying", len(entries)) as task:
                    await self._check_recorded(entries, workers, task)
                new = files - {str(entry.path) for entry in entries.values()}
                await self._check_new_files(new, known - entries.keys(), workers)
        finally:
            self._ledger.commit()
        self._outcome.findings.sort()
        return self._outcome

    async def _check_recorded(self, entries: dict[str, Entry], workers: Workers, task: Task) -> None:
        inside = []
        for entry in entries.values():
            if file := recorded_file(self._images, str(entry.path)):
                inside.append((entry.id, file, str(entry.sha256)))
            else:
                self._remove("missing", entry.id, "its path is outside data/images")
        async for (image_id, _, _), result in workers.each(check, inside, self._how, crashed=CRASHED):
            self._record_check(entries[image_id], result)
            self._ledger.commit_if_due()
            task.advance()
        self._ledger.forget(self._outcome.removed)

    def _record_check(self, entry: Entry, result: Stored | Rejected | None) -> None:
        """Record what the check of one file found; None for a missing file."""
        if result is None and not stays_inside(str(entry.path)):
            done = f"still in the ledger: it was {entry.path}; name its folder with `photos`"
            self._note("missing", entry.id, done)
        elif result is None:
            self._remove("missing", entry.id)
        elif isinstance(result, Rejected):
            kind = PLACEHOLDER if result.status == PLACEHOLDER else "changed"
            self._remove(kind, entry.id, result.reason)
        elif result.sha256 == entry.sha256:
            self._outcome.intact += 1
        else:
            self._note("changed", entry.id, "recorded again")
            self._ledger.record(replace(entry, fingerprint=None, **vars(result)))

    async def _check_new_files(
        self, files: Collection[str], wanted: Collection[str], workers: Workers
    ) -> None:
        """Record the files without a row that are `wanted`; report the others."""
        ours = []
        noted = origins.read(self._images / INCOMING)
        for path in files:
            image_id = image_id_of(PurePosixPath(path))
            if image_id in wanted and is_text(path):
                ours.append((image_id, self._images / path))
            else:
                self._note("new file", path, "ignored: no image of a table has this path")
        async for (image_id, file), result in workers.each(verify_existing, ours, self._how, crashed=CRASHED):
            if isinstance(result, Stored):
                origin = noted.get(image_id, Origin(image_id, origins.FOUND, None, None))
                self._ledger.record(entry_of(result, origin))
            done = "recorded" if isinstance(result, Stored) else f"ignored: {result.reason}"
            self._note("new file", file.relative_to(self._images).as_posix(), done)

    def _remove(self, kind: str, image_id: str, reason: str | None = None) -> None:
        self._outcome.removed.append(image_id)
        self._note(kind, image_id, "removed from the ledger" + (f": {reason}" if reason else ""))

    def _note(self, kind: str, image: str, done: str) -> None:
        self._outcome.findings.append(Finding(kind, image, done))


def _is_image(path: str) -> bool:
    return "/" in path and not path.rpartition("/")[2].startswith(".")
