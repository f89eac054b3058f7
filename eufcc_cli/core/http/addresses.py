"""The IP addresses that untrusted URLs may lead to, checked on the address of the connection."""

import asyncio
import contextlib
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from typing import Any

import httpcore

from eufcc_cli.core.errors import CollectError


class BlockedAddressError(CollectError):
    """A host with a private, loopback, link-local or otherwise not public IP address."""


def is_public(address: str) -> bool:
    """True for an IP address anywhere on the open internet, false for private and special ones.

    >>> is_public("185.199.108.133"), is_public("10.0.0.1"), is_public("::ffff:127.0.0.1")
    (True, False, False)
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        # An address that wraps an IPv4 one is as public as that.
        wrapped = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if wrapped is None and ip in _NAT64:
            wrapped = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if wrapped is not None:
            return is_public(str(wrapped))
    special = any(ip in network for network in _SPECIAL if network.version == ip.version)
    return ip.is_global and not ip.is_multicast and not special and (ip.version == 4 or ip in _UNICAST)


_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_UNICAST = ipaddress.ip_network("2000::/3")  # global unicast (RFC 4291)
# Some versions of Python treat these as public: protocol assignments, 6to4 relays, documentation.
_SPECIAL = [ipaddress.ip_network(name) for name in ("192.0.0.0/24", "192.88.99.0/24", "3fff::/20")]


class CheckedBackend(httpcore.AsyncNetworkBackend):
    """Resolves a name, checks each address, and connects to the checked address.

    A name therefore cannot pass the check with one address and be connected to at another (DNS rebinding).
    Redirects are checked as well.
    """

    def __init__(self, allowed: Callable[[str], bool] | None) -> None:
        self._allowed = allowed
        self._network = httpcore.AnyIOBackend()

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
            raise BlockedAddressError(f"{host} has a private IP address ({addresses[0]})")
        for address in usable[:-1]:
            with contextlib.suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                return await self._connect(address, port, timeout)
        return await self._connect(usable[-1], port, timeout)

    async def _connect(self, address: str, port: int, timeout: float | None) -> httpcore.AsyncNetworkStream:
        return _Stream(await self._network.connect_tcp(address, port, timeout))

    async def _resolve(self, host: str, port: int, timeout: float | None) -> list[str]:
        try:
            async with asyncio.timeout(timeout):
                found = await _getaddrinfo(host, port)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(f"no response from the name server for {host}") from error
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise httpcore.ConnectError(f"cannot find host {host}: {reason}") from error
        return list(dict.fromkeys(str(address[0]) for *_, address in found))

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class _Stream(httpcore.AsyncNetworkStream):
    """A connection that detects a response that arrived before its request was sent."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream
        self.has_stray_answer = False

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self.has_stray_answer = False
        return await self._stream.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.has_stray_answer = True
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        return _Stream(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def has_stray_answer(response: httpcore.Response) -> bool:
    """True for a response that arrived before its request was sent, and belongs to no request."""
    stream = response.extensions["network_stream"]
    http1 = response.extensions["http_version"] != b"HTTP/2"
    return http1 and isinstance(stream, _Stream) and stream.has_stray_answer


async def _getaddrinfo(host: str, port: int) -> list[Any]:
    """Resolve in a daemon thread, so that exit does not wait for a name server without a response."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[list[Any]] = loop.create_future()

    def deliver(outcome: Callable[..., None], value: Any) -> None:
        if not future.done():
            outcome(value)

    def resolve() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            answer: tuple[Callable[..., None], Any] = (future.set_exception, error)
        else:
            answer = (future.set_result, found)
        with contextlib.suppress(RuntimeError):  # the loop has been closed
            loop.call_soon_threadsafe(deliver, *answer)

    threading.Thread(target=resolve, daemon=True, name=f"resolve {host}").start()
    return await future
