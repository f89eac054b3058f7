"""Europeana's weekly dumps: EDM in ZIP files, filtered, and placed in facets like a harvest."""

import asyncio
import csv
import json
import re
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import IO, Any

from eufcc_cli.core.dataset import provenance
from eufcc_cli.core.dataset.museum.readers.edm import EdmRecord, zipped_records
from eufcc_cli.core.errors import CollectError
from eufcc_cli.core.files import Root, atomic_open
from eufcc_cli.core.harvest import aat
from eufcc_cli.core.harvest.concept_cache import Concepts
from eufcc_cli.core.harvest.europeana import image_url
from eufcc_cli.core.harvest.harvesting import Counts, Harvest, Servers
from eufcc_cli.core.harvest.mapping import Mapper, mentioned
from eufcc_cli.core.harvest.rows import COLUMNS, annotation_cells, describe
from eufcc_cli.core.http.client import Client
from eufcc_cli.core.http.json_api import POLITENESS, Api
from eufcc_cli.core.progress import SILENT, Progress
from eufcc_cli.core.taxonomy.spelling import fold, near_misses

_OPEN = re.compile(
    r"creativecommons\.org/(?:publicdomain/(?:mark|zero)/|licenses/by(?:-sa)?/)", re.IGNORECASE
)
_RESTRICTED = re.compile(
    r"creativecommons\.org/licenses/by-(?:nc|nd)|rightsstatements\.org/(?:vocab|page)/(?:NoC-NC|NoC-OKLR|InC-EDU)"
    r"|europeana\.eu/(?:portal/)?rights/out-of-copyright",
    re.IGNORECASE,
)
_WORD = re.compile(r"[\w-]+")


@dataclass(frozen=True)
class DumpFilter:
    """Which records of a dump are wanted: those of these data providers, rights, and theme.

    theme: one of `themes()`, recognised by words in types, subjects and titles; the dumps do not say.
    """

    providers: tuple[str, ...] = ()
    reusability: str = "open"
    theme: str | None = None

    def __post_init__(self) -> None:
        if self.theme is not None and self.theme not in themes():
            near = near_misses(self.theme, themes()) or themes()
            raise CollectError(f"`theme` {self.theme} is not known", hint=f"perhaps {', '.join(near)}")

    def wants(self, record: EdmRecord) -> bool:
        """True for an image that passes."""
        if record.type and record.type.upper() != "IMAGE":
            return False
        if self.reusability != "all" and reusability(record.rights) != self.reusability:
            return False
        if self.providers and fold(record.provider) not in set(map(fold, self.providers)):
            return False
        return self.theme is None or bool(themes()[self.theme] & _words(record))


def reusability(rights: str) -> str:
    """open, restricted or permission, as Europeana groups rights statements.

    >>> reusability("http://creativecommons.org/licenses/by-sa/4.0/"), reusability("http://rightsstatements.org/vocab/InC/1.0/")
    ('open', 'permission')
    >>> reusability("http://creativecommons.org/licenses/by-nc-sa/4.0/")
    'restricted'
    """
    return "open" if _OPEN.search(rights) else "restricted" if _RESTRICTED.search(rights) else "permission"


@cache
def themes() -> dict[str, frozenset[str]]:
    """The words of each theme."""
    content = tomllib.loads(files(__package__).joinpath("themes.toml").read_text(encoding="utf-8"))
    return {theme: frozenset(word.casefold() for word in words) for theme, words in content.items()}


def _words(record: EdmRecord) -> set[str]:
    """The words that a record is described with, one by one and in pairs and threes."""
    texts = [record.title]
    for field in ("dcType", "dcSubject"):
        for _, value in record.values.get(field, ()):
            labels = record.concepts.get(value, {}).get("labels", {})
            texts += [text for several in labels.values() for text in several] or [value]
    found: set[str] = set()
    for text in texts:
        words = _WORD.findall(text.casefold())
        found.update(" ".join(words[i : i + n]) for n in (1, 2, 3) for i in range(len(words) - n + 1))
    return found


