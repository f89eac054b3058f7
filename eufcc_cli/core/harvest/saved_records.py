"""The checkpoint of a harvest: how far each keyword's search is, and what is kept of every record."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

from eufcc_cli.core.errors import CollectError
from eufcc_cli.core.harvest.europeana import FIRST_CURSOR, Page, Search
from eufcc_cli.core.locks import hold_lock

_SCHEMA = """
CREATE TABLE IF NOT EXISTS harvest (search TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS keywords (
    number INTEGER PRIMARY KEY, keyword TEXT NOT NULL, cursor TEXT NOT NULL,
    pages INTEGER NOT NULL DEFAULT 0, results INTEGER NOT NULL DEFAULT 0, total INTEGER,
    restarts INTEGER NOT NULL DEFAULT 0, done INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS cursors (
    keyword INTEGER NOT NULL, cursor TEXT NOT NULL, PRIMARY KEY (keyword, cursor)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS records (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, keyword INTEGER NOT NULL,
    item TEXT NOT NULL, record TEXT, problem TEXT
);
"""


@dataclass(frozen=True)
class Keyword:
    """How far the search for a keyword is: pages and results read, of `total` results."""

    number: int
    keyword: str
    cursor: str
    pages: int
    results: int
    total: int | None
    restarts: int
    done: bool


class HarvestedRecord(NamedTuple):
    """A record found: the keyword that found it first, its search result, and its metadata or an error."""

    keyword: str
    item: dict[str, Any]
    record: dict[str, Any] | None
    problem: str | None


class Records:
    """A harvest on disk, in one SQLite file beside its table; one process at a time.

    Raises CollectError where the file holds the harvest of another search, unless `anew`.
    """

    def __init__(self, path: Path, search: Search, *, anew: bool = False) -> None:
        self.path = path
        self._held = ExitStack()
        self._held.enter_context(
            hold_lock(path.with_suffix(".lock"), f"{path}: another harvest is writing here")
        )
        try:
            if anew:
                for file in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
                    file.unlink(missing_ok=True)
            self._connection = self._held.enter_context(closing(sqlite3.connect(path)))
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.executescript(_SCHEMA)
            self._begin(search)
        except sqlite3.Error as error:
            self.close()
            raise CollectError(
                f"{path}: not a usable harvest: {error}", hint="`force` starts a new one"
            ) from error
        except CollectError:
            self.close()
            raise

    def _begin(self, search: Search) -> None:
        asked = json.dumps(asdict(search), ensure_ascii=False, sort_keys=True)
        with self._connection as connection:
            known = connection.execute("SELECT search FROM harvest").fetchone()
            if known == (asked,):
                return
            if known is not None and self.count():
                words = " ".join(json.loads(known[0])["keywords"])
                raise CollectError(
                    f"{self.path}: holds a harvest with other keywords or filters ({words})",
                    hint="give the same ones to continue it, another `output`, or `force` to start a new one",
                )
            # Nothing is lost where the earlier search found nothing, or was rejected.
            for table in ("harvest", "keywords", "cursors"):
                connection.execute(f"DELETE FROM {table}")
            connection.execute("INSERT INTO harvest VALUES (?)", (asked,))
            connection.executemany(
                "INSERT INTO keywords (number, keyword, cursor) VALUES (?, ?, ?)",
                [(i, keyword, FIRST_CURSOR) for i, keyword in enumerate(search.keywords)],
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._held.close()

    def keywords(self) -> list[Keyword]:
        """All keywords in the order given."""
        rows = self._connection.execute(
            "SELECT number, keyword, cursor, pages, results, total, restarts, done "
            "FROM keywords ORDER BY number"
        )
        return [Keyword(*row) for row in rows]

    def next_keyword(self) -> Keyword | None:
        """The keyword whose turn it is: page by page in turn, so that a limit is shared among them."""
        return min(
            (keyword for keyword in self.keywords() if not keyword.done),
            key=lambda keyword: (keyword.pages, keyword.number),
            default=None,
        )

    def keep_page(self, keyword: Keyword, page: Page) -> int:
        """Keep a page and the cursor of the next, in one transaction; returns how many records are new.

        A keyword is done when a page is empty, names no next cursor, or names one that was there before.
        """
        with self._connection as connection:
            connection.execute(
                "INSERT OR IGNORE INTO cursors VALUES (?, ?)", (keyword.number, keyword.cursor)
            )
            before = connection.total_changes
            connection.executemany(
                "INSERT OR IGNORE INTO records (id, keyword, item) VALUES (?, ?, ?)",
                [(item["id"], keyword.number, json.dumps(item, ensure_ascii=False)) for item in page.items],
            )
            new = connection.total_changes - before
            known = connection.execute(
                "SELECT 1 FROM cursors WHERE keyword = ? AND cursor = ?", (keyword.number, page.next_cursor)
            ).fetchone()
            done = not page.items or page.next_cursor is None or known is not None
            connection.execute(
                "UPDATE keywords SET cursor = ?, pages = pages + 1, results = results + ?, total = ?, "
                "done = ? WHERE number = ?",
                (page.next_cursor or keyword.cursor, len(page.items), page.total, done, keyword.number),
            )
        return new

    def restart(self, keyword: Keyword) -> None:
        """Search a keyword from its first page again, since its cursor is not valid any more."""
        with self._connection as connection:
            connection.execute("DELETE FROM cursors WHERE keyword = ?", (keyword.number,))
            connection.execute(
                "UPDATE keywords SET cursor = ?, pages = 0, results = 0, restarts = restarts + 1 "
                "WHERE number = ?",
                (FIRST_CURSOR, keyword.number),
            )

    def count(self) -> int:
        """The number of records found."""
        return self._connection.execute("SELECT count(*) FROM records").fetchone()[0]

    def unread(self, limit: int) -> list[str]:
        """The ids among the first `limit` records that were not read yet."""
        rows = self._connection.execute(
            "SELECT id FROM records WHERE number <= ? AND record IS NULL AND problem IS NULL ORDER BY number",
            (limit,),
        )
        return [record_id for (record_id,) in rows]

    def keep_record(self, record_id: str, record: dict[str, Any] | None, problem: str | None = None) -> None:
        """Keep a record's metadata, or why it cannot be read."""
        text = None if record is None else json.dumps(record, ensure_ascii=False)
        with self._connection as connection:
            connection.execute(
                "UPDATE records SET record = ?, problem = ? WHERE id = ?", (text, problem, record_id)
            )

    def first(self, limit: int | None) -> Iterator[HarvestedRecord]:
        """The first `limit` records (None: all) in the order found."""
        rows = self._connection.execute(
            "SELECT k.keyword, r.item, r.record, r.problem FROM records r "
            "JOIN keywords k ON k.number = r.keyword WHERE r.number <= ? ORDER BY r.number",
            (self.count() if limit is None else limit,),
        )
        for keyword, item, record, problem in rows:
            yield HarvestedRecord(keyword, json.loads(item), record and json.loads(record), problem)
