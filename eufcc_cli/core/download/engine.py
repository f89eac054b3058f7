"""From URL to verified file, for hundreds of thousands of images: politely, fast, and losing none.

One event loop asks the hosts, each with a queue and turns of its own; worker processes verify, resize and
write; the ledger records how each image ended. Several candidates may be tried for an image, several times
each.
"""

import asyncio
import logging
import time
from collections.abc import Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from eufcc_cli.core.download import origins
from eufcc_cli.core.download.backlog import Found
from eufcc_cli.core.download.candidates import candidate_urls, host_of, is_icon
from eufcc_cli.core.download.jobs import Job, Queue
from eufcc_cli.core.download.ledger import (
    OK,
    PLACEHOLDER,
    SECONDS_BETWEEN_COMMITS,
    TEMPORARY,
    Entry,
    Ledger,
)
from eufcc_cli.core.download.origins import FOUND, Origin
from eufcc_cli.core.download.store import (
    CRASHED,
    INCOMING,
    NO_PICTURE,
    Rejected,
    Stored,
    Storing,
    store,
    verify_existing_files,
)
from eufcc_cli.core.download.workers import CrashError, Workers
from eufcc_cli.core.errors import DataError
from eufcc_cli.core.files import Root, image_stem
from eufcc_cli.core.http import event_loop
from eufcc_cli.core.http.body import Spool
from eufcc_cli.core.http.client import MAX_REDIRECTS, Answer, Client, web_address
from eufcc_cli.core.http.politeness import FetchError, Host, Politeness
from eufcc_cli.core.machine import cores
from eufcc_cli.core.progress import SILENT, Progress

log = logging.getLogger("eufcc")

_SAME_BODY = "the same body came for many URLs"


@dataclass(frozen=True)
class Options:
    """How images are fetched and kept."""

    workers: int = 32
    """Images under way at once, over all hosts."""
    size: str = "400"
    """400 or 200 (Europeana's thumbnails), or original."""
    resize: int | None = None
    """Short side in pixels to store; None keeps the bytes as they came."""
    max_bytes: int = 50_000_000
    placeholder_threshold: int = 20
    """A body that comes for this many different URLs is a placeholder."""
    decoders: int = field(default_factory=cores)
    """Processes that verify and write."""
    politeness: Politeness = field(default_factory=Politeness)


def download_images(
    root: Root,
    ledger: Ledger,
    pending: pd.DataFrame,
    found: Sequence[Found] = (),
    options: Options | None = None,
    progress: Progress = SILENT,
) -> None:
    """Take over the files that were found, fetch the pending images (columns id and url), record each one.

    Raises EufccError where nothing can go on (a full disk, say); what one image meets is in the ledger.
    """
    try:
        event_loop.run(_Download(root, ledger, options or Options()).run(pending, found, progress))
    except BaseExceptionGroup as group:
        # One task's error ended all the others: it is the one to tell.
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None


