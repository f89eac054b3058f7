"""IRIs out of what people and tables call URLs (RFC 3987)."""

import re
from urllib.parse import quote

_FORBIDDEN = re.compile(
    '[\\x00-\\x20<>"{}|\\\\^`\\x7f-\\x9f\\u200e\\u200f\\u202a-\\u202e\\ud800-\\uf8ff\\ufdd0-\\ufdef\\ufff0-\\uffff]'
    "|%(?![0-9A-Fa-f]{2})"
)
_PARTS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*:(?://[^/?#]*)?)?([^#]*)(#.*)?", re.DOTALL)


def as_iri(text: str) -> str:
    """The same address with all that an IRI may not hold percent-encoded; what is one stays as it is.

    >>> as_iri("https://example.org/my photo (1).jpg")
    'https://example.org/my%20photo%20(1).jpg'
    >>> as_iri("https://[::1]/a|b[1].jpg?q={x}&r=100%#a#b")
    'https://[::1]/a%7Cb%5B1%5D.jpg?q=%7Bx%7D&r=100%25#a%23b'
    >>> as_iri("https://example.org/pèl%20a.jpg")
    'https://example.org/pèl%20a.jpg'
    """
    found = _PARTS.fullmatch(text.strip())
    assert found is not None
    origin, path, fragment = (part or "" for part in found.groups())
    path = re.sub(r"[\[\]]", _encoded, path)
    fragment = fragment[:1] + re.sub(r"[\[\]#]", _encoded, fragment[1:])
    return _FORBIDDEN.sub(_encoded, origin + path + fragment)


def _encoded(found: re.Match[str]) -> str:
    return quote(found[0], safe="", errors="surrogatepass")
