"""A harvest of Europeana from keywords to an annotation table, resumed where it was interrupted."""

import asyncio
import logging
import re
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from eufcc_cli.core.dataset import provenance
from eufcc_cli.core.errors import CollectError
from eufcc_cli.core.files import Root
from eufcc_cli.core.harvest import aat, europeana
from eufcc_cli.core.harvest.concept_cache import Concepts
from eufcc_cli.core.harvest.europeana import Search
from eufcc_cli.core.harvest.mapping import Mapper, Unmapped, mentioned
from eufcc_cli.core.harvest.rows import COLUMNS, table_rows, write_unmapped
from eufcc_cli.core.harvest.saved_records import Keyword, Records
from eufcc_cli.core.http.client import Client
from eufcc_cli.core.http.json_api import POLITENESS, Api, RequestRejected, for_each
from eufcc_cli.core.progress import SILENT, Progress
from eufcc_cli.core.taxonomy.linked_data.concepts import add_uris
from eufcc_cli.core.taxonomy.tables.annotation_files import write_table
from eufcc_cli.core.taxonomy.tables.annotations import FACETS, PROVIDER, facet_column, names

logger = logging.getLogger("eufcc")

_AT_ONCE = 4
_RESTARTS = 3


@dataclass(frozen=True)
class Servers:
    """The base URLs of all requests of a harvest."""

    record: str = europeana.RECORD_URL
    entity: str = europeana.ENTITY_URL
    sparql: str = aat.SPARQL_URL
    thumbnail: str = europeana.THUMBNAIL_URL


@dataclass(frozen=True)
class Harvest:
    """The result of a harvest: the table, images and tags per facet, tags named in another language than
    the one asked for, concepts without a tag, values that are no concepts, records without a row."""

    output: Path
    images: int
    untagged: int
    facets: Mapping[str, tuple[int, int]]
    foreign_names: int
    unmapped: Counter[Unmapped]
    literals: int
    failed: Mapping[str, str]


class Counts:
    """What the table of a harvest holds, row by row; `finish` records where it comes from."""

    def __init__(self, rows: Iterable[Mapping[str, str]] = ()) -> None:
        self.images = self.untagged = 0
        self.tagged: Counter[str] = Counter()
        self.tags: dict[str, set[str]] = {facet: set() for facet in FACETS}
        self.providers: dict[str, tuple[int, set[str]]] = {}
        for row in rows:
            self.add(row)

    def add(self, row: Mapping[str, str]) -> None:
        self.images += 1
        cells = {facet: row[facet_column(facet)] for facet in FACETS}
        self.untagged += not any(cells.values())
        for facet, cell in cells.items():
            if cell:
                self.tagged[facet] += 1
                self.tags[facet] |= names(cell)
        images, rights = self.providers.get(row[PROVIDER], (0, set()))
        self.providers[row[PROVIDER]] = (images + 1, rights | ({row["rights"]} - {""}))

    def finish(
        self, root: Root, output: Path, mapper: Mapper, failed: Mapping[str, str], **facts: Any
    ) -> Harvest:
        """Write the tags' URIs, the attribution, and the provenance of the table."""
        add_uris(root.concepts, mapper.uris)
        provenance.write_attribution(
            output.with_name(f"{output.stem}.attribution.md"),
            [provenance.EUROPEANA_ATTRIBUTION, provenance.AAT_ATTRIBUTION],
            {name: (images, ", ".join(sorted(rights))) for name, (images, rights) in self.providers.items()},
        )
        provenance.record(root, {output: {**facts, "images": self.images}})
        return Harvest(
            output,
            self.images,
            self.untagged,
            {facet: (self.tagged[facet], len(self.tags[facet])) for facet in FACETS},
            mapper.foreign_names,
            mapper.unmapped,
            mapper.literals,
            failed,
        )


