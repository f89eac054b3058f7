"""httpx's transport on connections whose addresses are checked, kept for the next request to the same origin.

httpcore has a pool for that, which looks at all its connections, each against all others, at every request:
with hundreds of hosts that takes longer than the requests.
"""

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpcore
import httpx

from eufcc_cli.core.http.addresses import CheckedBackend

_SECONDS_KEPT = 30.0
_MOST_KEPT = 256  # idle connections: each is an open file

_ENDED = (httpcore.ReadError, httpcore.WriteError, httpcore.RemoteProtocolError)
_Connection = httpcore.AsyncHTTPConnection
_Origin = tuple[bytes, bytes, int | None]


class StaleConnectionError(httpx.TransportError):
    """A kept connection ended before it could be used again: no fault of the server's."""


class CheckedTransport(httpx.AsyncBaseTransport):
    """HTTP/1.1 and, where the server offers it, HTTP/2; `allowed` None connects anywhere."""

    def __init__(self, allowed: Callable[[str], bool] | None) -> None:
        self._backend = CheckedBackend(allowed)
        self._tls = httpx.create_ssl_context()
        # The idle ones, the longest idle first, and by origin, the latest used last.
        self._idle: OrderedDict[_Connection, _Origin] = OrderedDict()
        self._by_origin: dict[_Origin, list[_Connection]] = {}
        self._shared: dict[_Origin, _Connection] = {}  # HTTP/2, for many requests at once

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        raw = httpcore.Request(
            request.method,
            httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        key = (url.raw_scheme, url.raw_host, url.port)
        with _as_httpx(request):
            connection, response = await self._send(raw, key)
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_Body(self, connection, key, response.stream, request),
            extensions=response.extensions,
        )

    async def _send(self, raw: httpcore.Request, key: _Origin) -> tuple[_Connection, httpcore.Response]:
        while True:
            connection = await self._take(key, raw.url.origin)
            kept = connection.is_idle()  # which a new one is not
            try:
                response = await connection.handle_async_request(raw)
            except httpcore.ConnectionNotAvailable:  # an HTTP/2 connection that takes no more requests
                self._shared.pop(key, None)
                continue
            except BaseException as error:
                await self.give_back(connection, key)
                if kept and isinstance(error, _ENDED):
                    raise StaleConnectionError(str(error)) from error
                raise
            if response.extensions.get("http_version") == b"HTTP/2":
                self._shared.setdefault(key, connection)
            return connection, response

    async def _take(self, key: _Origin, origin: httpcore.Origin) -> _Connection:
        """A connection that is ready for a request, or a new one."""
        shared = self._shared.get(key)
        if shared is not None:
            if shared.is_available() and not shared.has_expired():
                return shared
            del self._shared[key]
            if shared.has_expired():  # else the requests that are under way on it end first
                await shared.aclose()
        kept = self._by_origin.get(key, [])
        while kept:
            connection = kept.pop()
            del self._idle[connection]
            if connection.is_available() and not connection.has_expired():
                return connection
            await connection.aclose()
        return _Connection(origin, self._tls, _SECONDS_KEPT, http2=True, network_backend=self._backend)

    async def give_back(self, connection: _Connection, key: _Origin) -> None:
        """Keep a connection that has become idle; close those that were idle for too long."""
        if self._shared.get(key) is connection:
            return
        if connection.is_idle() and not connection.is_closed() and not _has_more(connection):
            self._idle[connection] = key
            self._by_origin.setdefault(key, []).append(connection)
        while self._idle:
            oldest, of = next(iter(self._idle.items()))
            if len(self._idle) <= _MOST_KEPT and not oldest.has_expired():
                break
            del self._idle[oldest]
            self._by_origin[of].remove(oldest)
            await oldest.aclose()

    async def aclose(self) -> None:
        for connection in (*self._idle, *self._shared.values()):
            await connection.aclose()
        for kept in (self._idle, self._by_origin, self._shared):
            kept.clear()


def _has_more(connection: _Connection) -> bool:
    """True where more came than the answer: it would be taken for the answer to the next request."""
    state = getattr(getattr(connection, "_connection", None), "_h11_state", None)
    return state is not None and bool(state.trailing_data[0])


class _Body(httpx.AsyncByteStream):
    """The body of a response; closing it gives the connection back."""

    def __init__(
        self,
        transport: CheckedTransport,
        connection: _Connection,
        key: _Origin,
        stream: Any,
        request: httpx.Request,
    ) -> None:
        self._transport, self._connection, self._key = transport, connection, key
        self._stream, self._request = stream, request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_httpx(self._request):
            async for chunk in self._stream:
                yield chunk

    async def aclose(self) -> None:
        with _as_httpx(self._request):
            await self._stream.aclose()
            await self._transport.give_back(self._connection, self._key)


@contextmanager
def _as_httpx(request: httpx.Request) -> Iterator[None]:
    """httpcore's errors as httpx's, which bear the same names."""
    try:
        yield
    except tuple(_ERRORS) as error:
        raise _ERRORS[type(error)](str(error), request=request) from error


_ERRORS: dict[type[Exception], type[httpx.TransportError]] = {
    getattr(httpcore, name): getattr(httpx, name)
    for name in (
        "ConnectTimeout",
        "ReadTimeout",
        "WriteTimeout",
        "PoolTimeout",
        "ConnectError",
        "ReadError",
        "WriteError",
        "LocalProtocolError",
        "RemoteProtocolError",
        "ProxyError",
        "UnsupportedProtocol",
    )
}
