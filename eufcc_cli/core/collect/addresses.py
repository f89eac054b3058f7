"""Which addresses a stranger's URL may lead to, checked on the address that is really connected to."""

import asyncio
import contextlib
import ipaddress
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpcore
import httpx

from eufcc_cli.core.errors import CollectError


class BlockedAddressError(CollectError):
    """A host that lies at a private, loopback, link-local or otherwise not public address."""


def is_public(address: str) -> bool:
    """True for an IP address anywhere on the open internet, false for private and special ones.

    >>> is_public("185.199.108.133"), is_public("10.0.0.1"), is_public("::ffff:127.0.0.1")
    (True, False, False)
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        # Addresses that only wrap an IPv4 one are judged by that.
        wrapped = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if wrapped is None and ip in _NAT64:
            wrapped = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if wrapped is not None:
            return is_public(str(wrapped))
    return ip.is_global and not ip.is_multicast


_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class CheckedBackend(httpcore.AsyncNetworkBackend):
    """Resolves a name, checks each address, and connects to the very address it checked.

    A name cannot pass the check with one address and be connected to at another (DNS rebinding), nor can
    a redirect lead where the first address might not.
    """

    def __init__(self, allowed: Callable[[str], bool] | None) -> None:
        self._allowed = allowed
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses = await self._resolve(host, port, timeout)
        usable = [address for address in addresses if self._allowed is None or self._allowed(address)]
        if not usable:
            raise BlockedAddressError(f"{host} is at a private address ({addresses[0]})")
        for address in usable[:-1]:
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._inner.connect_tcp(usable[-1], port, timeout, local_address, socket_options)

    async def _resolve(self, host: str, port: int, timeout: float | None) -> list[str]:
        try:
            async with asyncio.timeout(timeout):
                found = await _getaddrinfo(host, port)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(f"no answer on where {host} is") from error
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise httpcore.ConnectError(f"cannot find host {host}: {reason}") from error
        return list(dict.fromkeys(str(address[0]) for *_, address in found))

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def _getaddrinfo(host: str, port: int) -> list[Any]:
    """Resolve in a daemon thread: nothing waits at exit for a name server that does not answer."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[list[Any]] = loop.create_future()

    def told(outcome: Callable[..., None], value: Any) -> None:
        if not future.done():
            outcome(value)

    def resolve() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            answer: tuple[Callable[..., None], Any] = (future.set_exception, error)
        else:
            answer = (future.set_result, found)
        with contextlib.suppress(RuntimeError):  # the loop is gone: nobody asks any more
            loop.call_soon_threadsafe(told, *answer)

    threading.Thread(target=resolve, daemon=True, name=f"resolve {host}").start()
    return await future


class CheckedTransport(httpx.AsyncBaseTransport):
    """httpx over a connection pool with the checked backend; `allowed` None connects anywhere."""

    def __init__(self, limits: httpx.Limits, allowed: Callable[[str], bool] | None) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=httpx.create_ssl_context(),
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            http2=True,
            network_backend=CheckedBackend(allowed),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        raw = httpcore.Request(
            request.method,
            httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        with _as_httpx(request):
            response = await self._pool.handle_async_request(raw)
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_Body(response.stream, request),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        await self._pool.aclose()


class _Body(httpx.AsyncByteStream):
    def __init__(self, stream: Any, request: httpx.Request) -> None:
        self._stream = stream
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_httpx(self._request):
            async for chunk in self._stream:
                yield chunk

    async def aclose(self) -> None:
        with _as_httpx(self._request):
            await self._stream.aclose()


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
