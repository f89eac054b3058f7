"""Images in progress: the attempts for each, and the queue of each host."""

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import httpx

from eufcc_cli.core.download.candidates import Candidate, host_of
from eufcc_cli.core.download.ledger import Entry
from eufcc_cli.core.http.politeness import FetchError

_order = itertools.count()


@dataclass(slots=True)
class Job:
    """An image in progress: the candidates to try, and the attempts so far."""

    row: int
    id: str
    candidates: list[Candidate]
    candidate: int = 0
    url: httpx.URL | None = None  # of the candidate, or of its redirects
    redirects: int = 0
    tried: int = 0  # requests for this URL
    attempts: int = 0  # requests for this image
    restarted: bool = False  # because an idle connection had been closed
    temporary: FetchError | None = None  # an earlier candidate's failure, if a retry may help
    digest: str | None = None  # of the candidate's body

    @property
    def host(self) -> str:
        return host_of(str(self.url) if self.url is not None else self.candidates[self.candidate].url)

    def next_candidate(self) -> bool:
        """Switch to the next candidate; False if this was the last."""
        if self.candidate + 1 == len(self.candidates):
            return False
        self.candidate += 1
        self.url, self.redirects, self.tried, self.digest = None, 0, 0, None
        return True

    def entry(self, status: str, http: int | None, reason: str | None = None) -> Entry:
        name, url = self.candidates[self.candidate]
        return Entry(self.id, status, url, name, http, reason, self.attempts, source_sha256=self.digest)


@dataclass
class Queue:
    """The images that wait for one host: rows not begun yet, and jobs to continue at a time."""

    rows: deque[int] = field(default_factory=deque)
    waiting: list[tuple[float, int, Job]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    served: bool = False

    def __bool__(self) -> bool:
        return bool(self.rows or self.waiting)

    def put_back(self, job: Job, delay: float = 0.0) -> None:
        """Queue a job, to be continued after the delay."""
        at = asyncio.get_running_loop().time() + delay
        heapq.heappush(self.waiting, (at, next(_order), job))
        self.changed.set()

    async def take(self, begin: Callable[[int], Job]) -> Job | None:
        """The next job that is due, else a new one; None after waiting for either."""
        now = asyncio.get_running_loop().time()
        if self.waiting and self.waiting[0][0] <= now:
            return heapq.heappop(self.waiting)[2]
        if self.rows:
            return begin(self.rows.popleft())
        self.changed.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self.changed.wait(), self.waiting[0][0] - now)
        return None
