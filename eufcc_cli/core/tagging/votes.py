"""Votes of a CrowdHeritage campaign, from the JSON file that the platform exports, as decisions."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from eufcc_cli.core.errors import DataError
from eufcc_cli.core.files import Root
from eufcc_cli.core.tagging.inputs import Input
from eufcc_cli.core.taxonomy.decisions import ACCEPTED, ADDED, REJECTED, Decision, now
from eufcc_cli.core.taxonomy.hierarchy import root_trees
from eufcc_cli.core.taxonomy.linked_data.concepts import read_uris
from eufcc_cli.core.taxonomy.linked_data.iris import as_iri
from eufcc_cli.core.taxonomy.names import glossary_trees, names_of
from eufcc_cli.core.taxonomy.tables.annotations import FACETS, canonical

REVIEWER = "CrowdHeritage"
_FACETS_OF = {
    "type": ("objectTypes",),
    "medium": ("materials",),
    "format": ("materials",),
    "subject": ("subjects", "classifications"),
}
"""The facets whose tags are values of a property, by its name without its namespace."""


class Vote(NamedTuple):
    """The votes on one annotation of the campaign."""

    source: str
    """The URI of the record, or image."""
    uri: str | None
    text: str | None
    facets: tuple[str, ...]
    accepted: bool | None
    """None without a majority."""
    by_person: bool
    """A person of the campaign added the tag; no model suggested it."""
    model: str | None = None
    digest: str | None = None
    score: float | None = None


@dataclass
class Votes:
    """The decisions of a campaign, and the votes that gave none."""

    decisions: list[Decision] = field(default_factory=list)
    undecided: int = 0
    unknown_tags: list[str] = field(default_factory=list)
    unknown_images: list[str] = field(default_factory=list)


def read_votes(path: Path) -> list[Vote]:
    """The votes of a campaign's export; DataError, naming file and annotation, for another file."""
    hint = "give the file in which CrowdHeritage exports a campaign's annotations"
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: cannot read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON: {error}", hint=hint) from error
    graph = content.get("@graph") if isinstance(content, dict) else content
    if not isinstance(graph, list):
        raise DataError(f"{path}: has no list of annotations (@graph)", hint=hint)
    votes = []
    for number, annotation in enumerate(graph, start=1):
        try:
            votes.append(_vote(annotation))
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise DataError(f"{path}: annotation {number} is none of CrowdHeritage's: {error}") from error
    return votes


def _vote(annotation: Mapping[str, Any]) -> Vote:
    body = annotation["body"]
    body = body[0] if isinstance(body, list) else body
    uri = body if isinstance(body, str) else body.get("id") or body.get("source")
    creator = annotation.get("creator") or {}
    by_person = creator.get("type") == "Person"
    name = str(creator.get("id") or "")
    score = annotation.get("confidence")
    return Vote(
        source=str(annotation["target"]["source"]),
        uri=uri,
        text=None if isinstance(body, str) else body.get("value"),
        facets=_facets(str(annotation.get("scope") or "")),
        accepted=_accepted(annotation.get("review") or {}),
        by_person=by_person,
        model=None if by_person else creator.get("name"),
        digest=name.removeprefix("urn:sha256:") if name.startswith("urn:sha256:") else None,
        score=None if by_person or score is None else min(max(float(score), 0.0), 1.0),
    )


def _facets(scope: str) -> tuple[str, ...]:
    name = scope.replace("#", "/").rstrip("/").rpartition("/")[2].rpartition(":")[2]
    return _FACETS_OF.get(name, FACETS)


def _accepted(review: Mapping[str, Any]) -> bool | None:
    recommendation = str(review.get("recommendation") or "").lower()
    if recommendation in ("accept", "reject"):
        return recommendation == "accept"
    balance = int(review.get("upvotes") or 0) - int(review.get("downvotes") or 0)
    return balance > 0 if balance else None


def votes_as_decisions(votes: Iterable[Vote], root: Root, inputs: Iterable[Input] | None = None) -> Votes:
    """Decisions about the tags that people voted on, by the concepts and names that the root has for them.

    inputs: the images, of a table or files, that were in the campaign; without any, images are named as in
    the campaign. A vote on a record counts for each of its photographs.
    """
    found = Votes()
    tags = _Tags(root)
    images = None if inputs is None else _images(inputs)
    for vote in votes:
        if vote.accepted is None:
            found.undecided += 1
            continue
        named = tags.of(vote)
        if not named:
            found.unknown_tags.append(vote.uri or vote.text or "")
            continue
        shown = [_unlisted(vote.source)] if images is None else images.get(_key(vote.source), [])
        if not shown:
            found.unknown_images.append(vote.source)
        verdict = (ADDED if vote.by_person else ACCEPTED) if vote.accepted else REJECTED
        found.decisions += [
            Decision(
                time=now(),
                reviewer=REVIEWER,
                image=item.name,
                id=item.id,
                facet=facet,
                tag=tag,
                verdict=verdict,
                score=vote.score,
                model=vote.model,
                digest=vote.digest,
            )
            for item in shown
            for facet, tag in named
        ]
    return found


def _unlisted(source: str) -> Input:
    path = Path(unquote(urlsplit(source).path)) if source.startswith("file:") else Path(source)
    return Input(str(path) if source.startswith("file:") else source, path, source)


def _key(source: str) -> str:
    return as_iri(source).removeprefix("https://").removeprefix("http://").rstrip("/")


def _images(inputs: Iterable[Input]) -> dict[str, list[Input]]:
    found: dict[str, list[Input]] = {}
    for item in inputs:
        for name in {_key(name) for name in (item.item, item.iri, item.id) if name}:
            found.setdefault(name, []).append(item)
    return found


class _Tags:
    """The root's tags by their concepts, and by their names in any language."""

    def __init__(self, root: Root) -> None:
        self._by_uri: dict[str, list[tuple[str, str]]] = {}
        for facet, uris in read_uris(root.concepts).items():
            for tag, uri in uris.items():
                self._by_uri.setdefault(_key(uri), []).append((facet, tag))
        trees = root_trees(root) or glossary_trees()
        names = names_of(root, trees)
        self._by_name: dict[tuple[str, str], str] = {}
        for facet, tree in trees.items():
            for tag in tree:
                for name in (tag, *(name for _, name in names.every(facet, tag))):
                    self._by_name.setdefault((facet, name.casefold()), tag)

    def of(self, vote: Vote) -> list[tuple[str, str]]:
        """The (facet, tag) pairs that a vote is about."""
        if vote.uri:
            return [one for one in self._by_uri.get(_key(vote.uri), ()) if one[0] in vote.facets]
        name = canonical(vote.text or "").casefold()
        found = ((facet, self._by_name.get((facet, name))) for facet in vote.facets)
        return [(facet, tag) for facet, tag in found if tag is not None]
