"""Files with a known git blob id: fetched, resumed after an interruption, verified before use."""

import asyncio
import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from eufcc_cli.core.dataset.provenance import without_secrets
from eufcc_cli.core.errors import CollectError, EufccError
from eufcc_cli.core.files import replace_file
from eufcc_cli.core.http.client import user_agent
from eufcc_cli.core.http.politeness import retry_after
from eufcc_cli.core.progress import Progress, Task

_MOST_BYTES = 1 << 30  # no such file is nearly as large; stops endless answers
_ATTEMPTS = 5
_LONGEST_WAIT = 600.0
_AT_ONCE = 4
_GO_ON = "run it again to resume"


def git_blob_id(path: Path) -> str:
    """The git blob id of a file's content: SHA-1 of `blob <size>\\0<content>`."""
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


@dataclass
class PinnedFile:
    """A file to fetch: its path, its URL, the blob id it must have; `done` once it is in place."""

    path: Path
    url: str
    blob_id: str
    done: bool = False
    part: Path = field(init=False)

    def __post_init__(self) -> None:
        self.part = self.path.with_name(f".{self.path.name}.{self.blob_id[:12]}.part")

    def error(self, reason: object, hint: str | None = None) -> CollectError:
        """An error message: the file, the URL, the reason."""
        return CollectError(f"{self.path}: {without_secrets(self.url)}: {reason}", hint)


async def fetch_pinned(files: list[PinnedFile], progress: Progress) -> None:
    """Fetch several files at a time; each takes its place once it is complete and verified.

    After a failure the other files are completed before the first error is raised. An interrupted download
    continues where it stopped (by a Range request).
    """
    slots = asyncio.Semaphore(_AT_ONCE)

    async def fetch(file: PinnedFile) -> None:
        async with slots:
            await _fetch(client, file, task)
        task.advance()

    # A compressed answer would make the offsets of a Range ambiguous.
    headers = {"User-Agent": user_agent(), "Accept-Encoding": "identity"}
    timeout = httpx.Timeout(60.0, connect=20.0)
    with progress.task("Fetching", len(files), "files") as task:
        async with httpx.AsyncClient(headers=headers, follow_redirects=True, timeout=timeout) as client:
            results = await asyncio.gather(*map(fetch, files), return_exceptions=True)
    errors = [result for result in results if isinstance(result, BaseException)]
    if errors and isinstance(errors[0], EufccError) and len(errors) > 1:
        raise CollectError(f"{errors[0]} ({len(errors)} files failed)", errors[0].hint) from errors[0]
    if errors:
        raise errors[0]


async def _fetch(client: httpx.AsyncClient, file: PinnedFile, task: Task) -> None:
    """Complete the partial file over as many connections as it takes; move it into place once verified."""
    resumed = file.part.is_file()
    while True:
        await _complete(client, file, task)
        if git_blob_id(file.part) == file.blob_id:
            replace_file(file.part, file.path)
            file.done = True
            return
        reason = _what_is_wrong(file.part)
        file.part.unlink()
        if not resumed:
            raise file.error(reason, "is this the URL of that revision? Nothing was replaced")
        resumed = False  # the partial file may be another one: once more, from the start


def _what_is_wrong(part: Path) -> str:
    with part.open("rb") as file:
        head = file.read(200).lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    if head.startswith((b"<!doctype html", b"<html")):
        return "a web page came instead of the file"
    return "not the published file: its git blob id differs"


async def _complete(client: httpx.AsyncClient, file: PinnedFile, task: Task) -> None:
    failures = 0
    while True:
        before = _size(file.part)
        try:
            await _append(client, file, task)
            return
        except _Again as error:
            # An attempt that brought some bytes does not count as a failure.
            failures = 0 if _size(file.part) > before else failures + 1
            if failures == _ATTEMPTS:
                raise file.error(error, _GO_ON) from error
            await asyncio.sleep(max(error.wait, 0.25 * 2**failures if failures else 0.0))
        except OSError as error:
            raise file.error(
                f"cannot write: {error.strerror or error}", f"free some space; {_GO_ON}"
            ) from error


class _Again(Exception):
    """A failure worth another attempt, `wait` seconds later."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


async def _append(client: httpx.AsyncClient, file: PinnedFile, task: Task) -> None:
    """One request: for the rest of the file, or all of it if the server does not support ranges."""
    done = _size(file.part)
    headers = {"Range": f"bytes={done}-"} if done else {}
    try:
        async with client.stream("GET", file.url, headers=headers) as response:
            if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE and done:
                return  # already complete; the blob id is checked next
            _check_status(file, response)
            if response.headers.get("content-encoding", "identity") != "identity":
                raise file.error("the server compresses the file")
            resumes = response.status_code == httpx.codes.PARTIAL_CONTENT
            if resumes and not response.headers.get("content-range", "").startswith(f"bytes {done}-"):
                raise file.error("the server sent another range than requested")
            file.part.parent.mkdir(parents=True, exist_ok=True)
            with file.part.open("ab" if resumes else "wb") as part:
                async for chunk in response.aiter_raw():
                    part.write(chunk)
                    if part.tell() > _MOST_BYTES:
                        raise file.error("the file is larger than any published one")
                    task.advance(0, MB=round(part.tell() / 1e6, 1), file=file.path.name)
                part.flush()
                os.fsync(part.fileno())
    except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
        raise file.error(error, "a URL starts with http:// or https://") from error
    except httpx.TransportError as error:
        raise _Again(str(error) or type(error).__name__) from error
    except httpx.HTTPError as error:
        raise file.error(error) from error


def _check_status(file: PinnedFile, response: httpx.Response) -> None:
    status = response.status_code
    if status in (httpx.codes.OK, httpx.codes.PARTIAL_CONTENT):
        return
    said = f"the server answered {status} {response.reason_phrase}".strip()
    if status == httpx.codes.TOO_MANY_REQUESTS or status >= 500:
        raise _Again(said, min(retry_after(response.headers) or 0.0, _LONGEST_WAIT))
    raise file.error(said, "check the URL" if status == httpx.codes.NOT_FOUND else None)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
