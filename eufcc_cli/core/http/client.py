"""An HTTP client on httpcore with limits per host, bounded retries, and no private IP addresses.

`Host.turn` waits until a request may be sent, `Client.attempt` sends one. `Client.get` combines both with
retries and redirects::

    async with Client() as client:
        response = await client.get("https://example.org/data.json", headers={"X-Api-Key": key})

Proxies of the environment are used only with `allow_private_hosts`, since a client cannot check which IP
address its proxy connects to.
"""

import asyncio
import contextlib
import io
import logging
import os
import random
import urllib.request
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from typing import BinaryIO, Self

import httpcore
import httpx

from eufcc_cli import __version__
from eufcc_cli.core.errors import CollectError, first_line
from eufcc_cli.core.http.addresses import BlockedAddressError, is_public
from eufcc_cli.core.http.body import Sink, read_body
from eufcc_cli.core.http.connections import Connections, StaleConnectionError
from eufcc_cli.core.http.politeness import FetchError, Host, Politeness, rate_limit_wait, retry_after

log = logging.getLogger("eufcc")

USER_AGENT = f"eufcc/{__version__} (+https://github.com/cesc47/EUFCC-340K; cultural heritage images)"
"""Many hosts require a contact, Wikimedia's for example."""
MAX_REDIRECTS = 8
_LONGEST_BACKOFF = 60.0
_ERROR_BYTES = 64 << 10  # read from an error page: its message, and the connection can be reused
_TEMPORARY_STATUS = {408, 425, 429}


@dataclass(frozen=True, slots=True)
class Answer:
    """A final response: any status but the temporary ones. `content` is empty if the body is in a file."""

    url: httpx.URL
    status: int
    headers: httpx.Headers
    content: bytes = b""

    @property
    def redirect(self) -> httpx.URL | None:
        """The target of a redirect; FetchError `blocked` if that is no http or https URL."""
        target = self.headers.get("location") if self.status in (301, 302, 303, 307, 308) else None
        if target is None:
            return None
        try:
            return web_url(str(self.url.join(target)))
        except (httpx.InvalidURL, ValueError) as error:
            raise FetchError("blocked", f"redirect to no URL: {error}", http=self.status) from None
        except FetchError as error:
            raise FetchError("blocked", f"redirect: {error}", http=self.status) from None


