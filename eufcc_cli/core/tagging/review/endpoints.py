"""What the review page asks for, and what it sends: the answers to its requests."""

import json
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from eufcc_cli.core.errors import DataError, EufccError, ImageError
from eufcc_cli.core.tagging.review import ordering
from eufcc_cli.core.tagging.review.ordering import Filter
from eufcc_cli.core.tagging.review.review_state import VERDICT_OF, Review
from eufcc_cli.core.tagging.review.thumbnails import LARGE, SMALL, THUMBNAIL, Pictures, placeholder
from eufcc_cli.core.tagging.review.vocabulary_search import VocabularySearch
from eufcc_cli.core.taxonomy.names import Names

_STATIC = Path(__file__).parent / "static"
_MOST_CHANGES = 2000
_THRESHOLD = 0.5  # the probability from which a suggestion is marked as accepted
_MOST_BYTES = 8 << 20  # of a request

Endpoint = Callable[[Request], Awaitable[Response]]


class ReviewApi:
    """The requests that the page sends, as methods of the review."""

    def __init__(self, review: Review, names: Names, pictures: Pictures) -> None:
        self._review = review
        self._names = names
        self._pictures = pictures
        self._search = VocabularySearch(review.trees, names)

    def routes(self, token: str) -> Starlette:
        get = {
            "start": self._start,
            "terms": self._terms,
            "sheet": self._sheet,
            "images": self._images,
            "image/{image:int}": self._image,
            "search": self._find,
            "changes": self._changes,
        }
        post = {"decide": self._decide, "add": self._add, "undo": self._undo}
        return Starlette(
            routes=[
                Mount(
                    f"/{token}",
                    routes=[
                        *(Route(f"/api/{path}", _json(call)) for path, call in get.items()),
                        *(
                            Route(f"/api/{path}", _json(call, body=True), methods=["POST"])
                            for path, call in post.items()
                        ),
                        Route("/small/{image:int}", partial(self._picture, side=SMALL)),
                        Route("/thumbnail/{image:int}", partial(self._picture, side=THUMBNAIL)),
                        Route("/picture/{image:int}", partial(self._picture, side=LARGE)),
                        Mount("/", StaticFiles(directory=_STATIC, html=True)),
                    ],
                )
            ]
        )

    def _start(self, query: dict[str, str]) -> dict[str, Any]:
        review, suggestions = self._review, self._review.suggestions
        review.refresh()
        facets = dict.fromkeys(term.facet for term in suggestions.terms)
        return {
            "file": suggestions.path.name,
            "decisions": review.path,
            "reviewer": review.reviewer,
            "facets": list(facets),
            "providers": sorted({image.provider for image in suggestions.images} - {""}),
            "records": any(image.record for image in suggestions.images),
            "suspects": suggestions.suspects,
            "images": len(suggestions.images),
            "threshold": _THRESHOLD,
            "orphans": [[d.image, d.facet, d.tag, d.verdict] for d in review.orphans.values()],
            **self._progress(query.get("page", "")),
        }

    def _progress(self, page: str) -> dict[str, Any]:
        review = self._review
        return {
            "decided": review.decided,
            "total": review.suggested,
            "version": review.version,
            "undo": review.can_undo(page),
        }

    def _terms(self, query: dict[str, str]) -> dict[str, Any]:
        self._review.refresh()
        terms = ordering.terms(self._review, Filter.from_query(query))
        for term in terms:
            term["names"] = self._other_names(term["facet"], term["path"][-1])
            term["flags"] = self._review.suggestions.flags.get(term["term"], [])
        return {"terms": terms, "version": self._review.version}

    def _sheet(self, query: dict[str, str]) -> dict[str, Any]:
        self._review.refresh()
        numbers = query.get("term", "").split(",")
        rows = []
        for term in [_number(text, len(self._review.suggestions.terms)) for text in numbers]:
            found = ordering.sheet(self._review, term, Filter.from_query(query))
            rows += [[*row, term, Path(self._review.suggestions.images[row[1]].name).name] for row in found]
        return {"rows": rows, "version": self._review.version}

    def _images(self, query: dict[str, str]) -> dict[str, Any]:
        self._review.refresh()
        found = ordering.images(self._review, Filter.from_query(query))
        images = self._review.suggestions.images
        return {
            "images": [[*row, Path(images[row[0]].name).name] for row in found],
            "version": self._review.version,
        }

    def _image(self, query: dict[str, str]) -> dict[str, Any]:
        review = self._review
        review.refresh()
        suggestions = review.suggestions
        number = _number(str(query.get("image")), len(suggestions.images))
        image = suggestions.images[number]
        facets: dict[str, list[dict[str, Any]]] = {}
        for row in review.rows_of_image(number):
            term = suggestions.terms[review.term[row]]
            score = float(review.score[row])
            facets.setdefault(term.facet, []).append(
                {
                    "row": row,
                    "path": term.path,
                    "names": self._other_names(term.facet, term.tag),
                    "flags": suggestions.flags.get(int(review.term[row]), []),
                    "score": score if row < review.suggested else None,
                    "verdict": VERDICT_OF[int(review.verdict[row])],
                    "contradicts": bool(review.contradicts[row]),
                    "record": bool(review.in_record[row]),
                    "term": int(review.term[row]),
                }
            )
        for rows in facets.values():
            rows.sort(key=lambda row: (row["score"] is None, -(row["score"] or 0), len(row["path"])))
        return {
            "image": number,
            "name": image.name,
            "url": image.url,
            "id": image.id,
            "provider": image.provider,
            "model": image.model,
            "error": image.error,
            "record": image.record,
            "facets": facets,
            "version": review.version,
        }

    def _other_names(self, facet: str, tag: str) -> list[list[str]]:
        return [[language, name] for language, name in self._names.every(facet, tag) if name != tag]

    def _find(self, query: dict[str, str]) -> dict[str, Any]:
        found = self._search(query.get("text", "")[:100], query.get("facet") or None)
        return {"found": [{"facet": f.facet, "path": f.path, "name": f.name} for f in found]}

    def _changes(self, query: dict[str, str]) -> dict[str, Any]:
        self._review.refresh()
        since = _number(query.get("since", "0"), 1 << 60)
        return self._answer(query.get("page", ""), since)

    def _decide(self, content: dict[str, Any]) -> dict[str, Any]:
        since, page = self._review.version, str(content.get("page", ""))
        rows = content.get("rows")
        if not isinstance(rows, list) or not all(
            isinstance(row, list) and len(row) == 2 and type(row[0]) is int and isinstance(row[1], str)
            for row in rows
        ):
            raise DataError("rows: a list of [row, verdict] is needed")
        self._review.decide(page, dict(rows))
        return self._answer(page, since)

    def _add(self, content: dict[str, Any]) -> dict[str, Any]:
        since, page = self._review.version, str(content.get("page", ""))
        image, facet, tag = content.get("image"), content.get("facet"), content.get("tag")
        if type(image) is not int or not isinstance(facet, str) or not isinstance(tag, str):
            raise DataError("image, facet and tag are needed")
        self._review.add(page, image, facet, tag)
        return self._answer(page, since)

    def _undo(self, content: dict[str, Any]) -> dict[str, Any]:
        since, page = self._review.version, str(content.get("page", ""))
        undone = self._review.undo(page)
        return {**self._answer(page, since), "undone": undone}

    def _answer(self, page: str, since: int) -> dict[str, Any]:
        """What changed after a version: the page may know an older one, and lack what others did since."""
        review = self._review
        rows = review.changed_since(since)
        changed = [
            [row, int(review.image[row]), int(review.term[row]), int(review.verdict[row])] for row in rows
        ]
        many = len(changed) > _MOST_CHANGES
        return {"changed": [] if many else changed, "reload": many, "since": since, **self._progress(page)}

    async def _picture(self, request: Request, side: int) -> Response:
        image = self._review.suggestions.images
        number = request.path_params["image"]
        if number >= len(image):
            return Response("not found", status_code=404)
        path = image[number].path
        try:
            if image[number].url:
                raise ImageError("a picture on the web, which this page does not load")
            if path is None:
                raise ImageError(f"not on this machine: {Path(image[number].name).name}")
            content = await run_in_threadpool(self._pictures.get, path, side)
        except ImageError as error:
            return Response(placeholder(str(error)), media_type="image/svg+xml")
        return Response(
            content, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=86400, immutable"}
        )


def _number(text: str | None, limit: int) -> int:
    if text is None or not text.isascii() or not text.isdecimal() or int(text[:20]) >= limit:
        raise DataError(f"no such number: {text}")
    return int(text)


def _json(call: Callable[[dict[str, Any]], dict[str, Any]], *, body: bool = False) -> Endpoint:
    """An endpoint of a method that takes a query, or JSON, and returns JSON; errors are answered in JSON.

    Methods run one after another in the event loop: the review has one writer here.
    """

    async def endpoint(request: Request) -> Response:
        try:
            content = await _body(request) if body else dict(request.query_params)
            return JSONResponse(call({**content, **request.path_params}))
        except DataError as error:
            return JSONResponse({"error": str(error)}, status_code=400)
        except EufccError as error:
            return JSONResponse({"error": str(error), "hint": error.hint}, status_code=507)

    return endpoint


async def _body(request: Request) -> dict[str, Any]:
    content = b""
    async for part in request.stream():
        content += part
        if len(content) > _MOST_BYTES:
            raise DataError("the request is too large")
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DataError("the request is not JSON") from error
    if not isinstance(found, dict):
        raise DataError("the request is no JSON object")
    return found
