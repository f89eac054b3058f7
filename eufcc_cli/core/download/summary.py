"""The images to download, an estimate of the download, and the result by status, host and provider."""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pandas as pd

from eufcc_cli.core.download.backlog import Backlog
from eufcc_cli.core.download.candidates import candidate_urls, host_of
from eufcc_cli.core.download.engine import Options
from eufcc_cli.core.download.ledger import OK, Ledger
from eufcc_cli.core.errors import DataError
from eufcc_cli.core.files import Root
from eufcc_cli.core.taxonomy.tables.annotation_files import read_table
from eufcc_cli.core.taxonomy.tables.annotations import ID, IMAGE_URL, PROVIDER

NOT_TRIED = "not tried"
NO_HOST = "(no URL)"
_FETCH = "run `eufcc fetch` or `eufcc fetch demo`, or give another `root`"
_SECONDS_A_REQUEST = 0.3  # of an ordinary server, for an estimate
_BYTES_AN_IMAGE = {"200": 15_000, "400": 40_000, "original": 1_500_000}


def read_wanted(root: Root, splits: Sequence[str] = ()) -> pd.DataFrame:
    """The images of these splits (default: all with a table), once per split: id, url, provider, split.

    Raises DataError if a table is missing.
    """
    names = list(dict.fromkeys(splits)) or root.splits()
    if not names:
        raise DataError(f"{root.data}: no annotation tables", hint=_FETCH)
    frames = []
    for split in names:
        if not re.fullmatch(r"[\w.-]+", split) or not root.table(split).is_file():
            there = ", ".join(sorted(path.stem for path in root.data.glob("*.csv")))
            hint = f"there are: {there}" if there else _FETCH
            raise DataError(f"`split` {split}: no table {root.table(split)}", hint=hint)
        frame = read_table(root.table(split), [ID, IMAGE_URL, PROVIDER])
        frame.columns = pd.Index(["id", "url", "provider"])
        frames.append(frame.assign(split=pd.Categorical([split] * len(frame), categories=names)))
    return pd.concat(frames, ignore_index=True).drop_duplicates(["id", "split"], ignore_index=True)


def known_ids(root: Root) -> set[str]:
    """The ids of all annotation tables in data/, whatever their names; other CSV files there are ignored."""
    ids: set[str] = set()
    for path in sorted(root.data.glob("*.csv")):
        with suppress(DataError):
            ids.update(read_table(path, [ID])[ID])
    return ids


@dataclass(frozen=True)
class Plan:
    """The remaining download: images, requests per host, estimated hours and bytes."""

    images: int
    found: int
    done: int
    failed: int
    hours: float
    bytes: int
    requests: dict[str, int]


def plan(backlog: Backlog, limit: int | None, mean_bytes: float | None, options: Options) -> Plan:
    """Estimate a download of at most `limit` images: a request per image to its first candidate's host.

    The slowest host, or a small number of workers, determines the time. `mean_bytes` is the mean size of the
    images so far, None if there are none yet.
    """
    found = {file.id for file in backlog.found}
    pending = backlog.pending[:limit]
    urls = pending.loc[~pending["id"].isin(found), "url"]
    hosts = pd.Series(
        [host_of(candidate_urls(url, options.size)[0].url) for url in urls], dtype=str
    ).value_counts()
    requests = {str(host) or NO_HOST: int(count) for host, count in hosts.items()}
    politeness = options.politeness
    apart = max(1 / politeness.rate if politeness.rate else 0, _SECONDS_A_REQUEST / politeness.per_host)
    seconds = max(max(requests.values(), default=0) * apart, len(urls) * _SECONDS_A_REQUEST / options.workers)
    each = _BYTES_AN_IMAGE[options.size] if mean_bytes is None else mean_bytes
    size = round(len(urls) * each)
    return Plan(len(urls), len(found), backlog.done, backlog.failed, seconds / 3600, size, requests)


@dataclass(frozen=True)
class Summary:
    """Counts of the wanted images by status, and by host and provider."""

    images: int
    statuses: dict[str, int]
    hosts: dict[str, dict[str, int]]
    providers: dict[str, dict[str, int]]
    bytes: int

    @property
    def failed(self) -> int:
        """Images whose download failed."""
        return self.images - self.statuses.get(OK, 0) - self.statuses.get(NOT_TRIED, 0)

    def to_json(self) -> dict[str, Any]:
        return {
            "images": self.images,
            "ok": self.statuses.get(OK, 0),
            "failed": self.failed,
            "bytes": self.bytes,
            "statuses": self.statuses,
            "hosts": self.hosts,
            "providers": self.providers,
        }


def summarise(wanted: pd.DataFrame, ledger: Ledger) -> Summary:
    """Count the wanted images by their status in the ledger."""
    columns = ["id", "status", "bytes", "url"]
    rows = pd.DataFrame(ledger.select(*columns), columns=columns).rename(columns={"url": "requested"})
    joined = wanted.merge(rows, on="id", how="left")
    joined["status"] = joined["status"].fillna(NOT_TRIED)
    # The host of the last request, which may differ from that of the table's URL.
    joined["host"] = [host_of(url) or NO_HOST for url in joined["requested"].fillna(joined["url"])]
    statuses = {str(status): int(count) for status, count in joined["status"].value_counts().items()}
    size = joined.loc[joined["status"] == OK, "bytes"].sum()
    return Summary(len(joined), statuses, _by(joined, "host"), _by(joined, "provider"), int(size))


def _by(joined: pd.DataFrame, column: str) -> dict[str, dict[str, int]]:
    table = pd.crosstab(joined[column], joined["status"])
    table = table.loc[table.sum(axis=1).sort_values(ascending=False, kind="stable").index]
    return {
        str(name) or "(none)": {str(status): int(count) for status, count in row.items() if count}
        for name, row in table.iterrows()
    }


FAILURE_COLUMNS = ("id", "split", "provider", "url", "status", "http", "reason", "attempts", "time")


def failures(wanted: pd.DataFrame, ledger: Ledger) -> list[dict[str, object]]:
    """The wanted images whose download failed, with the reason, in the tables' order."""
    position = {image_id: at for at, image_id in enumerate(wanted["id"])}
    failed = [entry for entry in ledger.entries("status <> ?", (OK,)) if entry.id in position]
    failed.sort(key=lambda entry: position[entry.id])
    rows = wanted.iloc[[position[entry.id] for entry in failed]]
    return [
        {name: getattr(row if name in ("split", "provider") else entry, name) for name in FAILURE_COLUMNS}
        for entry, row in zip(failed, rows.itertuples(), strict=True)
    ]
