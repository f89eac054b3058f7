"""Europeana, AAT's SPARQL endpoint and a host of raw files, on one local port; run as a module, it prints it.

`python -m tests.servers.europeana RECORDS FILES`. A search's keyword names what goes wrong with it; the first
part of a raw file's path names what goes wrong with that. It speaks HTTP/1.1 by hand, since no well-kept
server would do what is asked for here.
"""

import asyncio
import hashlib
import json
import re
import sys
from collections import Counter
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from tests.servers import catalogue

KEY = "s3cret-Key/with+signs"
ROWS = 100
Headers = dict[str, str]


class Server:
    def __init__(self, records: int, files: Path) -> None:
        self.records = records
        self.files = files
        self.asked: Counter[str] = Counter()
        self.keys: set[str] = set()
        self.ranges: list[str] = []
        self.by_original: dict[str, str] = {}
        self.most = float("inf")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        target = head[0].split(" ", 2)[1]
        headers = {name.lower(): value for line in head[1:] if line for name, value in [line.split(": ", 1)]}
        path, query = unquote(urlsplit(target).path), parse_qs(urlsplit(target).query)
        self.base = f"http://{headers['host']}"
        if path.startswith("/_"):
            return await self._send(writer, *self._control(path))
        self.asked[target] += 1
        if self.asked.total() > self.most:
            await asyncio.Event().wait()
        if "x-api-key" in headers:
            self.keys.add(path.split("/")[1])
        if path.startswith("/elsewhere/"):
            path = path.removeprefix("/elsewhere")  # another server, that asks for no key
        elif path.startswith(("/record/", "/entity/")) and headers.get("x-api-key") != KEY:
            told = headers.get("x-api-key", "")
            return await self._json(writer, old_error(f"Invalid API key: {told}", told), "401 Unauthorized")
        if path == "/record/v2/search.json":
            return await self._search(writer, query, target)
        if match := re.fullmatch(r"/record/v2(/\d+/Item_(\d{6}))\.json", path):
            return await self._record(writer, int(match[2]))
        if match := re.fullmatch(r"/entity/concept/(\d+)\.json", path):
            entity = catalogue.entity_answer(int(match[1]))
            if entity is None:
                return await self._json(
                    writer, new_error(404, "Not Found", "no such entity"), "404 Not Found"
                )
            return await self._json(writer, entity)
        if path == "/sparql.json":
            ids = re.findall(r"aat:(\d+)", query["query"][0])
            return await self._json(writer, catalogue.sparql_answer(ids))
        if path == "/reconcile/":
            queries = json.loads(query["queries"][0])
            if any(each["query"] == "too many" for each in queries.values()) and self.asked[target] == 1:
                return await self._send(writer, b"slow down", "429 Too Many Requests", {"Retry-After": "1"})
            if any(each["query"] == "teapot" for each in queries.values()):
                return await self._send(writer, b"no", "400 Bad Request")
            return await self._json(writer, catalogue.reconcile_answer(queries))
        if path.startswith("/thumbnail/"):
            return await self._thumbnail(writer, path, query)
        if path.startswith("/files/"):
            return await self._file(writer, path, headers, target)
        return await self._send(writer, b"nothing here", "404 Not Found")

    def _control(self, path: str) -> tuple[bytes]:
        match path:
            case "/_log":
                log = {"asked": self.asked, "keys": sorted(self.keys), "ranges": self.ranges}
                return (json.dumps(log).encode(),)
            case "/_count":
                return (str(self.asked.total()).encode(),)
            case "/_forget":
                self.asked.clear()
                self.keys.clear()
                self.ranges.clear()
            case _ if path.startswith("/_answer/"):
                self.most = self.asked.total() + float(path.rpartition("/")[2])
        return (b"",)

    async def _search(self, writer: asyncio.StreamWriter, query: dict[str, list[str]], target: str) -> bool:
        keyword, cursor = query["query"][0], query["cursor"][0]
        first = self.asked[target] == 1
        headers: Headers = {}
        match keyword:
            case "bad query":
                return await self._json(
                    writer, old_error("Invalid query parameter: bad query"), "400 Bad Request"
                )
            case "bad theme":
                error = new_error(400, "Bad Request", "Theme x is not known")
                return await self._json(writer, error, "400 Bad Request")
            case "limited" if first:
                error = new_error(429, "Too Many Requests", "limit")
                return await self._json(writer, error, "429 Too Many Requests", {"Retry-After": "1"})
            case "limited by header" if first:
                error = old_error("limit")
                limit = {"RateLimit-Policy": '"personal";q=1000;w=3600', "RateLimit": '"personal";r=0;t=1'}
                return await self._json(writer, error, "429 Too Many Requests", limit)
            case "last request":
                headers = {"RateLimit": '"personal";r=0;t=1'}
            case "day limit":
                error = old_error("limit")
                return await self._json(writer, error, "429 Too Many Requests", {"Retry-After": "80000"})
            case "down" if first:
                return await self._json(writer, old_error("index down"), "503 Service Unavailable")
            case "expiring" if cursor != "*" and first:
                return await self._json(writer, old_error("Invalid cursor value"), "400 Bad Request")
            case "nothing":
                return await self._json(writer, self._page([], None, 0))
            case "elsewhere":
                to = target.replace("elsewhere", "redirected")
                other = self.base.replace("127.0.0.1", "localhost")
                return await self._send(writer, b"", "302 Found", {"Location": f"{other}/elsewhere{to}"})
        page = 0 if cursor == "*" else int(cursor.removeprefix("AoE/+="))
        numbers = self._found(keyword)
        items = [
            catalogue.search_item(catalogue.record(number), self.base, KEY)
            for number in numbers[page * ROWS : (page + 1) * ROWS]
        ]
        last = (page + 1) * ROWS >= len(numbers)
        after = f"AoE/+={page + 1}"
        if last and keyword != "empty last page":
            after = ""
        if keyword == "repeating" and page == 1:
            after = "AoE/+=1"
        if keyword == "going round" and page == 2:
            after = "AoE/+=1"
        if keyword == "early":
            after = "*"
        content = json.dumps(self._page(items, after, len(numbers))).encode()
        if keyword == "cut in the middle" and first:
            content = content[: len(content) // 2]
        if keyword == "torn" and first:
            return await self._send(writer, content, length=len(content) + 100)
        return await self._send(writer, content, headers=headers)

    def _found(self, keyword: str) -> range:
        """All records for "all"; other keywords find every second or third, so that they overlap."""
        if keyword in ("all", "going round"):
            return range(1, self.records + 1)
        return range(2, self.records + 1, 3) if keyword == "medal" else range(1, self.records + 1, 2)

    def _page(self, items: list[object], after: str | None, total: int) -> dict[str, object]:
        more = {"nextCursor": after} if after else {}
        return {
            "apikey": KEY,
            "success": True,
            "itemsCount": len(items),
            "totalResults": total,
            "items": items,
        } | more

    async def _record(self, writer: asyncio.StreamWriter, number: int) -> bool:
        if number % 97 == 0:
            return await self._json(writer, old_error("Invalid record identifier"), "404 Not Found")
        return await self._json(writer, catalogue.record_answer(catalogue.record(number), self.base, KEY))

    async def _thumbnail(self, writer: asyncio.StreamWriter, path: str, query: dict[str, list[str]]) -> bool:
        if path.startswith("/thumbnail/v2/"):
            name = query["uri"][0].rsplit("/", 1)[-1]
        else:
            if not self.by_original:
                for number in range(1, self.records + 1):
                    original = catalogue.record(number).original(self.base)
                    digest = hashlib.md5(original.encode(), usedforsecurity=False).hexdigest()
                    self.by_original[digest] = original.rsplit("/", 1)[-1]
            name = self.by_original.get(path.rsplit("/", 1)[-1].removesuffix(".jpg"), "")
            # v3 lacks some that v2 has
            if not name or int(name.removesuffix(".jpg").split("-")[2]) % 5 == 0:
                return await self._send(writer, b"", "404 Not Found")
        return await self._send(writer, catalogue.picture(name))

    async def _file(self, writer: asyncio.StreamWriter, path: str, headers: Headers, target: str) -> bool:
        _, _, how, name = path.split("/", 3)
        file = self.files / name
        first = self.asked[target] == 1
        if how == "html":
            return await self._send(writer, b"<!DOCTYPE html><title>Please log in</title>")
        if how == "wrong" and name.startswith("data/"):
            return await self._send(writer, b"idInSource\nsomething else\n")
        if how == "busy" and first:
            return await self._send(writer, b"", "503 Service Unavailable", {"Retry-After": "1"})
        if not file.is_file():
            return await self._send(writer, b"404: Not Found", "404 Not Found")
        body = file.read_bytes()
        ranged = re.fullmatch(r"bytes=(\d+)-", headers.get("range", ""))
        self.ranges += [f"{name} {ranged[1]}"] if ranged else []
        if not ranged or how == "whole":
            start, status, more = 0, "200 OK", {}
        elif int(ranged[1]) >= len(body):
            return await self._send(writer, b"", "416 Range Not Satisfiable")
        else:
            start, status = int(ranged[1]), "206 Partial Content"
            more = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"}
        rest = body[start:]
        if how == "breaking" and len(rest) > 1000:
            return await self._send(writer, rest[: max(1000, len(rest) // 2)], status, more, length=len(rest))
        return await self._send(writer, rest, status, more)

    async def _json(
        self,
        writer: asyncio.StreamWriter,
        content: object,
        status: str = "200 OK",
        headers: Headers | None = None,
    ) -> bool:
        return await self._send(writer, json.dumps(content).encode(), status, headers)

    async def _send(
        self,
        writer: asyncio.StreamWriter,
        body: bytes,
        status: str = "200 OK",
        headers: Headers | None = None,
        *,
        length: int | None = None,
    ) -> bool:
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + body)
        await writer.drain()
        return length is None


def old_error(message: str, key: str = KEY) -> dict[str, object]:
    return {"apikey": key, "success": False, "error": message, "code": "400-XX"}


def new_error(status: int, error: str, message: str) -> dict[str, object]:
    return {
        "@context": "http://www.europeana.eu/schemas/context/api.jsonld",
        "type": "ErrorResponse",
        "success": False,
        "status": status,
        "error": error,
        "message": message,
    }


async def main() -> None:
    server = Server(int(sys.argv[1]), Path(sys.argv[2]))
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, backlog=256)
    print(listening.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
