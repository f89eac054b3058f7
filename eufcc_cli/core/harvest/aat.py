"""AAT concept -> facet and path: chains of preferred parents by SPARQL, cut at a list of root concepts."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from eufcc_cli.core.errors import DataError
from eufcc_cli.core.taxonomy.tables.annotations import check_facets

AAT_URI = "http://vocab.getty.edu/aat/"
SPARQL_URL = "http://vocab.getty.edu/sparql.json"
RECONCILE_URL = "https://services.getty.edu/vocab/reconcile/"
CONCEPT = "Concept"
# What a gvp: type makes of a node: only concepts become tags.
_KINDS = (CONCEPT, "GuideTerm", "Hierarchy", "Facet", "ObsoleteSubject")
_CANDIDATE = re.compile(r"(?:https?://vocab\.getty\.edu/)?aat/(\d{5,12})")
_ONTOLOGY = "http://vocab.getty.edu/ontology#"
_URI = re.compile(r"(?:https?://vocab\.getty\.edu/(?:page/)?aat/|aat:)(\d{5,12})/?")

Labels = dict[str, list[str]]


@dataclass(frozen=True)
class Node:
    """What AAT says of one id: `kind` is Concept, GuideTerm, Hierarchy, Facet, ObsoleteSubject, or "" where
    AAT knows nothing; `parent` is the preferred one; `labels` and `alternatives` are its preferred and its
    other labels by language."""

    kind: str = ""
    parent: str | None = None
    labels: Labels = field(default_factory=dict)
    alternatives: Labels = field(default_factory=dict)


def aat_id(uri: str) -> str | None:
    """The id in an AAT URI, None for any other string.

    >>> aat_id("http://vocab.getty.edu/aat/300010957"), aat_id("https://vocab.getty.edu/page/aat/300010957")
    ('300010957', '300010957')
    >>> aat_id("http://vocab.getty.edu/tgn/7008038")
    """
    match = _URI.fullmatch(uri.strip())
    return match[1] if match else None


def query(ids: Iterable[str]) -> str:
    """The SPARQL query for kind, preferred parent and labels of some ids."""
    values = " ".join(f"aat:{aat}" for aat in ids)
    return (
        f"PREFIX gvp: <{_ONTOLOGY}> PREFIX skos: <http://www.w3.org/2004/02/skos/core#> "
        "PREFIX aat: <http://vocab.getty.edu/aat/> "
        f"SELECT ?concept ?type ?parent ?label ?other WHERE {{ VALUES ?concept {{ {values} }} "
        "{ ?concept a ?type } UNION { ?concept gvp:broaderPreferred ?parent } "
        "UNION { ?concept skos:prefLabel ?label } UNION { ?concept skos:altLabel ?other } }"
    )


def read_answer(answer: Mapping[str, Any], ids: Iterable[str]) -> dict[str, Node]:
    """The nodes of a SPARQL answer (JSON results), one for each id asked for."""
    kinds: dict[str, set[str]] = {}
    parents: dict[str, set[str]] = {}
    texts: dict[str, dict[str, Labels]] = {"label": {}, "other": {}}
    try:
        for row in answer["results"]["bindings"]:
            concept = aat_id(row["concept"]["value"])
            if concept is None:
                continue
            if "type" in row:
                kinds.setdefault(concept, set()).add(row["type"]["value"].removeprefix(_ONTOLOGY))
            if "parent" in row and (parent := aat_id(row["parent"]["value"])):
                parents.setdefault(concept, set()).add(parent)
            for kind, labels in texts.items():
                if kind in row:
                    language = row[kind].get("xml:lang", "").lower()
                    labels.setdefault(concept, {}).setdefault(language, []).append(row[kind]["value"])
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError("the SPARQL endpoint's answer has no readable results") from error
    return {
        aat: Node(
            next((kind for kind in _KINDS if kind in kinds.get(aat, ())), ""),
            min(parents.get(aat, ()), default=None),
            *(
                {name: sorted(set(found)) for name, found in texts[kind].get(aat, {}).items()}
                for kind in texts
            ),
        )
        for aat in ids
    }


def read_candidates(answer: Mapping[str, Any], names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The AAT ids that the reconciliation service lists for each name, best first.

    The answer has the shape of the Reconciliation Service API 0.2 for the queries q0, q1, …; other
    vocabularies' ids are left out.
    """
    found = {}
    try:
        for number, name in enumerate(names):
            ids = (result["id"] for result in answer[f"q{number}"]["result"])
            found[name] = tuple(
                dict.fromkeys(match[1] for text in ids if (match := _CANDIDATE.fullmatch(text)))
            )
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError("the reconciliation service's answer has no readable results") from error
    return found


