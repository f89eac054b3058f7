"""Which addresses a stranger's URL may lead to, checked on the address that is really connected to."""

import asyncio
import contextlib
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import httpcore

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
    special = any(ip in network for network in _SPECIAL if network.version == ip.version)
    return ip.is_global and not ip.is_multicast and not special and (ip.version == 4 or ip in _UNICAST)


_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_UNICAST = ipaddress.ip_network("2000::/3")  # all that IANA gives out for the open internet (RFC 4291)
# What some versions of Python take for public: protocol assignments, 6to4 relays, documentation.
_SPECIAL = [ipaddress.ip_network(name) for name in ("192.0.0.0/24", "192.88.99.0/24", "3fff::/20")]


_MOST_RECEIVED = 256 << 10  # bytes that wait to be read


class CheckedBackend(httpcore.AsyncNetworkBackend):
    """Resolves a name, checks each address, and connects to the very address it checked.

    A name cannot pass the check with one address and be connected to at another (DNS rebinding), nor can
    a redirect lead where the first address might not.
    """

    def __init__(self, allowed: Callable[[str], bool] | None) -> None:
        self._allowed = allowed

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
            with contextlib.suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                return await _connect(address, port, timeout)
        return await _connect(usable[-1], port, timeout)

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


async def _connect(address: str, port: int, timeout: float | None) -> "_Stream":
    with _errors(httpcore.ConnectTimeout, httpcore.ConnectError):
        async with asyncio.timeout(timeout):
            return (await asyncio.get_running_loop().create_connection(_Stream, address, port))[1]


class _Stream(asyncio.Protocol, httpcore.AsyncNetworkStream):
    """A connection, with less work for each request than in httpcore's own backend."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._received = bytearray()
        self._changed = asyncio.Event()
        self._ended: Exception | bool = False
        self.has_stray_answer = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if len(self._received) > _MOST_RECEIVED:
            self.transport.pause_reading()
        self._changed.set()

    def eof_received(self) -> None:
        self.connection_lost(None)

    def connection_lost(self, error: Exception | None) -> None:
        self._ended = self._ended or error or True
        self._changed.set()

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self.has_stray_answer = False
        with _errors(httpcore.ReadTimeout, httpcore.ReadError):
            async with asyncio.timeout(timeout):
                while not self._received and not self._ended:
                    self._changed.clear()
                    await self._changed.wait()
            if not self._received and isinstance(self._ended, Exception):
                raise self._ended
        found = bytes(self._received[:max_bytes])
        del self._received[:max_bytes]
        if not self.transport.is_reading():
            self.transport.resume_reading()
        return found

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send a request, which is small: no need to wait until it is gone."""
        if not buffer:  # twice at every request: the body it does not have, and its end
            return
        if self.transport.is_closing():
            raise httpcore.WriteError("the connection has ended")
        self.has_stray_answer = True
        self.transport.write(buffer)

    async def aclose(self) -> None:
        self.transport.abort()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        loop = asyncio.get_running_loop()
        with _errors(httpcore.ConnectTimeout, httpcore.ConnectError):
            async with asyncio.timeout(timeout):
                secure = await loop.start_tls(
                    self.transport, self, ssl_context, server_hostname=server_hostname
                )
        assert secure is not None
        self.transport = secure
        return self

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":  # of an idle connection: it has ended, or sends what nobody asked for
            return bool(self._received or self._ended)
        return self.transport.get_extra_info(info)


def has_stray_answer(response: httpcore.Response) -> bool:
    """True for a response that came with the one before, and answers no request."""
    stream = response.extensions["network_stream"]
    http1 = response.extensions["http_version"] != b"HTTP/2"
    return http1 and isinstance(stream, _Stream) and stream.has_stray_answer


@contextmanager
def _errors(timeout: type[Exception], failure: type[Exception]) -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise timeout(str(error)) from error
    except OSError as error:
        raise failure(str(error) or type(error).__name__) from error


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
