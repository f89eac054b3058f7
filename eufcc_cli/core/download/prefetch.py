"""Images from URLs, fetched before they are needed, with the same safe client as downloads."""

import asyncio
import hashlib
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import CancelledError, Future
from typing import TYPE_CHECKING, Any, Self, TypeVar

from eufcc_cli.core.download.candidates import is_icon
from eufcc_cli.core.errors import ImageError
from eufcc_cli.core.http.politeness import FetchError, Politeness

if TYPE_CHECKING:
    from eufcc_cli.core.http.client import Client

T = TypeVar("T")
Get = Callable[[str], Awaitable[bytes]]
"""Fetches a URL; raises FetchError."""
Recipe = Callable[[Get], Awaitable[bytes]]
"""Fetches a picture that takes more than one request."""

_MOST_BYTES = 128 << 20
_JSON = "application/json, application/ld+json;q=0.9, */*;q=0.1"
_AHEAD = 16  # pictures fetched and not used yet


class Fetcher:
    """Fetches images into memory, a few in parallel, while others are tagged; a context manager."""

    def __init__(self, politeness: Politeness) -> None:
        self._politeness = politeness
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fetcher", daemon=True)
        self._client: Client | None = None
        self._room = asyncio.Semaphore(_AHEAD)

    def __enter__(self) -> Self:
        self._thread.start()  # not by the first image: several threads may ask for one at the same time
        return self

    def __exit__(self, *_: object) -> None:
        self.start(self._close()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __call__(self, url: str) -> "Picture":
        return self.by(lambda get: get(url))

    def by(self, recipe: Recipe) -> "Picture":
        """A picture that a recipe gets."""
        return Picture(self, recipe)

    def begin(self, recipe: Recipe) -> "Future[bytes]":
        """Fetch a picture as soon as there is room, which `used` releases."""

        async def get() -> bytes:
            await self._room.acquire()
            return await recipe(self._get)

        return self.start(get())

    def start(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Run a coroutine that needs no room, such as fetching a document."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def document(self, url: str) -> Callable[[], bytes]:
        """Start to fetch a JSON document; the returned function waits for it, and raises FetchError."""
        return self.start(self.get_document(url)).result

    async def get_document(self, url: str) -> bytes:
        """Fetch a JSON document; raises FetchError."""
        return await self._ask(url, {"Accept": _JSON})

    def used(self) -> None:
        """Release the room of an image."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._room.release)

    async def _ask(self, url: str, headers: dict[str, str] | None = None) -> bytes:
        if self._client is None:
            from eufcc_cli.core.http.client import Client  # not needed, and slow to load, without URLs

            self._client = Client(self._politeness)
        answer = await self._client.get(url, headers=headers, max_bytes=_MOST_BYTES)
        if answer.status >= 300:
            raise FetchError("not-found", f"HTTP {answer.status}", http=answer.status)
        return answer.content

    async def _get(self, url: str) -> bytes:
        content = await self._ask(url)
        candidate = "v2" if "/thumbnail/v2/" in url else "url"
        if is_icon(hashlib.sha256(content).hexdigest(), candidate):
            raise FetchError("placeholder", "the server has no image and returned an icon")
        return content

    async def _close(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        if self._client is not None:
            await self._client.__aexit__()


class Picture:
    """A picture on the web: `begin` starts to fetch it, a call waits for its bytes.

    Raises ImageError with the reason if it cannot be fetched.
    """

    def __init__(self, fetcher: Fetcher, recipe: Recipe) -> None:
        self._fetcher = fetcher
        self._recipe = recipe
        self._begun: Future[bytes] | None = None

    def begin(self) -> None:
        if self._begun is None:
            self._begun = self._fetcher.begin(self._recipe)

    def __call__(self) -> bytes:
        self.begin()
        assert self._begun is not None
        try:
            return self._begun.result()
        except FetchError as error:
            raise ImageError(f"cannot fetch: {error}") from error
        except CancelledError:
            raise ImageError("cannot fetch: interrupted") from None
        finally:
            self._fetcher.used()