class _Download:
    def __init__(self, root: Root, ledger: Ledger, options: Options) -> None:
        self._ledger = ledger
        self._options = options
        self._folder = root.images
        self._how = Storing(root.images, options.resize)
        self._queues: dict[str, Queue] = {}
        self._rejected: dict[str, Path] = {}  # files in the way of images
        self._failed = self._bytes = 0
        self._began = time.monotonic()

    async def run(self, pending: pd.DataFrame, found: Sequence[Found], progress: Progress) -> None:
        try:
            async with Workers(self._options.decoders) as self._workers:
                self._placeholders = self._known_placeholders(set(pending["id"]))
                if found:
                    recorded = await self._record_existing(found, progress)
                    pending = pending[~pending["id"].isin(recorded)]
                if len(pending):
                    with progress.task("Downloading", len(pending)) as self._task:
                        await self._fetch(pending)
            self._ledger.commit()
            origins.clear(self._folder / INCOMING)
        finally:
            self._ledger.commit()
            # Not there, or not empty where something was ended: the next run clears it.
            with suppress(OSError):
                (self._folder / INCOMING).rmdir()

    def _known_placeholders(self, pending: Set[str]) -> set[str]:
        """Those of the ledger; a body whose verdict is to be tried again has to be one by today's count."""
        again = {
            entry.source_sha256
            for entry in self._ledger.entries("status = ?", (PLACEHOLDER,))
            if entry.id in pending
        }
        return {
            digest
            for digest in self._ledger.placeholders()
            if digest not in again or self._ledger.sent_for_many(digest, self._options.placeholder_threshold)
        }

    async def _record_existing(self, found: Sequence[Found], progress: Progress) -> set[str]:
        """Verify files that are there already; those that are sound need no download."""
        recorded: set[str] = set()
        urls = {image_id: url for image_id, _, url in found}
        files = [(image_id, file) for image_id, file, _ in found]
        resized = self._options.resize is not None  # perhaps: then the bytes as they came are not known
        noted = origins.read(self._folder / INCOMING)
        with progress.task("Checking images", len(found)) as task:
            how = replace(self._how, placeholders=list(self._placeholders))
            checked = self._workers.each(verify_existing_files, files, how, crashed=CRASHED)
            async for (image_id, file), result in checked:
                if isinstance(result, Stored):
                    recorded.add(image_id)
                    source = None if resized else result.sha256
                    origin = noted.get(image_id)
                    ours = origin is not None and origin.candidate != FOUND
                    if origin is None or not ours or not (resized or origin.source_sha256 == source):
                        origin = Origin(image_id, FOUND, urls[image_id], source)
                    entry = Entry(
                        image_id, OK, origin.url, origin.candidate, source_sha256=origin.source_sha256
                    )
                    self._ledger.record(replace(entry, **vars(result)))
                else:
                    log.warning("%s is not used: %s", file, result.reason)
                    if file.is_relative_to(self._folder):
                        self._rejected[image_id] = file
                self._ledger.commit_if_due()
                task.advance()
        return recorded

    async def _fetch(self, pending: pd.DataFrame) -> None:
        self._ids, self._urls = pending["id"].array, pending["url"].array
        self._left = len(pending)
        self._all_ended = asyncio.Event()
        self._under_way = asyncio.Semaphore(self._options.workers)
        for row, url in enumerate(self._urls):
            self._queue(host_of(candidate_urls(url, self._options.size)[0].url)).rows.append(row)
        self._client = Client(self._options.politeness)
        async with self._client, asyncio.TaskGroup() as self._group:
            self._group.create_task(self._commit_until_all_ended())
            for queue in self._queues.values():
                self._serve(queue)

    def _queue(self, host: str) -> Queue:
        return self._queues.setdefault(host, Queue())

    def _serve(self, queue: Queue) -> None:
        if not queue.served:
            queue.served = True
            self._group.create_task(self._pump(queue))

    async def _pump(self, queue: Queue) -> None:
        """Start one image after the other of a host, each when the host has a turn and a worker is free."""
        while queue:
            job = await queue.take(self._begin)
            if job is None:
                continue
            try:
                host = await self._turn(job)
            except FetchError as error:
                self._rung_ended(job, error)
                await asyncio.sleep(0)  # a host that is given up may have thousands waiting
                continue
            await self._under_way.acquire()
            self._group.create_task(self._attempt(host, job))
        queue.served = False

    def _begin(self, row: int) -> Job:
        return Job(row, self._ids[row], candidate_urls(self._urls[row], self._options.size))

    async def _turn(self, job: Job) -> Host:
        """The job's host, when it may be asked."""
        if job.address is None:
            url = job.candidates[job.candidate].url
            if not url:
                raise FetchError("missing", "the table gives no address")
            try:
                image_stem(job.id)
            except DataError as error:
                raise FetchError("blocked", str(error)) from None
            job.address = web_address(url)
        host = self._client.host(job.address)
        await host.acquire()
        return host

    def _come_back(self, job: Job, delay: float = 0.0) -> None:
        queue = self._queue(job.host)
        queue.come_back(job, delay)
        self._serve(queue)

    async def _attempt(self, host: Host, job: Job) -> None:
        """One request, and what follows from it."""
        assert job.address is not None
        job.tried += 1
        job.attempts += 1
        began = asyncio.get_running_loop().time()
        try:
            with Spool(self._folder / INCOMING) as body:
                try:
                    answer = await self._client.attempt(job.address, body, max_bytes=self._options.max_bytes)
                finally:
                    host.release()
                await self._answered(job, answer, body)
        except FetchError as error:
            if error.stale and not job.restarted:  # the server ended a kept connection: no failure of its
                job.restarted = True
                job.tried -= 1
                self._come_back(job)
                return
            if error.retryable and job.tried == 1:
                host.failed(began, error)
            if error.retryable and host.unreachable is None and job.tried <= self._options.politeness.retries:
                delay = self._client.retry_delay(error, job.tried)
                log.debug("%s from %s: %s; again in %.1f s", job.id, host.name, error, delay)
                self._come_back(job, delay)
            else:
                self._rung_ended(job, error)
        finally:
            self._under_way.release()

    async def _answered(self, job: Job, answer: Answer, body: Spool) -> None:
        target = answer.redirect
        if target is not None:
            job.redirects += 1
            if job.redirects > MAX_REDIRECTS:
                raise FetchError("server-error", f"more than {MAX_REDIRECTS} redirects", http=answer.status)
            job.address, job.tried = target, 0
            self._come_back(job)
        elif answer.status in (404, 410):
            raise FetchError("missing", f"HTTP {answer.status}", http=answer.status)
        elif not 200 <= answer.status < 300:
            raise FetchError("refused", f"HTTP {answer.status}", http=answer.status)
        else:
            await self._keep(job, answer, body)

    async def _keep(self, job: Job, answer: Answer, body: Spool) -> None:
        """Let a worker verify and store a body; raises FetchError if it is no picture."""
        job.digest = body.sha256()
        if job.digest in self._placeholders or is_icon(job.digest, job.candidates[job.candidate].name):
            raise FetchError(NO_PICTURE.status, NO_PICTURE.reason, http=answer.status)
        origin = Origin(job.id, *job.candidates[job.candidate], job.digest)
        try:
            result = await self._workers.run(store, body.content(), origin, self._how)
        except CrashError:
            result = CRASHED
        if isinstance(result, Rejected):
            raise FetchError(result.status, result.reason, http=answer.status)
        why = None if job.temporary is None else f"no better: {job.temporary}"
        self._ledger.record(replace(job.entry(OK, answer.status, why), **vars(result)))
        in_the_way = self._rejected.pop(job.id, None)
        if in_the_way not in (None, self._folder / result.path):
            in_the_way.unlink(missing_ok=True)
        self._bytes += body.size
        self._ended()

    def _rung_ended(self, job: Job, error: FetchError) -> None:
        """A candidate gave no picture: try the next, or let this be the image's end."""
        if error.status in TEMPORARY:
            job.temporary = error
        if job.next_candidate():
            self._come_back(job)
            return
        # What may pass decides: with it, the image may still be had another day.
        told = job.temporary or error
        self._ledger.record(job.entry(told.status, told.http, str(told)))
        self._failed += 1
        self._ended()

    def _ended(self, images: int = 1) -> None:
        self._left -= images
        if self._left:
            self._all_ended.clear()
        else:
            self._all_ended.set()
        rate = self._bytes / 1e6 / max(time.monotonic() - self._began, 1e-3)
        self._task.advance(images, failed=self._failed, **{"MB/s": f"{rate:.1f}"})

    async def _commit_until_all_ended(self) -> None:
        while self._left:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._all_ended.wait(), SECONDS_BETWEEN_COMMITS)
            most = self._options.placeholder_threshold
            kept = {entry.source_sha256 for entry in self._ledger.commit() if entry.status == OK}
            for digest in filter(None, kept):
                if digest in self._placeholders or self._ledger.sent_for_many(digest, most):
                    self._unmask(digest)

    def _unmask(self, digest: str) -> None:
        """A body that came for many URLs is a placeholder: undo what was kept of it, try other candidates."""
        self._placeholders.add(digest)
        kept = list(self._ledger.entries("source_sha256 = ? AND status = ?", (digest, OK)))
        log.warning("one body came for %d URLs (%s, say): it counts as a placeholder", len(kept), kept[0].url)
        for entry in kept:
            if entry.candidate != FOUND:  # nothing is removed that was not fetched
                (self._folder / str(entry.path)).unlink(missing_ok=True)
            for row in (self._ids == entry.id).nonzero()[0]:
                candidates = candidate_urls(self._urls[row], self._options.size)
                at = [candidate.name for candidate in candidates].index(str(entry.candidate))
                job = Job(row, entry.id, candidates, at, attempts=entry.attempts, digest=digest)
                if entry.reason is not None:
                    job.temporary = FetchError("server-error", entry.reason)
                self._ended(-1)
                self._rung_ended(job, FetchError(PLACEHOLDER, _SAME_BODY, http=entry.http))
                break
            else:  # of an earlier run, or found
                self._ledger.record(
                    Entry(entry.id, PLACEHOLDER, entry.url, entry.candidate, entry.http, _SAME_BODY,
                          entry.attempts, source_sha256=digest)
                )  # fmt: skip
