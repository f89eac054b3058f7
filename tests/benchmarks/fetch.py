"""Dividing a table as large as EUFCC-340K, against reading and writing it; harvesting, against bare httpx."""

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

import httpx
import numpy as np
import pandas as pd

from eufcc_cli.core.dataset.splits.division_report import Shares
from eufcc_cli.core.dataset.splits.split_files import write_splits
from eufcc_cli.core.files import Root
from eufcc_cli.core.harvest.europeana import Search
from eufcc_cli.core.harvest.harvesting import Servers, harvest
from eufcc_cli.core.taxonomy.tables.annotation_files import read_table, write_table
from eufcc_cli.core.taxonomy.tables.annotations import FACET_COLUMNS, ID, IMAGE_URL, PROVIDER
from tests.servers import catalogue
from tests.servers.europe import europe
from tests.servers.europeana import KEY

ROWS, PROVIDERS, RECORDS = 346_324, 358, 2000


def main() -> None:
    """Print the two tables."""
    with tempfile.TemporaryDirectory() as folder:
        _divide(Path(folder))
        _harvest(Path(folder))


def _divide(folder: Path) -> None:
    default = Path(__file__).resolve().parents[3] / "shared" / "data"
    path = Path(os.environ.get("EUFCC_TEST_DATA", default)) / "eufcc-340k" / "test_id.csv"
    if not path.is_file():
        sys.exit(f"{path}: the real annotations are not there (set EUFCC_TEST_DATA)")
    real = read_table(path)
    print("   rows  tags kept  divide and write    read and write   ratio   worst balanced tag: images, even")
    for rows in (len(real), ROWS):
        table, source = _sample(real, rows), folder / "table.csv"
        write_table(table, source)
        begin = time.perf_counter()
        write_table(read_table(source), folder / "copy.csv")
        floor = time.perf_counter() - begin
        begin = time.perf_counter()
        report = write_splits(Root(folder), source, Shares(), force=True)
        seconds = time.perf_counter() - begin
        worst = report.worst
        told = f"{worst.images} {worst.even}" if worst else ""
        print(
            f"{rows:7,} {report.tags:10,} {seconds:15.2f} s {floor:15.2f} s {seconds / floor:7.1f}   {told}"
        )


def _sample(real: pd.DataFrame, rows: int) -> pd.DataFrame:
    """Rows that draw each facet from the real table, of providers as uneven as the real ones."""
    if rows == len(real):
        return real
    rng = np.random.default_rng(0)
    frame = real.iloc[rng.integers(0, len(real), rows)].reset_index(drop=True)
    for column in FACET_COLUMNS[1:]:
        frame[column] = real[column].to_numpy()[rng.integers(0, len(real), rows)]
    frame[ID] = [f"art_{row:07d}" for row in range(rows)]
    frame[IMAGE_URL] = [f"https://museum.example/{row}" for row in range(rows)]
    size = 1 / np.arange(1, PROVIDERS + 1) ** 1.3
    frame[PROVIDER] = [f"Museum {i}" for i in rng.choice(PROVIDERS, rows, p=size / size.sum())]
    return frame


def _harvest(folder: Path) -> None:
    with europe(RECORDS, folder) as server:
        begin = time.perf_counter()
        asyncio.run(
            _bare([f"{server.base}/record/v2{catalogue.record(i + 1).id}.json" for i in range(RECORDS)])
        )
        floor = RECORDS / (time.perf_counter() - begin)
        servers = Servers(f"{server.base}/record/v2", f"{server.base}/entity", f"{server.base}/sparql.json")
        begin = time.perf_counter()
        harvest(Root(folder), Search(("all",)), KEY, folder / "harvest.csv", servers=servers)
        speed = RECORDS / (time.perf_counter() - begin)
    print("\nrecords/s harvested   httpx alone   share")
    print(f"{speed:19.0f} {floor:13.0f} {speed / floor:7.2f}")


async def _bare(urls: list[str]) -> None:
    """The same records by four plain httpx workers, nothing kept."""
    rest = iter(urls)

    async def worker(client: httpx.AsyncClient) -> None:
        for url in rest:
            (await client.get(url)).json()

    async with httpx.AsyncClient(headers={"X-Api-Key": KEY}) as client:
        await asyncio.gather(*(worker(client) for _ in range(4)))


if __name__ == "__main__":
    main()
