"""The candidate URLs of an image, in order, and the placeholder icons of missing pictures."""

import hashlib
import re
from typing import NamedTuple
from urllib.parse import parse_qsl, quote

_AUTHORITY = re.compile(r"[/?#\\]")  # what ends it


WRAPPED = "/thumbnail/v2/url.json?"
"""What the URL of a Europeana thumbnail holds."""


class Candidate(NamedTuple):
    """One URL of an image: `v3`, `v2` (Europeana's thumbnails), `original` or `url` (any other)."""

    name: str
    url: str


def candidate_urls(url: str, size: str = "400") -> list[Candidate]:
    """The candidates for an image's URL: several for a Europeana thumbnail, else the URL itself.

    Sizes 400 and 200: v3 returns 404 where v2 returns an icon, so it comes first. `original`: the provider's
    file, then the thumbnail.

    >>> for candidate in candidate_urls("https://api.europeana.eu/thumbnail/v2/url.json?uri=https%3A%2F%2Fa.org%2F1&type=IMAGE"):
    ...     print(*candidate)
    v3 https://api.europeana.eu/thumbnail/v3/400/2200656d123f26ef67474af1df44f31e.jpg
    v2 https://api.europeana.eu/thumbnail/v2/url.json?uri=https%3A%2F%2Fa.org%2F1&type=IMAGE
    >>> candidate_urls("https://a.org/1.jpg")
    [Candidate(name='url', url='https://a.org/1.jpg')]
    """
    wrapped = _wrapped(url)
    if wrapped is None:
        return [Candidate("url", url)]
    base, original, kind = wrapped
    if size == "original":
        return [Candidate("original", original), Candidate("v2", _v2(base, original, kind, "400"))]
    digest = hashlib.md5(original.encode(), usedforsecurity=False).hexdigest()
    return [
        Candidate("v3", f"{base}/thumbnail/v3/{size}/{digest}.jpg"),
        Candidate("v2", _v2(base, original, kind, size)),
    ]


def _v2(base: str, original: str, kind: str, size: str) -> str:
    width = "" if size == "400" else f"&size=w{size}"  # 400 is v2's default
    return f"{base}{WRAPPED}uri={quote(original, safe='')}&type={kind}{width}"


def _wrapped(url: str) -> tuple[str, str, str] | None:
    """Server, original URL and type of a v2 thumbnail's URL."""
    before, path, query = url.partition(WRAPPED)
    if not path:
        return None
    asked = dict(parse_qsl(query))
    return (before, asked["uri"], quote(asked.get("type", "IMAGE"))) if asked.get("uri") else None


_ICON = "9b81b5fee241cee7aba478d1cd20715c1ae2601bcfca8c09e327731dfddf9bf5"
_OTHER_ICONS = ("6b51e5cd", "71de9d34", "b06d7fd3", "61aee462")  # sound, text, video and 3D, as far as known


def is_icon(sha256: str, candidate: str) -> bool:
    """True for the icons that Europeana's v2 returns, with status 200, if it has no picture."""
    return sha256 == _ICON or (candidate == "v2" and sha256.startswith(_OTHER_ICONS))


def host_of(url: str) -> str:
    """The host of a URL, as text to group by; "" where it has none.

    >>> host_of("https://Example.org:8080/a"), host_of("no URL")
    ('example.org:8080', '')
    """
    return _AUTHORITY.split(url.partition("://")[2], maxsplit=1)[0].rpartition("@")[2].lower()
