"""From URLs to verified files, for hundreds of thousands of images.

One event loop sends the requests, in order for each host; worker processes verify, resize and write; the
ledger records the status of every image. An image can have several candidate URLs, each tried several times.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from eufcc_cli.core.download import origins
from eufcc_cli.core.download.backlog import Found, record_found
from eufcc_cli.core.download.candidates import candidate_urls, host_of, is_icon
from eufcc_cli.core.download.jobs import Job
from eufcc_cli.core.download.ledger import OK, PLACEHOLDER, SECONDS_BETWEEN_COMMITS, TEMPORARY, Entry, Ledger
from eufcc_cli.core.download.origins import FOUND, Origin
from eufcc_cli.core.download.store import CRASHED, INCOMING, NO_PICTURE, Rejected, Storing, store
from eufcc_cli.core.download.workers import Workers
from eufcc_cli.core.errors import DataError
from eufcc_cli.core.files import Root, image_stem
from eufcc_cli.core.http.body import Spool
from eufcc_cli.core.http.client import MAX_REDIRECTS, Answer, Client, web_url
from eufcc_cli.core.http.politeness import FetchError, Host, Politeness
from eufcc_cli.core.machine import cores
from eufcc_cli.core.progress import SILENT, Progress
from eufcc_cli.core.worker_processes import CrashError

log = logging.getLogger("eufcc")

_SAME_BODY = "many URLs returned the same file"


@dataclass(frozen=True)
class Options:
    """How images are fetched and stored."""

    workers: int = 32
    """Images processed in parallel, over all hosts."""
    size: str = "400"
    """400 or 200 (Europeana's thumbnails), or original."""
    resize: int | None = None
    """Shorter side of stored images in pixels; None stores the original bytes."""
    max_bytes: int = 50_000_000
    placeholder_threshold: int = 20
    """A body that this many different URLs return is a placeholder."""
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
    """Record the files that were found, then download and record the pending images (columns id and url).

    Raises EufccError if no image can be stored (on a full disk, for example); the failure of a single image
    is recorded in the ledger.
    """
    try:
        asyncio.run(_Download(root, ledger, options or Options()).run(pending, found, progress))
    except BaseExceptionGroup as group:
        # One task's error cancelled all the others: it is the one to report.
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
        self._invalid: dict[str, Path] = {}  # files in the places of images
        self._failed = self._bytes = 0
        self._began = time.monotonic()

    async def run(self, pending: pd.DataFrame, found: Sequence[Found], progress: Progress) -> None:
        try:
            async with Workers(self._options.decoders) as self._workers:
                self._placeholders = self._known_placeholders(set(pending["id"]))
                if found:
                    how = replace(self._how, placeholders=list(self._placeholders))
                    recorded, self._invalid = await record_found(
                        found, self._workers, how, self._ledger, progress
                    )
                    pending = pending[~pending["id"].isin(recorded)]
                if len(pending):
                    with progress.task("Downloading", len(pending)) as self._task:
                        await self._fetch(pending)
            self._ledger.commit()
            origins.clear(self._folder / INCOMING)
        finally:
            self._ledger.commit()
            # It may be missing, or not empty after an interruption: the next run clears it.
            with suppress(OSError):
                (self._folder / INCOMING).rmdir()

    def _known_placeholders(self, pending: Set[str]) -> set[str]:
        """The ledger's, except those whose images are retried and that are now below the threshold."""
        retried = {
            entry.source_sha256
            for entry in self._ledger.entries("status = ?", (PLACEHOLDER,))
            if entry.id in pending
        }
        return {
            digest
            for digest in self._ledger.placeholders()
            if digest not in retried
            or self._ledger.sent_for_many(digest, self._options.placeholder_threshold)
        }

    async def _fetch(self, pending: pd.DataFrame) -> None:
        self._ids, self._urls = pending["id"].array, pending["url"].array
        self._left = len(pending)
        self._all_done = asyncio.Event()
        self._in_progress = asyncio.Semaphore(self._options.workers)
        rows_of: dict[str, list[int]] = defaultdict(list)
        for row, url in enumerate(self._urls):
            rows_of[host_of(candidate_urls(url, self._options.size)[0].url)].append(row)
        self._client = Client(self._options.politeness)
        async with self._client, asyncio.TaskGroup() as self._group:
            self._group.create_task(self._commit_until_done())
            for rows in rows_of.values():
                self._group.create_task(self._begin(rows))

    async def _begin(self, rows: list[int]) -> None:
        """Start a host's images, one after the other."""
        for row in rows:
            candidates = candidate_urls(self._urls[row], self._options.size)
            await self._start(Job(row, self._ids[row], candidates))

    async def _start(self, job: Job, delay: float = 0.0) -> None:
        """Send a job's next request after the delay, when its host and a worker are free."""
        await asyncio.sleep(delay)
        try:
            host = await self._turn(job)
        except FetchError as error:
            self._candidate_failed(job, error)
            await asyncio.sleep(0)  # a host that is skipped may have thousands waiting
        else:
            await self._in_progress.acquire()
            self._group.create_task(self._attempt(host, job))

    async def _turn(self, job: Job) -> Host:
        """The job's host, when the next request may be sent."""
        if job.url is None:
            candidate = job.candidates[job.candidate].url
            if not candidate:
                raise FetchError("missing", "the table has no URL for this image")
            try:
                image_stem(job.id)
            except DataError as error:
                raise FetchError("blocked", str(error)) from None
            job.url = web_url(candidate)
        host = self._client.host(job.url)
        await host.acquire()
        return host

    def _put_back(self, job: Job, delay: float = 0.0) -> None:
        self._group.create_task(self._start(job, delay))

    async def _attempt(self, host: Host, job: Job) -> None:
        """Send one request, and process its response."""
        assert job.url is not None
        job.tried += 1
        job.attempts += 1
        began = asyncio.get_running_loop().time()
        try:
            with Spool(self._folder / INCOMING) as body:
                try:
                    answer = await self._client.attempt(job.url, body, max_bytes=self._options.max_bytes)
                finally:
                    host.release()
                await self._process_response(job, answer, body)
        except FetchError as error:
            if error.stale and not job.restarted:  # an idle connection was closed: not a failure
                job.restarted = True
                job.tried -= 1
                self._put_back(job)
                return
            if error.retryable and job.tried == 1:
                host.failed(began, error)
            if error.retryable and host.unreachable is None and job.tried <= self._options.politeness.retries:
                delay = self._client.retry_delay(error, job.tried)
                log.debug("%s from %s: %s; retry in %.1f s", job.id, host.name, error, delay)
                self._put_back(job, delay)
            else:
                self._candidate_failed(job, error)
        finally:
            self._in_progress.release()

    async def _process_response(self, job: Job, answer: Answer, body: Spool) -> None:
        target = answer.redirect
        if target is not None:
            job.redirects += 1
            if job.redirects > MAX_REDIRECTS:
                raise FetchError("server-error", f"more than {MAX_REDIRECTS} redirects", http=answer.status)
            job.url, job.tried = target, 0
            self._put_back(job)
        elif answer.status in (404, 410):
            raise FetchError("missing", f"HTTP {answer.status}", http=answer.status)
        elif not 200 <= answer.status < 300:
            raise FetchError("refused", f"HTTP {answer.status}", http=answer.status)
        else:
            await self._store(job, answer, body)

    async def _store(self, job: Job, answer: Answer, body: Spool) -> None:
        """Have a worker verify and store a body; raises FetchError if it is no image."""
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
        why = None if job.temporary is None else f"fallback after: {job.temporary}"
        self._ledger.record(replace(job.entry(OK, answer.status, why), **vars(result)))
        invalid = self._invalid.pop(job.id, None)
        if invalid not in (None, self._folder / result.path):
            invalid.unlink(missing_ok=True)
        self._bytes += body.size
        self._advance()

    def _candidate_failed(self, job: Job, error: FetchError) -> None:
        """Try the next candidate; if this was the last, record the image as failed."""
        if error.status in TEMPORARY:
            job.temporary = error
        if job.next_candidate():
            self._put_back(job)
            return
        # A temporary failure of any candidate makes the image retryable.
        reported = job.temporary or error
        self._ledger.record(job.entry(reported.status, reported.http, str(reported)))
        self._failed += 1
        self._advance()

    def _advance(self, images: int = 1) -> None:
        self._left -= images
        if self._left:
            self._all_done.clear()
        else:
            self._all_done.set()
        rate = self._bytes / 1e6 / max(time.monotonic() - self._began, 1e-3)
        self._task.advance(images, failed=self._failed, **{"MB/s": f"{rate:.1f}"})

    async def _commit_until_done(self) -> None:
        while self._left:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._all_done.wait(), SECONDS_BETWEEN_COMMITS)
            most = self._options.placeholder_threshold
            kept = {entry.source_sha256 for entry in self._ledger.commit() if entry.status == OK}
            for digest in filter(None, kept):
                if digest in self._placeholders or self._ledger.sent_for_many(digest, most):
                    self._reject_placeholder(digest)

    def _reject_placeholder(self, digest: str) -> None:
        """A body that many URLs return is a placeholder: remove its images, try their other candidates."""
        self._placeholders.add(digest)
        kept = list(self._ledger.entries("source_sha256 = ? AND status = ?", (digest, OK)))
        log.warning("%d URLs (such as %s) returned the same file: a placeholder", len(kept), kept[0].url)
        for entry in kept:
            if entry.candidate != FOUND:  # only fetched files are removed
                (self._folder / str(entry.path)).unlink(missing_ok=True)
            for row in (self._ids == entry.id).nonzero()[0]:
                candidates = candidate_urls(self._urls[row], self._options.size)
                at = [candidate.name for candidate in candidates].index(str(entry.candidate))
                job = Job(row, entry.id, candidates, at, attempts=entry.attempts, digest=digest)
                if entry.reason is not None:
                    job.temporary = FetchError("server-error", entry.reason)
                self._advance(-1)
                self._candidate_failed(job, FetchError(PLACEHOLDER, _SAME_BODY, http=entry.http))
                break
            else:  # of an earlier run, or found
                self._ledger.record(
                    Entry(entry.id, PLACEHOLDER, entry.url, entry.candidate, entry.http, _SAME_BODY,
                          entry.attempts, source_sha256=digest)
                )  # fmt: skip
