"""Every concept met, saved on disk and requested once: Europeana's (with their links to AAT) and AAT's."""

import json
import re
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from eufcc_cli.core.errors import CollectError
from eufcc_cli.core.harvest import aat
from eufcc_cli.core.http.json_api import Api, RequestRejected, for_each
from eufcc_cli.core.progress import SILENT, Progress

_ENTITY = re.compile(r"https?://data\.europeana\.eu/concept/(?:base/)?(\d+)")
_PER_QUERY = 100
_NAMES_A_QUERY = 10
_SCHEMA = """
CREATE TABLE IF NOT EXISTS europeana (
    uri TEXT PRIMARY KEY, found INTEGER, exact_match TEXT, labels TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS aat (
    id TEXT PRIMARY KEY, kind TEXT, parent TEXT, labels TEXT, alternatives TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS candidates (name TEXT PRIMARY KEY, ids TEXT) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Entity:
    """A concept of Europeana: the AAT ids it is an exact match of, and its labels by language."""

    found: bool = True
    aat_ids: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


def entity_uri(uri: str) -> str | None:
    """The URI of a Europeana concept in its present form, None for any other string.

    >>> entity_uri("http://data.europeana.eu/concept/base/1711")
    'http://data.europeana.eu/concept/1711'
    >>> entity_uri("http://data.europeana.eu/agent/1711")
    """
    match = _ENTITY.fullmatch(uri.strip())
    return f"http://data.europeana.eu/concept/{match[1]}" if match else None


def aat_ids(uris: Iterable[str]) -> tuple[str, ...]:
    """The AAT ids among some URIs, each once, in their order."""
    return tuple(dict.fromkeys(found for uri in uris if (found := aat.aat_id(uri))))


def strings(value: Any) -> list[str]:
    """The strings of a JSON value that is a string, a list of strings, or missing."""
    values = value if isinstance(value, list) else [value]
    return [text for text in values if isinstance(text, str)]


class Concepts:
    """The concepts known so far: `entities` by URI, `nodes` by AAT id, and the AAT ids that are `candidates`
    for a name; a SQLite file keeps them."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._connection = sqlite3.connect(path)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.executescript(_SCHEMA)
            self.entities = {
                uri: Entity(bool(found), tuple(json.loads(exact)), json.loads(labels))
                for uri, found, exact, labels in self._connection.execute("SELECT * FROM europeana")
            }
            self.nodes = {
                node: aat.Node(kind, parent, json.loads(labels), json.loads(others))
                for node, kind, parent, labels, others in self._connection.execute("SELECT * FROM aat")
            }
            self.candidates = {
                name: tuple(json.loads(ids))
                for name, ids in self._connection.execute("SELECT * FROM candidates")
            }
        except (sqlite3.Error, ValueError, TypeError) as error:
            raise CollectError(
                f"{path}: not a usable store of concepts: {error}", hint="move it away; a new one is made"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    async def learn_entities(
        self, api: Api, base_url: str, uris: Iterable[str], progress: Progress = SILENT
    ) -> None:
        """Ask the entity API for the Europeana concepts not known yet."""
        missing = sorted(set(uris) - self.entities.keys())

        async def learn(uri: str) -> None:
            try:
                answer = await api.get(f"{base_url}/concept/{uri.rpartition('/')[2]}.json")
            except RequestRejected as error:
                if error.status not in (404, 410):
                    raise
                self._keep_entity(uri, Entity(found=False))
            else:
                labels = answer.get("prefLabel")
                labels = labels if isinstance(labels, dict) else {}
                # The entity API gives one string per language; more than one: the first.
                firsts = {
                    language.lower(): texts[0]
                    for language, text in labels.items()
                    if (texts := strings(text))
                }
                self._keep_entity(uri, Entity(True, aat_ids(strings(answer.get("exactMatch"))), firsts))
            task.advance()

        with progress.task("Asking for concepts", len(missing), "concepts") as task:
            await for_each(missing, learn, at_once=4)

    async def learn_nodes(self, api: Api, url: str, ids: Iterable[str], progress: Progress = SILENT) -> None:
        """Ask the SPARQL endpoint for the AAT concepts not known yet, and for all their broader concepts."""
        missing = sorted(set(ids) - self.nodes.keys())
        with progress.task("Asking AAT", None, "concepts") as task:
            while missing:
                above: set[str] = set()
                for start in range(0, len(missing), _PER_QUERY):
                    batch = missing[start : start + _PER_QUERY]
                    parameters = [("query", aat.query(batch)), ("format", "json")]
                    nodes = aat.read_answer(await api.get(url, parameters), batch)
                    self._keep_nodes(nodes)
                    above |= {node.parent for node in nodes.values() if node.parent}
                    task.advance(len(batch))
                missing = sorted(above - self.nodes.keys())

    async def learn_candidates(
        self, api: Api, url: str, names: Iterable[str], progress: Progress = SILENT
    ) -> None:
        """Ask the reconciliation service which AAT concepts these names may mean."""
        missing = sorted(set(names) - self.candidates.keys())
        batches = [
            missing[start : start + _NAMES_A_QUERY] for start in range(0, len(missing), _NAMES_A_QUERY)
        ]

        async def learn(batch: list[str]) -> None:
            queries = {f"q{number}": {"query": name, "type": "/aat"} for number, name in enumerate(batch)}
            answer = await api.get(url, [("queries", json.dumps(queries, ensure_ascii=False))])
            found = aat.read_candidates(answer, batch)
            self.candidates |= found
            rows = [(name, json.dumps(ids)) for name, ids in found.items()]
            with self._connection:
                self._connection.executemany("INSERT OR REPLACE INTO candidates VALUES (?, ?)", rows)
            task.advance(len(batch))

        with progress.task("Asking for candidates", len(missing), "names") as task:
            await for_each(batches, learn, at_once=2)

    def _keep_entity(self, uri: str, entity: Entity) -> None:
        self.entities[uri] = entity
        row = (uri, entity.found, json.dumps(entity.aat_ids), json.dumps(entity.labels))
        with self._connection:
            self._connection.execute("INSERT OR REPLACE INTO europeana VALUES (?, ?, ?, ?)", row)

    def _keep_nodes(self, nodes: Mapping[str, aat.Node]) -> None:
        self.nodes |= nodes
        rows = [
            (node, n.kind, n.parent, json.dumps(n.labels), json.dumps(n.alternatives))
            for node, n in nodes.items()
        ]
        with self._connection:
            self._connection.executemany("INSERT OR REPLACE INTO aat VALUES (?, ?, ?, ?, ?)", rows)
