"""A web server that misbehaves on demand: `/stall/7` stalls. Run as a module, it prints its port.

The first part of a path names the behaviour, the rest only makes the address (and the picture) another.
It speaks HTTP/1.1 by hand, since no well-kept server would do what is asked for here.
"""

import asyncio
import gzip
import io
import json
import random
import re
import socket
import struct
import time
from collections import Counter, defaultdict
from functools import lru_cache
from urllib.parse import unquote

from PIL import Image

HOSTS = [f"127.0.0.{n}" for n in range(1, 9)]


@lru_cache(maxsize=1)
def _base() -> bytes:
    buffer = io.BytesIO()
    Image.radial_gradient("L").resize((96, 64)).convert("RGB").save(buffer, "JPEG")
    return buffer.getvalue()


def picture(name: str) -> bytes:
    """A JPEG of 96 x 64 whose bytes no other name has."""
    comment = name.encode()
    return _base()[:2] + b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment + _base()[2:]


@lru_cache(maxsize=1)
def _bomb() -> bytes:
    return gzip.compress(picture("bomb") + bytes(10_000_000))


Stream = asyncio.StreamWriter


class Server:
    def __init__(self) -> None:
        self.forget()
        self.at_once: Counter[str] = Counter()

    def forget(self) -> None:
        self.times: defaultdict[str, list[float]] = defaultdict(list)
        self.most: Counter[str] = Counter()
        self.agents: set[str] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: Stream) -> None:
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: Stream) -> bool:
        """Read one request and answer it; False ends the connection."""
        request = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        target = request.split(" ", 2)[1]
        target = re.sub(r"^http://[^/]*", "", target)  # how a proxy is asked
        headers = dict(line.lower().split(": ", 1) for line in request.split("\r\n")[1:] if line)
        if target == "/_log":
            return await self._send(writer, json.dumps(self._told()).encode())
        if target == "/_forget":
            self.forget()
            return await self._send(writer, b"")
        host = headers["host"]
        self.times[target].append(time.monotonic())
        self.agents.add(headers.get("user-agent", ""))
        self.at_once[host] += 1
        self.most[host] = max(self.most[host], self.at_once[host])
        try:
            return await self._behave(target, headers, writer)
        finally:
            self.at_once[host] -= 1

    def _told(self) -> dict[str, object]:
        return {"times": self.times, "most": self.most, "agents": sorted(self.agents)}

    async def _behave(self, target: str, headers: dict[str, str], writer: Stream) -> bool:
        kind, _, rest = target.lstrip("/").partition("/")
        image = picture(target)
        first = len(self.times[target]) == 1
        port = headers["host"].partition(":")[2]
        match kind:
            case "ok":
                return await self._send(writer, image)
            case "slow":
                await asyncio.sleep(0.05)
                return await self._send(writer, image)
            case "404" | "410" | "403" | "401" | "500" | "503":
                return await self._send(writer, b"no", f"{kind} No")
            case "429-after" if first:
                return await self._send(writer, b"", "429 Slow Down", {"Retry-After": "1"})
            case "429" if first:
                return await self._send(writer, b"", "429 Slow Down")
            case "limit" if first:
                limit = {"RateLimit": '"test";r=0;t=1', "RateLimit-Policy": '"test";q=1;w=1'}
                return await self._send(writer, image, headers=limit)
            case "429-long":
                return await self._send(writer, b"", "429 Slow Down", {"Retry-After": "86400"})
            case "500-once" if first:
                return await self._send(writer, b"", "500 Oops")
            case "429-after" | "429" | "500-once" | "limit":
                return await self._send(writer, image)
            case "drip":
                await self._head(writer, len(image))
                for place in range(len(image)):
                    writer.write(image[place : place + 1])
                    await writer.drain()
                    await asyncio.sleep(0.05)
                return True
            case "stall":
                await self._head(writer, len(image))
                writer.write(image[: len(image) // 2])
                await asyncio.sleep(3600)
            case "silent":
                await asyncio.sleep(3600)
            case "hang-up-once":
                if not first:
                    return await self._send(writer, image)
                writer.transport.abort()
                return False
            case "reset" | "reset-once":
                if kind == "reset-once" and not first:
                    return await self._send(writer, image)
                await self._head(writer, len(image))
                writer.write(image[: len(image) // 2])
                await writer.drain()
                await asyncio.sleep(0.02)
                # Closing with linger 0 sends RST instead of FIN.
                writer.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                )
                writer.transport.abort()
                return False
            case "short":
                await self._head(writer, len(image) + 1000)
                writer.write(image)
                return False
            case "long":
                await self._head(writer, len(image) - 200)
                writer.write(image)
                return False
            case "endless":
                await self._head(writer, None)
                while True:
                    writer.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")
                    await writer.drain()
            case "redirect":
                left, _, name = rest.partition("/")
                to = f"/redirect/{int(left) - 1}/{name}" if int(left) > 1 else f"/ok/{name}"
                return await self._send(writer, b"", "302 Found", {"Location": to})
            case "loop":
                return await self._send(writer, b"", "301 Moved", {"Location": target})
            case "to":
                return await self._send(writer, b"", "302 Found", {"Location": unquote(rest)})
            case "to-file":
                return await self._send(writer, b"", "302 Found", {"Location": "file:///etc/passwd"})
            case "to-host":
                number, _, name = rest.partition("/")
                to = f"http://127.0.0.{number}:{port}/{name}"
                return await self._send(writer, b"", "307 There", {"Location": to, "Set-Cookie": "secret=1"})
            case "whoami":
                told = {name: headers.get(name) for name in ("authorization", "x-api-key", "cookie")}
                return await self._send(writer, json.dumps(told).encode(), headers={"Set-Cookie": "a=b"})
            case "bomb":
                return await self._send(writer, _bomb(), headers={"Content-Encoding": "gzip"})
            case "gzip":
                return await self._send(writer, gzip.compress(image), headers={"Content-Encoding": "gzip"})
            case "html":
                return await self._send(writer, b"<!doctype html><html><title>Sorry</title>")
            case "svg":
                return await self._send(writer, b"<svg xmlns='http://www.w3.org/2000/svg'/>")
            case "empty":
                return await self._send(writer, b"")
            case "same":
                return await self._send(writer, picture("same for all"))
            case "truncated":
                return await self._send(writer, image[: len(image) * 2 // 3])
            case "large":
                return await self._send(writer, image + bytes(3_000_000))
            case "closing":
                await self._send(writer, image)
                return random.random() < 0.7  # though it said keep-alive
            case "thumbnail":
                return await self._thumbnail(rest, target, writer)
        return await self._send(writer, b"no such behaviour", "404 Not Found")

    async def _thumbnail(self, rest: str, target: str, writer: Stream) -> bool:
        """v3 has what the query of v2 calls `both`; v2 sends the same icon for what it does not have."""
        if rest.startswith("v3/"):
            return await self._send(writer, b"", "404 Not Found")
        body = picture("icon") if "nothing" in target else picture(target)
        return await self._send(writer, body)

    async def _head(self, writer: Stream, length: int | None, status: str = "200 OK", **more: str) -> None:
        size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
        lines = [f"HTTP/1.1 {status}", "Content-Type: image/jpeg", size]
        lines += [f"{name}: {value}" for name, value in more.items()]
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        await writer.drain()

    async def _send(
        self, writer: Stream, body: bytes, status: str = "200 OK", headers: dict[str, str] | None = None
    ) -> bool:
        await self._head(writer, len(body), status, **(headers or {}))
        writer.write(body)
        await writer.drain()
        return True


async def main() -> None:
    server = Server()
    _bomb()  # made before anyone waits for it
    port = 0
    for host in HOSTS:
        listening = await asyncio.start_server(server.serve, host, port, backlog=512)
        port = listening.sockets[0].getsockname()[1]
    print(port, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
