"""When the next request to a host may be sent: slots, rate limit, requested pauses, pauses after failures."""

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from eufcc_cli.core.errors import CollectError

log = logging.getLogger("eufcc")


@dataclass(frozen=True)
class Politeness:
    """The limits that a client keeps; times in seconds."""

    per_host: int = 8
    """Parallel requests to one host."""
    rate: float = 20.0
    """Requests per second to one host; 0: no limit."""
    retries: int = 4
    """Retries after a temporary failure."""
    timeout: float = 20.0
    """Longest time without data."""
    total_timeout: float = 120.0
    """Longest time for one request."""
    backoff: float = 1.0
    """Mean wait before the first retry; it doubles with each."""
    max_wait: float = 3600.0
    """Longest wait that a server may request; a host that requests more is skipped in this run."""
    trip: int = 10
    """Successive failures of a host's URLs after which it is paused."""
    pause: float = 10.0
    """First pause of a host that keeps failing; it doubles each time."""
    pauses: int = 4
    """Pauses after which a host that still fails is skipped in this run."""
    allow_private_hosts: bool = False


class FetchError(CollectError):
    """A request without a response, or with one that requests a later retry.

    `status` is that of the ledger (`timeout`, `server-error`, `blocked`, `too-large`), `http` the response's
    code if there was one, `retryable` whether a retry may help, `stale` that an idle connection was closed
    before it could be used.
    """

    def __init__(
        self,
        status: str,
        reason: str,
        *,
        http: int | None = None,
        retryable: bool = False,
        stale: bool = False,
    ) -> None:
        super().__init__(reason)
        self.status, self.http, self.retryable, self.stale = status, http, retryable, stale


@dataclass
class Host:
    """When the next request to one host may be sent: slots, rate, requested pauses, pauses after failures."""

    name: str
    politeness: Politeness
    unreachable: FetchError | None = None
    _next: float = 0.0
    _paused_until: float = 0.0
    _failed_in_a_row: int = 0
    _pauses: int = 0
    _slots: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._slots = asyncio.Semaphore(self.politeness.per_host)

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until a request may be sent, and hold a slot. Raises FetchError if the host is skipped."""
        await self.acquire()
        try:
            yield
        finally:
            self.release()

    async def acquire(self) -> None:
        """Take a slot, which `release` frees. Holds none if it raises."""
        await self._slots.acquire()
        try:
            now = asyncio.get_running_loop().time
            while self.unreachable is None and (wait := max(self._next, self._paused_until) - now()) > 0:
                await asyncio.sleep(wait)
            if self.unreachable is not None:
                raise FetchError(self.unreachable.status, str(self.unreachable), http=self.unreachable.http)
        except BaseException:
            self._slots.release()
            raise
        if self.politeness.rate:
            self._next = max(now(), self._next) + 1 / self.politeness.rate

    def release(self) -> None:
        self._slots.release()

    def answered(self, headers: Mapping[str, str]) -> None:
        """A response arrived: reset the failures, and keep to the rate limit that its headers state."""
        self._failed_in_a_row = self._pauses = 0
        if (wait := rate_limit_wait(headers)) is not None:
            self.wait(wait, FetchError("server-error", f"{self.name}: its rate limit is reached"))

    def failed(self, began: float, error: FetchError) -> None:
        """A URL failed at its first attempt, in a request begun at this time of the event loop."""
        if began < self._paused_until:
            return  # it was sent before the pause, and is no new failure
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= self.politeness.trip:
            if self._pauses >= self.politeness.pauses:
                self.give_up(error)
                return
            pause = self.politeness.pause * 2**self._pauses
            self._pauses += 1
            self._failed_in_a_row = self.politeness.trip - 1  # the next failure is enough
            log.warning("%s keeps failing (%s); paused for %.0f s", self.name, error, pause)
            self._pause(pause)

    def wait(self, seconds: float, error: FetchError) -> None:
        """Pause for the time that the host requests; if that is too long, skip the host, with an error."""
        if seconds > self.politeness.max_wait:
            self.give_up(
                FetchError(error.status, f"{error}; it requests a pause of {seconds:.0f} s", http=error.http)
            )
            return
        if seconds > 10:
            log.warning("%s requests a pause of %.0f s", self.name, seconds)
        self._pause(seconds)

    def give_up(self, error: FetchError) -> None:
        """Send no more requests to this host: all waiting ones get this error."""
        if self.unreachable is None:
            log.warning("%s is skipped from now on: %s", self.name, error)
            reason = f"{self.name} was skipped: {error}"
            self.unreachable = FetchError(error.status, reason, http=error.http)

    def _pause(self, seconds: float) -> None:
        self._paused_until = max(self._paused_until, asyncio.get_running_loop().time() + seconds)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds of a Retry-After header (RFC 9110, 10.2.3), given as a number or a date.

    >>> retry_after({"retry-after": "120"})
    120.0
    """
    value = headers.get("retry-after", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        wait = parsedate_to_datetime(value) - datetime.now(UTC)
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, wait.total_seconds())


_SHORT = {"remaining": "r", "reset": "t"}
_LIMIT = re.compile(r'(?:^|[;,\s])(r|remaining|t|reset)\s*=\s*"?(\d{1,15})')


def rate_limit_wait(headers: Mapping[str, str]) -> float | None:
    """The seconds until a used-up rate limit is renewed; None while some of it is left.

    Understands `RateLimit` as the IETF drafts write it, and the separate headers before them.

    >>> rate_limit_wait({"ratelimit": '"personal";r=0;t=1234'})
    1234.0
    >>> rate_limit_wait({"ratelimit": '"personal";r=7;t=1234'}) is None
    True
    >>> rate_limit_wait({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "30"})
    30.0
    """
    limits = {_SHORT.get(name, name): value for name, value in _LIMIT.findall(headers.get("ratelimit", ""))}
    for prefix in ("ratelimit-", "x-ratelimit-"):
        if not limits:
            pair = (headers.get(f"{prefix}remaining", ""), headers.get(f"{prefix}reset", ""))
            limits = dict(zip("rt", pair, strict=True)) if all(value.isdecimal() for value in pair) else {}
    if limits.keys() != {"r", "t"} or float(limits["r"]) > 0:
        return None
    wait = float(limits["t"])
    # Some servers send the time of the renewal instead of the seconds until then.
    return max(0.0, wait - datetime.now(UTC).timestamp()) if wait > 1e9 else wait
