"""Europeana's Search and Record APIs: what to ask, and what is kept of the answers.

Only named fields are kept: the answers' `apikey`, `link` and `guid` echo the key and never get this far.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from eufcc_cli.core.errors import CollectError
from eufcc_cli.core.harvest.concept_cache import strings

RECORD_URL = "https://api.europeana.eu/record/v2"
ENTITY_URL = "https://api.europeana.eu/entity"
THUMBNAIL_URL = "https://api.europeana.eu/thumbnail/v2/url.json"
WHERE_TO_GET_A_KEY = "https://apis.europeana.eu/en"
ROWS = 100
FIRST_CURSOR = "*"
REUSABILITIES = ("open", "restricted", "permission", "all")

# The facets that a field of a record may describe; if there are two, the concept's AAT branch decides.
FIELDS: dict[str, tuple[str, ...]] = {
    "dctermsMedium": ("materials",),
    "dcFormat": ("materials",),
    "dcType": ("objectTypes",),
    "dcSubject": ("subjects", "classifications"),
}


@dataclass(frozen=True)
class Search:
    """What to search for: keywords (or queries in Europeana's syntax), and the filters of them all."""

    keywords: tuple[str, ...]
    theme: str | None = None
    reusability: str = "open"
    providers: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.keywords or not all(keyword.strip() for keyword in self.keywords):
            raise CollectError("a keyword is empty", hint='name what to search for: "medal", "textile"')
        if self.reusability not in REUSABILITIES:
            raise CollectError(
                f"`reusability` {self.reusability} is not known", hint=f"one of {', '.join(REUSABILITIES)}"
            )

    def parameters(self, keyword: str, cursor: str) -> list[tuple[str, str]]:
        """The parameters of one page of a keyword's results.

        >>> Search(("medal",), providers=("Museum",)).parameters("medal", "*")[:3]
        [('query', 'medal'), ('qf', 'TYPE:IMAGE'), ('qf', 'DATA_PROVIDER:("Museum")')]
        """
        parameters = [("query", keyword), ("qf", "TYPE:IMAGE")]
        for name, values in (("DATA_PROVIDER", self.providers), ("COUNTRY", self.countries)):
            if values:
                parameters.append(("qf", f"{name}:({' OR '.join(map(_phrase, values))})"))
        if self.reusability != "all":
            parameters.append(("reusability", self.reusability))
        if self.theme:
            parameters.append(("theme", self.theme))
        return [
            *parameters,
            ("media", "true"),
            ("thumbnail", "true"),
            ("profile", "rich"),
            ("rows", str(ROWS)),
            ("cursor", cursor),
        ]


def _phrase(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@dataclass(frozen=True)
class Page:
    """One page of search results: items as `read_item` keeps them, and the cursor of the next page."""

    items: list[dict[str, Any]]
    next_cursor: str | None
    total: int | None


def read_page(answer: Mapping[str, Any]) -> Page:
    """What is kept of a search answer; CollectError where it is none."""
    items, cursor, total = answer.get("items"), answer.get("nextCursor"), answer.get("totalResults")
    if not isinstance(items, list):
        raise CollectError("Europeana's answer has no items", hint="is `record_url` the URL of its APIs?")
    kept = [read_item(item) for item in items if isinstance(item, dict) and _is_id(item.get("id"))]
    return Page(
        kept,
        cursor if isinstance(cursor, str) and cursor else None,
        total if isinstance(total, int) else None,
    )


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("/") and len(value.strip("/")) > 0


def read_item(item: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of a search result."""
    return {
        "id": item["id"],
        "title": _first(item.get("title")),
        "provider": _first(item.get("dataProvider")),
        "rights": _first(item.get("rights")),
        "preview": _first(item.get("edmPreview")),
        "shownBy": _first(item.get("edmIsShownBy")),
        "concepts": strings(item.get("edmConcept")),
    }


def read_record(answer: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of a record: values per field and language, concepts, provider, rights, attribution."""
    record = answer.get("object")
    if not isinstance(record, dict):
        raise CollectError("Europeana's answer has no record", hint="is `record_url` the Record API?")
    aggregation = next(_objects(record.get("aggregations")), {})
    shown_by = _first(aggregation.get("edmIsShownBy"))
    snippets = {
        resource.get("about"): text
        for resource in _objects(aggregation.get("webResources"))
        if (text := _first(resource.get("textAttributionSnippet")))
    }
    return {
        "values": _values(record),
        "concepts": {
            concept["about"]: {
                "labels": _by_language(concept.get("prefLabel")),
                "exactMatch": strings(concept.get("exactMatch")),
            }
            for concept in _objects(record.get("concepts"))
            if isinstance(concept.get("about"), str)
        },
        "provider": _provider(aggregation, record),
        "rights": _first(_any_language(aggregation.get("edmRights"))),
        "shownBy": shown_by,
        "attribution": snippets.get(shown_by) or next(iter(snippets.values()), ""),
    }


def _values(record: Mapping[str, Any]) -> dict[str, list[list[str]]]:
    """Per field, the pairs [language, value] of all proxies, each once."""
    values: dict[str, dict[tuple[str, str], None]] = {name: {} for name in FIELDS}
    for proxy in _objects(record.get("proxies")):
        for name, known in values.items():
            for language, texts in _by_language(proxy.get(name)).items():
                known.update(dict.fromkeys((language, text) for text in texts))
    return {name: [list(pair) for pair in known] for name, known in values.items() if known}


def _provider(aggregation: Mapping[str, Any], record: Mapping[str, Any]) -> str:
    """The data provider's name; a URI is looked up among the record's organizations."""
    names = {
        organization.get("about"): _first(_in_english_first(organization.get("prefLabel")))
        for organization in _objects(record.get("organizations"))
    }
    provider = _first(_any_language(aggregation.get("edmDataProvider")))
    return names.get(provider) or provider


def image_url(item: Mapping[str, Any], record: Mapping[str, Any], thumbnail_url: str = THUMBNAIL_URL) -> str:
    """The picture of a record, as in the published tables: the thumbnail's address, which names the original.

    >>> image_url({"preview": "", "shownBy": "https://museum.example/a b.jpg"}, {})
    'https://api.europeana.eu/thumbnail/v2/url.json?uri=https%3A%2F%2Fmuseum.example%2Fa+b.jpg&type=IMAGE'
    """
    if preview := item.get("preview"):
        return preview
    original = item.get("shownBy") or record.get("shownBy") or ""
    return f"{thumbnail_url}?{urlencode({'uri': original, 'type': 'IMAGE'})}" if original else ""


def record_path(record_id: str) -> str:
    """The path of a record below the Record API's address.

    >>> record_path("/90402/RP_P_1909_557")
    '/90402/RP_P_1909_557.json'
    """
    return f"{quote(record_id)}.json"


def image_id(record_id: str) -> str:
    """The idInSource of a record: its Europeana id, reversibly, without slashes.

    >>> image_id("/90402/RP_P_1909_557"), image_id("/9-1/a/b")
    ('90402-RP_P_1909_557', '9%2D1-a-b')
    """
    return "-".join(quote(part, safe="").replace("-", "%2D") for part in record_id.strip("/").split("/"))


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    return (entry for entry in value if isinstance(entry, dict)) if isinstance(value, list) else iter(())


def _first(value: Any) -> str:
    return next((text for text in strings(value) if text.strip()), "")


def _by_language(value: Any) -> dict[str, list[str]]:
    if not isinstance(value, dict):
        return {"def": found} if (found := strings(value)) else {}
    return {language.lower(): strings(texts) for language, texts in value.items()}


def _any_language(value: Any) -> list[str]:
    return _ordered(value, lambda code: code != "def")


def _in_english_first(value: Any) -> list[str]:
    return _ordered(value, lambda code: (code != "en", code))


def _ordered(value: Any, key: Callable[[str], Any]) -> list[str]:
    by_language = _by_language(value)
    return [text for language in sorted(by_language, key=key) for text in by_language[language]]