def harvest_dumps(
    root: Root,
    dumps: Sequence[Path],
    output: Path,
    wanted: DumpFilter = DumpFilter(),
    *,
    language: str = "en",
    key: str = "",
    servers: Servers = Servers(),
    force: bool = False,
    progress: Progress = SILENT,
) -> Harvest:
    """Make an annotation table of the records in ZIP files of EDM.

    Concepts are linked to AAT as the records themselves describe them; with an API key of Europeana, its
    entity API is asked about the others. AAT is asked, a hundred concepts at a time, only about those that
    data/concepts.sqlite does not know yet. Raises DataError for a damaged archive, CollectError where nothing
    is left.
    """
    placing = aat.Roots.read(None)
    provenance.read_provenance(root)  # raises before the work if it cannot be extended
    if output.exists() and not force and not provenance.wrote(root, output, source="EDM"):
        raise CollectError(f"{output}: exists, and is from another source", hint="`force` replaces it")
    root.data.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile("w+", encoding="utf-8", dir=root.data) as spool:
        failed = _spool(spool, dumps, wanted, servers, progress)
        if not spool.tell():
            raise CollectError(
                f"{', '.join(map(str, dumps))}: no record is left",
                hint="does it hold EDM records? If so, check `provider`, `reusability` and `theme`",
            )
        with Concepts(root.data / "concepts.sqlite") as concepts:
            asyncio.run(_learn(spool, concepts, key, servers, progress))
            mapper = Mapper(concepts, placing, language)
            for item, record in _spooled(spool):
                mapper.add(item, record)
            counts = _write(spool, mapper, output, servers)
    return counts.finish(root, output, mapper, failed, source="EDM", files=[path.name for path in dumps])


def _spool(
    spool: IO[str], dumps: Sequence[Path], wanted: DumpFilter, servers: Servers, progress: Progress
) -> dict[str, str]:
    """Keep the wanted records in a temporary file; returns those that cannot be used, with the reason."""
    failed: dict[str, str] = {}
    seen: set[int] = set()  # hashes: a million ids then take some megabytes
    with progress.task("Reading dumps", None, "records") as task:
        for path in dumps:
            for number, found in enumerate(zipped_records(path, failed)):
                if number % 500 == 0:
                    task.advance(500 if number else 0)
                if not wanted.wants(found) or hash(found.europeana_id or found.id) in seen:
                    continue
                seen.add(hash(found.europeana_id or found.id))
                item, record = _as_answers(found)
                if image_url(item, record, servers.thumbnail):
                    spool.write(json.dumps([item, record], ensure_ascii=False) + "\n")
                else:
                    failed[item["id"]] = "it names no picture"
    return failed


def _as_answers(found: EdmRecord) -> tuple[dict[str, Any], dict[str, Any]]:
    """A record as what is kept of the answers of Europeana's Search and Record APIs."""
    item = {
        "id": found.europeana_id or f"/{found.id}",
        "title": found.title,
        "provider": found.provider,
        "rights": found.rights,
        "preview": found.preview,
        "shownBy": found.shown_by,
        "concepts": [],
    }
    record = {
        "values": found.values,
        "concepts": found.concepts,
        "provider": found.provider,
        "rights": found.rights,
        "shownBy": found.shown_by,
        "attribution": "",
    }
    return item, record


def _spooled(spool: IO[str]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    spool.seek(0)
    for line in spool:
        item, record = json.loads(line)
        yield item, record


async def _learn(spool: IO[str], concepts: Concepts, key: str, servers: Servers, progress: Progress) -> None:
    """Ask for the concepts of the records that are not known yet."""
    async with Client(POLITENESS) as client:
        if key.strip():
            uris, _ = mentioned(_spooled(spool), {})
            await concepts.learn_entities(Api(client, "Europeana", key), servers.entity, uris, progress)
        _, ids = mentioned(_spooled(spool), concepts.entities)
        await concepts.learn_nodes(Api(client, "AAT"), servers.sparql, ids, progress)


def _write(spool: IO[str], mapper: Mapper, output: Path, servers: Servers) -> Counts:
    """Write the table, row by row."""
    counts = Counts()
    annotations = mapper.annotations()
    with atomic_open(output, "w") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for (item, record), annotation in zip(_spooled(spool), annotations, strict=True):
            picture = image_url(item, record, servers.thumbnail)
            row = describe("", item, record, picture) | annotation_cells(annotation)
            writer.writerow(row)
            counts.add(row)
    return counts
