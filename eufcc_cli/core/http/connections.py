"""Connections with checked addresses, reused for the next request to the same origin.

httpcore's pool compares its connections with each other twice per request: with 256 idle ones, as when images
are on many hosts, this takes 4 ms of processor time per image, three times as much as everything else.
"""

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import httpcore
import httpx

from eufcc_cli.core.http.addresses import CheckedBackend, has_stray_answer

_SECONDS_KEPT = 30.0
_MOST_KEPT = 256  # idle connections: each is an open file

_ENDED = (
    httpcore.ReadError,
    httpcore.WriteError,
    httpcore.RemoteProtocolError,
    httpcore.ConnectionNotAvailable,
)
_Connection = httpcore.AsyncConnectionInterface
_Origin = tuple[bytes, bytes, int | None]


class StaleConnectionError(httpcore.NetworkError):
    """An idle connection was closed before its next request: not a failure of the server."""


class Connections:
    """GET requests over HTTP/1.1 or, where the server offers it, HTTP/2: one at a time on each connection.

    `allowed` checks the IP address that is connected to; None allows all. With a `proxy`, that is the address
    of the proxy.
    """

    def __init__(
        self, allowed: Callable[[str], bool] | None = None, proxy: httpcore.Proxy | None = None
    ) -> None:
        self._factory = httpcore.AsyncConnectionPool(
            httpx.create_ssl_context(),
            proxy,
            keepalive_expiry=_SECONDS_KEPT,
            http2=True,
            network_backend=CheckedBackend(allowed),
        )
        # The longest idle first; and by origin, the latest used last.
        self._idle: OrderedDict[_Connection, _Origin] = OrderedDict()
        self._by_origin: dict[_Origin, list[_Connection]] = {}

    @asynccontextmanager
    async def get(
        self, url: httpx.URL, headers: Mapping[str, str], timeout: Mapping[str, float | None]
    ) -> AsyncIterator[httpcore.Response]:
        """The response to a request, whose body is still to be read. Raises httpcore's errors."""
        origin = (url.raw_scheme, url.raw_host, url.port)
        raw = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        all_headers = [
            (b"Host", url.netloc),
            *((name.encode(), value.encode()) for name, value in headers.items()),
        ]
        request = httpcore.Request("GET", raw, headers=all_headers, extensions={"timeout": timeout})
        kept = await self._take(origin)
        connection = kept or self._factory.create_connection(raw.origin)
        try:
            try:
                response = await connection.handle_async_request(request)
            except _ENDED as error:
                raise (StaleConnectionError(str(error)) if kept else error) from error
            try:
                if has_stray_answer(response):
                    await connection.aclose()
                    raise StaleConnectionError("a response without a request")
                yield response
            finally:
                await response.aclose()
        finally:
            await self._release(connection, origin)

    async def _take(self, origin: _Origin) -> _Connection | None:
        """An idle connection that is ready for a request, if there is one."""
        idle = self._by_origin.get(origin, [])
        while idle:
            connection = idle.pop()
            del self._idle[connection]
            if connection.is_available() and not connection.has_expired():
                return connection
            await connection.aclose()
        return None

    async def _release(self, connection: _Connection, origin: _Origin) -> None:
        """Keep an idle connection for reuse; close those that were idle for too long."""
        if connection.is_closed() or not connection.is_idle():
            await connection.aclose()
        else:
            self._idle[connection] = origin
            self._by_origin.setdefault(origin, []).append(connection)
        while self._idle:
            oldest, of = next(iter(self._idle.items()))
            if len(self._idle) <= _MOST_KEPT and not oldest.has_expired():
                break
            del self._idle[oldest]
            self._by_origin[of].remove(oldest)
            await oldest.aclose()

    async def aclose(self) -> None:
        for connection in self._idle:
            await connection.aclose()
        self._idle.clear()
        self._by_origin.clear()
