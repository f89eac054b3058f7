"""JSON APIs: the key is sent in a header, and removed from every response."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar
from urllib.parse import urlencode

from eufcc_cli.core.errors import CollectError
from eufcc_cli.core.http.client import Client
from eufcc_cli.core.http.politeness import FetchError, Politeness

T = TypeVar("T")

# For one user's harvest: a few parallel requests, and waits of up to an hour. The user chooses the base URLs,
# so local servers are allowed.
POLITENESS = Politeness(per_host=4, rate=0, retries=5, max_wait=4000, allow_private_hosts=True)
_MOST_BYTES = 64 << 20
_UNREADABLE_ANSWERS = 4
_NO_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")


class RequestRejected(CollectError):
    """The server rejects the request by its HTTP status: a retry would change nothing."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Api:
    """One JSON API, called `name` in messages.

    The key is sent in the header X-Api-Key (not to redirects to another origin). It is removed from every
    response, since servers echo it. Control characters become spaces, and lone surrogates U+FFFD.
    """

    def __init__(self, client: Client, name: str, key: str | None = None) -> None:
        self._client = client
        self._name = name
        self._key = key

    async def get(self, url: str, parameters: Iterable[tuple[str, str]] = ()) -> dict[str, Any]:
        """The JSON object at a URL. Raises RequestRejected for a 4xx, CollectError for no usable response."""
        query = urlencode(list(parameters))
        whole = f"{url}?{query}" if query else url
        headers = {"X-Api-Key": self._key} if self._key else {}
        for attempt in range(_UNREADABLE_ANSWERS):
            try:
                answer = await self._client.get(whole, headers=headers, max_bytes=_MOST_BYTES)
            except FetchError as error:
                raise self._unreachable(error) from error
            if answer.status != 200:
                message = self._message(answer.content)
                raise RequestRejected(f"{self._name} answered {answer.status}{message}", answer.status)
            try:
                return self._object(answer.content)
            except (ValueError, RecursionError):  # cut in the middle, or not JSON at all
                await asyncio.sleep(0.2 * 2**attempt)
        raise CollectError(f"{self._name} does not answer with JSON", hint=f"is {url} the right URL?")

    def _unreachable(self, error: FetchError) -> CollectError:
        reason = self._hide(str(error))
        hint = "run it again later to resume"
        if error.http == 429:
            return CollectError(f"{self._name}: the limit of requests is reached ({reason})", hint)
        return CollectError(
            f"{self._name} cannot be reached: {reason}", hint if error.retryable else "check the URL"
        )

    def _object(self, body: bytes) -> dict[str, Any]:
        content = json.loads(body)
        if not isinstance(content, dict):
            raise ValueError("not a JSON object")
        return self._clean(content)

    def _message(self, body: bytes) -> str:
        """The message of an error body, in the old envelope or the new: `error` and `message`."""
        try:
            content = self._object(body)
        except (ValueError, RecursionError):
            return ""
        fields = (content.get("error"), content.get("message"))
        texts = dict.fromkeys(" ".join(text.split())[:300] for text in fields if isinstance(text, str))
        return "".join(f": {text}" for text in texts if text)

    def _clean(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {self._text(name): self._clean(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [self._clean(inner) for inner in value]
        return self._text(value) if isinstance(value, str) else value

    def _text(self, text: str) -> str:
        if not text.isprintable():
            text = _LONE_SURROGATE.sub("\ufffd", _NO_TEXT.sub(" ", text))
        return self._hide(text)

    def _hide(self, text: str) -> str:
        return text.replace(self._key, "***") if self._key else text


async def for_each(items: Iterable[T], work: Callable[[T], Awaitable[None]], at_once: int) -> None:
    """Do the work for every item, some at once; the first error ends it all."""
    rest = iter(items)

    async def worker() -> None:
        for item in rest:
            await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(worker())
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