class Client:
    """Sends requests within the limits of each host; an async context manager.

    It has no cookies, reads no netrc, ignores name and password in a URL, and follows one redirect at a time,
    so that no secret reaches another host.
    """

    def __init__(
        self, politeness: Politeness | None = None, *, address_allowed: Callable[[str], bool] = is_public
    ) -> None:
        self.politeness = politeness or Politeness()
        self._hosts: dict[str, Host] = {}
        private = self.politeness.allow_private_hosts
        self._direct = Connections(None if private else address_allowed)
        self._proxies: dict[str, Connections] = {}
        for scheme, proxy in urllib.request.getproxies().items() if private else ():
            if scheme in ("http", "https"):
                self._proxies[scheme] = _through(scheme, proxy)
        self._headers = {"User-Agent": user_agent(), "Accept": "*/*", "Accept-Encoding": "gzip"}
        self._timeout = httpx.Timeout(self.politeness.timeout).as_dict()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for connections in (self._direct, *self._proxies.values()):
            await connections.aclose()

    def host(self, url: httpx.URL) -> Host:
        """The limits of a URL's host."""
        name = url.host if url.port is None else f"{url.host}:{url.port}"
        host = self._hosts.get(name)
        if host is None:
            host = self._hosts[name] = Host(name, self.politeness)
        return host

    async def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        to: BinaryIO | None = None,
        max_bytes: int = 1 << 30,
    ) -> Answer:
        """Send requests until there is a final response (such as 200 or 404), following redirects.

        The body of a 2xx response goes into the file `to`, if one is given (emptied first). `headers` are
        sent to the origin of `url` only. Raises FetchError if there is no final response.
        """
        target, sent = web_url(url), dict(headers or {})
        redirects = tried = 0
        while True:
            host = self.host(target)
            sink = to if to is not None else io.BytesIO()
            sink.seek(0)
            sink.truncate()
            tried += 1
            began = asyncio.get_running_loop().time()
            try:
                async with host.turn():
                    began = asyncio.get_running_loop().time()
                    answer = await self.attempt(target, sink, max_bytes=max_bytes, headers=sent)
            except FetchError as error:
                if error.retryable and tried == 1:
                    host.failed(began, error)
                if not error.retryable or tried > self.politeness.retries:
                    raise
                log.debug("%s: %s; retrying", host.name, error)
                await asyncio.sleep(self.retry_delay(error, tried))
                continue
            redirect = answer.redirect
            if redirect is None:
                if to is None and isinstance(sink, io.BytesIO) and answer.status < 300:
                    return replace(answer, content=sink.getvalue())
                return answer
            redirects += 1
            if redirects > MAX_REDIRECTS:
                raise FetchError("server-error", f"more than {MAX_REDIRECTS} redirects", http=answer.status)
            if origin(target) != origin(redirect):
                sent = {}
            target, tried = redirect, 0

    def retry_delay(self, error: FetchError, tried: int) -> float:
        """How long to wait after the `tried`-th failure of a URL: exponential, with jitter."""
        if error.stale and tried == 1:
            return 0.0
        delay = min(self.politeness.backoff * 2 ** (tried - 1), _LONGEST_BACKOFF)
        return delay * random.uniform(0.5, 1.5)

    async def attempt(
        self, url: httpx.URL, sink: Sink, *, max_bytes: int, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send one request, in a turn of the host that the caller holds; a 2xx body goes into `sink`.

        Raises FetchError for no response, a body over `max_bytes`, and the responses that ask to retry later
        (408, 425, 429, 5xx), after pausing the host.
        """
        host = self.host(url)
        try:
            async with asyncio.timeout(self.politeness.total_timeout):
                answer = await self._exchange(url, sink, max_bytes, headers)
        except TimeoutError as error:
            reason = f"not complete after {self.politeness.total_timeout:g} s"
            raise FetchError("timeout", reason, retryable=True) from error
        except httpcore.TimeoutException as error:
            reason = f"no data for {self.politeness.timeout:g} s"
            raise FetchError("timeout", reason, retryable=True) from error
        except zlib.error as error:
            raise FetchError("server-error", f"broken compression: {error}", retryable=True) from error
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.ProxyError) as error:
            stale = isinstance(error, StaleConnectionError)
            reason = " ".join(str(error).split()) or type(error).__name__
            raise FetchError("server-error", reason, retryable=True, stale=stale) from error
        except BlockedAddressError as error:
            raise FetchError("blocked", str(error)) from error
        if answer.status in _TEMPORARY_STATUS or answer.status >= 500:
            failure = FetchError("server-error", f"HTTP {answer.status}", http=answer.status, retryable=True)
            wait = retry_after(answer.headers)
            if wait is None and answer.status == 429:
                wait = rate_limit_wait(answer.headers)
                wait = self.politeness.backoff if wait is None else wait
            if wait is not None:
                host.wait(wait, failure)
            raise failure
        host.answered(answer.headers)
        return answer

    async def _exchange(
        self, url: httpx.URL, sink: Sink, max_bytes: int, headers: Mapping[str, str] | None
    ) -> Answer:
        connections = self._direct
        if url.scheme in self._proxies and not urllib.request.proxy_bypass(url.host):
            connections = self._proxies[url.scheme]
        async with connections.get(url, self._headers | dict(headers or {}), self._timeout) as response:
            answer = Answer(url, response.status, httpx.Headers(response.headers))
            if 200 <= response.status < 300:
                await read_body(response, answer.headers, sink, max_bytes)
                return answer
            page = io.BytesIO()
            with contextlib.suppress(FetchError):
                await read_body(response, answer.headers, page, _ERROR_BYTES)
            return replace(answer, content=page.getvalue())


def user_agent() -> str:
    """The User-Agent header: EUFCC_USER_AGENT, or `USER_AGENT`. CollectError if it cannot be sent."""
    agent = os.environ.get("EUFCC_USER_AGENT", "").strip() or USER_AGENT
    if not (agent.isascii() and agent.isprintable()):
        raise CollectError(
            f"`user_agent` {agent!r}: not a line of ASCII text",
            hint='give a name and a contact, such as "Our Museum (it@museum.example)"',
        )
    return agent


def _through(scheme: str, proxy: str) -> Connections:
    try:
        checked = httpx.Proxy(proxy if "://" in proxy else f"http://{proxy}")
        if checked.url.scheme.startswith("socks"):
            import_module("socksio")  # which httpcore needs then
        address = httpcore.URL(
            scheme=checked.url.raw_scheme, host=checked.url.raw_host, port=checked.url.port, target=b"/"
        )
        return Connections(proxy=httpcore.Proxy(address, checked.raw_auth))
    except (ValueError, ImportError, httpx.InvalidURL) as error:
        raise CollectError(
            f"{scheme}_proxy: not a proxy that can be used: {first_line(error)}",
            hint=f"give http://HOST:PORT, or unset {scheme}_proxy",
        ) from error


def web_url(url: str) -> httpx.URL:
    """An http or https URL, parsed. Raises FetchError `blocked` for anything else.

    >>> web_url("https://Example.org/a b").host
    'example.org'
    >>> web_url("file:///etc/passwd")
    Traceback (most recent call last):
    eufcc_cli.core.http.politeness.FetchError: only http and https are fetched, not file
    """
    try:
        parsed = httpx.URL(url.strip())
        host = parsed.host  # decoded only here: not every xn-- is a name
    except (httpx.InvalidURL, ValueError, TypeError) as error:
        raise FetchError("blocked", f"not a URL: {error}") from None
    if parsed.scheme not in ("http", "https"):
        raise FetchError("blocked", f"only http and https are fetched, not {parsed.scheme or 'this'}")
    if not host:
        raise FetchError("blocked", "the URL has no host")
    if parsed.port is not None and not 0 < parsed.port < 1 << 16:
        raise FetchError("blocked", f"not a URL: there is no port {parsed.port}")
    return parsed


def origin(url: httpx.URL) -> tuple[str, str, int | None]:
    """Scheme, host and port: what credentials are bound to."""
    return url.scheme, url.host, url.port