@dataclass(frozen=True)
class Placement:
    """Where a concept belongs: a facet, and the AAT ids of its path, general to specific."""

    facet: str
    path: tuple[str, ...]


@dataclass(frozen=True)
class Roots:
    """Root concepts: for each facet, AAT id -> whether paths start at it (True) or below it (False)."""

    facets: Mapping[str, Mapping[str, bool]]

    @classmethod
    def read(cls, path: Path | None = None) -> "Roots":
        """Read a list of roots (None: the one that comes with eufcc); DataError says what is wrong in it."""
        name = "aat_roots.json" if path is None else str(path)
        try:
            text = (path or files(__package__) / "aat_roots.json").read_text(encoding="utf-8")
            content = json.loads(text)["facets"]
            facets = {facet: {root["id"]: root["starts"] for root in content[facet]} for facet in content}
        except FileNotFoundError as error:
            raise DataError(f"`roots` {name}: no such file") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"`roots` {name}: not a list of roots",
                hint='{"facets": {"materials": [{"id": "300010900", "starts": "here"}]}}',
            ) from error
        check_facets(facets, f"`roots` {name}: ")
        for roots in facets.values():
            for root, starts in roots.items():
                if not re.fullmatch(r"\d{5,12}", str(root)):
                    raise DataError(f"`roots` {name}: {root} is not an AAT id")
                if starts not in ("here", "below"):
                    raise DataError(f"`roots` {name}: {root} starts neither here nor below but {starts}")
        return cls(
            {
                facet: {root: starts == "here" for root, starts in roots.items()}
                for facet, roots in facets.items()
            }
        )

    def place(self, concept: str, nodes: Mapping[str, Node], facets: Sequence[str]) -> Placement | str:
        """The facet and path of a concept, among these facets; or the reason why it has none.

        The chain of preferred parents is followed to the nearest root; facets, hierarchies and guide terms
        on the way are left out. Where one id is a root of several facets, the first of them counts.
        """
        if not nodes.get(concept, Node()).kind:
            return "AAT does not know it"
        path: list[str] = []
        seen: set[str] = set()
        node: str | None = concept
        while node is not None and node not in seen:
            seen.add(node)
            facet = next((facet for facet in facets if node in self.facets.get(facet, ())), None)
            is_concept = nodes.get(node, Node()).kind == CONCEPT
            if is_concept and (facet is None or self.facets[facet][node]):
                path.append(node)
            if facet is not None:
                return Placement(facet, tuple(reversed(path))) if path else "too general: a root of its facet"
            node = nodes.get(node, Node()).parent
        if node is not None:
            return "its broader concepts form a loop"
        return f"no root of {' or '.join(facets)} above it"


def language_order(language: str, available: Iterable[str]) -> list[str]:
    """The languages to look for a label in: the one asked for, its regional variants, English, the others.

    >>> language_order("pt", ["zh", "en-us", "pt-br", "en", "de"])
    ['pt-br', 'en', 'en-us', 'de', 'zh']
    """

    def rank(code: str) -> tuple[int, str]:
        for place, wanted in enumerate((language.lower(), "en")):
            if code == wanted:
                return 2 * place, code
            if code.startswith(f"{wanted}-"):
                return 2 * place + 1, code
        return 9, code

    return sorted(available, key=rank)