def harvest(
    root: Root,
    search: Search,
    key: str,
    output: Path,
    *,
    limit: int | None = None,
    language: str = "en",
    shallow: bool = False,
    match_labels: bool = False,
    roots: Path | None = None,
    unmapped: Path | None = None,
    servers: Servers = Servers(),
    force: bool = False,
    progress: Progress = SILENT,
) -> Harvest:
    """Harvest Europeana into an annotation table.

    At most `limit` records are kept, in the order found (keywords take turns, page by page). Everything
    learned is saved beside the output (OUTPUT.harvest.sqlite) and in data/concepts.sqlite, so that the same
    call continues where it was interrupted, and another language or another list of roots costs no request.
    """
    placing = aat.Roots.read(roots)
    if not re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]+)*", language):
        raise CollectError(f"`lang` {language} is not a language code", hint="en, ca, de, zh-hant, …")
    provenance.read_provenance(root)  # raises before any request if it cannot be extended
    if not key.strip():
        raise CollectError(
            "no Europeana API key",
            hint=f"get one at {europeana.WHERE_TO_GET_A_KEY} and set EUROPEANA_API_KEY",
        )
    store = output.with_name(f"{output.stem}.harvest.sqlite")
    if output.exists() and not store.exists() and not force:
        raise CollectError(f"{output}: exists, and is not a harvest", hint="another `output`, or `force`")
    with Records(store, search, anew=force) as records, Concepts(root.data / "concepts.sqlite") as concepts:
        try:
            asyncio.run(_ask(search, key, limit, shallow, servers, records, concepts, progress))
        except sqlite3.Error as error:
            raise CollectError(
                f"{store}: cannot write: {error}", hint="free some space and run it again to resume"
            ) from error
        mapper = Mapper(concepts, placing, language, match_labels=match_labels)
        rows, failed = table_rows(records.first(limit), shallow, servers.thumbnail, mapper)
    if not rows:
        raise CollectError(
            f"Europeana has no picture for {' or '.join(search.keywords)}", hint="check keywords and filters"
        )
    write_table(pd.DataFrame(rows, columns=list(COLUMNS)), output)
    if unmapped is not None:
        write_unmapped(mapper.unmapped, unmapped)
    return Counts(rows).finish(root, output, mapper, failed, source="Europeana", search=asdict(search))


async def _ask(
    search: Search,
    key: str,
    limit: int | None,
    shallow: bool,
    servers: Servers,
    records: Records,
    concepts: Concepts,
    progress: Progress,
) -> None:
    """Everything that needs the network; steps that are already done are skipped."""
    async with Client(POLITENESS) as client:
        api = Api(client, "Europeana", key)
        try:
            await _search(api, search, limit, servers, records, progress)
            if not shallow:
                await _read(api, limit, servers, records, progress)
            uris, direct = mentioned(_described(records, limit, shallow), {})
            await concepts.learn_entities(api, servers.entity, uris, progress)
        except RequestRejected as error:
            raise _explained(error) from error
        _, ids = mentioned(_described(records, limit, shallow), concepts.entities)
        await concepts.learn_nodes(Api(client, "AAT"), servers.sparql, direct | ids, progress)


def _explained(error: RequestRejected) -> CollectError:
    if error.status in (401, 403):
        return CollectError(
            f"the API key is not accepted: {error}",
            hint=f"check EUROPEANA_API_KEY; a key is free at {europeana.WHERE_TO_GET_A_KEY}",
        )
    return error


async def _search(
    api: Api, search: Search, limit: int | None, servers: Servers, records: Records, progress: Progress
) -> None:
    url = f"{servers.record}/search.json"
    with progress.task("Searching Europeana", limit, "records") as task:
        task.advance(records.count())
        while (limit is None or records.count() < limit) and (keyword := records.next_keyword()):
            try:
                answer = await api.get(url, search.parameters(keyword.keyword, keyword.cursor))
            except RequestRejected as error:
                if error.status != 400:
                    raise
                _start_again(error, keyword, records)
                continue
            task.advance(records.keep_page(keyword, europeana.read_page(answer)))
    for keyword in records.keywords():
        if keyword.done and keyword.results < (keyword.total or 0):
            logger.warning(
                "%s: Europeana repeated a page; %d of %d results could be read",
                keyword.keyword,
                keyword.results,
                keyword.total,
            )


def _start_again(error: RequestRejected, keyword: Keyword, records: Records) -> None:
    """A search that was accepted before and is not now: its cursor has expired."""
    if keyword.cursor == europeana.FIRST_CURSOR or keyword.restarts >= _RESTARTS:
        raise CollectError(
            f"Europeana rejects the search for {keyword.keyword}: {error}",
            hint="check the keyword's syntax and the filters (`theme` takes one theme)",
        ) from error
    logger.warning("%s: the place in the results has expired; searching from the first page", keyword.keyword)
    records.restart(keyword)


async def _read(api: Api, limit: int | None, servers: Servers, records: Records, progress: Progress) -> None:
    async def read(record_id: str) -> None:
        try:
            answer = await api.get(f"{servers.record}{europeana.record_path(record_id)}")
        except RequestRejected as error:
            if error.status not in (404, 410):
                raise
            records.keep_record(record_id, None, f"Europeana no longer has it ({error.status})")
        else:
            records.keep_record(record_id, europeana.read_record(answer))
        task.advance()

    unread = records.unread(limit or records.count())
    with progress.task("Reading records", len(unread), "records") as task:
        await for_each(unread, read, _AT_ONCE)


def _described(
    records: Records, limit: int | None, shallow: bool
) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any] | None]]:
    """The records as `field_values` takes them; shallow: only their search results."""
    for _, item, record, problem in records.first(limit):
        if shallow or not problem:
            yield item, None if shallow else record
