"""Images on their way: what was tried for each, and those that wait for one host."""

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
    """An image under way: the candidates to try, and how it fared so far."""

    row: int
    id: str
    candidates: list[Candidate]
    candidate: int = 0
    address: httpx.URL | None = None  # of the candidate, or where redirects led
    redirects: int = 0
    tried: int = 0  # requests for this address
    attempts: int = 0  # requests for this image
    restarted: bool = False  # because a kept connection had ended
    temporary: FetchError | None = None  # how an earlier candidate ended, if that may pass
    digest: str | None = None  # of the candidate's body

    @property
    def host(self) -> str:
        return host_of(str(self.address) if self.address is not None else self.candidates[self.candidate].url)

    def next_candidate(self) -> bool:
        """Go on with the next candidate; False if this was the last."""
        if self.candidate + 1 == len(self.candidates):
            return False
        self.candidate += 1
        self.address, self.redirects, self.tried, self.digest = None, 0, 0, None
        return True

    def entry(self, status: str, http: int | None, reason: str | None = None) -> Entry:
        name, url = self.candidates[self.candidate]
        return Entry(self.id, status, url, name, http, reason, self.attempts, source_sha256=self.digest)


@dataclass
class Queue:
    """The images that wait for one host: rows not begun yet, and jobs that come back at a time."""

    rows: deque[int] = field(default_factory=deque)
    returning: list[tuple[float, int, Job]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    served: bool = False

    def __bool__(self) -> bool:
        return bool(self.rows or self.returning)

    def come_back(self, job: Job, delay: float = 0.0) -> None:
        """Let a job wait here until its time has come."""
        at = asyncio.get_running_loop().time() + delay
        heapq.heappush(self.returning, (at, next(_order), job))
        self.changed.set()

    async def take(self, begin: Callable[[int], Job]) -> Job | None:
        """What comes next: a job whose time has come, else a new one; None after waiting for either."""
        now = asyncio.get_running_loop().time()
        if self.returning and self.returning[0][0] <= now:
            return heapq.heappop(self.returning)[2]
        if self.rows:
            return begin(self.rows.popleft())
        self.changed.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self.changed.wait(), self.returning[0][0] - now)
        return None
