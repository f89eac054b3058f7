"""The splits on disk: four tables, written without replacing a user's own, and data/splits.json."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from eufcc_cli.core.dataset import provenance
from eufcc_cli.core.dataset.splits.division import divide
from eufcc_cli.core.dataset.splits.division_report import Report, Shares
from eufcc_cli.core.dataset.splits.split_memory import SplitMemory
from eufcc_cli.core.errors import CollectError, DataError
from eufcc_cli.core.files import SPLITS, Root, replace_file, sha256, write_text
from eufcc_cli.core.locks import hold_lock
from eufcc_cli.core.progress import SILENT, Progress
from eufcc_cli.core.taxonomy.tables.annotation_files import read_table, write_parts
from eufcc_cli.core.taxonomy.tables.annotations import ID, IMAGE_URL, PROVIDER

_MINE = {"source": "splits"}


def write_splits(
    root: Root,
    source: Path,
    shares: Shares = Shares(),
    *,
    force: bool = False,
    resplit: bool = False,
    progress: Progress = SILENT,
) -> Report:
    """Divide a harvest into the root's four tables and write the report, data/splits.json.

    Images that were ever in a test split stay there, providers held out stay held out (data/test_images.csv,
    data/held_out.txt), unless `resplit`. Existing tables are replaced only if an earlier call wrote them, or
    with `force`. The same table, shares and seed give the same files. Raises DataError for an
    unusable table.
    """
    targets = [root.table(name) for name in SPLITS]
    if source.resolve() in [target.resolve() for target in targets]:
        raise CollectError(
            f"{source}: would be replaced by its own splits", hint="copy it first, or give another `root`"
        )
    table = read_table(source)
    if (again := table[ID].duplicated()).any():
        raise DataError(
            f"{source}: the id {table[ID][again].iloc[0]} occurs twice",
            hint="`eufcc trees --lint` lists all",
        )
    for column in (IMAGE_URL, PROVIDER):
        if column not in table:
            raise DataError(
                f"{source}: column {column} is missing", hint="providers and URLs divide the images"
            )
    of = {"source": source.name, "sha256": sha256(source)}
    return write_division(root, table, shares, of, force=force, resplit=resplit, progress=progress)


def write_division(
    root: Root,
    table: pd.DataFrame,
    shares: Shares,
    of: Mapping[str, object],
    *,
    same: Sequence[np.ndarray] = (),
    digests: Mapping[str, str] | None = None,
    force: bool = False,
    resplit: bool = False,
    progress: Progress = SILENT,
) -> Report:
    """Divide an annotation table into the root's tables, as `write_splits`; `of` describes the table.

    same: as in `divide`; digests: those of images' files, {id: SHA-256}.
    """
    provenance.read_provenance(root)  # an unusable record is an error before the work
    memory = SplitMemory(digests=digests or {}) if resplit else SplitMemory.read(root, _MINE, digests or {})
    with progress.task("Dividing", None):
        division = divide(table, shares, memory, same)
    targets = [root.table(name) for name in SPLITS]
    lock = hold_lock(root.data / ".fetch.lock", f"{root.data}: another `eufcc fetch` is running here")
    with lock, tempfile.TemporaryDirectory(prefix=".splits.", dir=root.data) as staged:
        new = {root.table(name): Path(staged, f"{name}.csv") for name in division.rows}
        write_parts(division.table, {new[root.table(name)]: rows for name, rows in division.rows.items()})
        for target in targets:
            if target.exists() and not force and not _may_replace(root, target, new.get(target)):
                raise CollectError(
                    f"{target}: exists, and was not written by `eufcc fetch splits` or `fetch table`",
                    hint="give `force` to replace it, or another `root`",
                )
        memory.remember(
            root, division.table, division.rows
        )  # first, so that an interruption loses no test image
        for target, file in new.items():
            replace_file(file, target)
    # A leftover table of an earlier division would leak images between the splits.
    gone = [target for target in targets if target not in new]
    for target in gone:
        target.unlink(missing_ok=True)
    write_text(
        report_file(root), json.dumps({**of, **asdict(division.report)}, indent=1, ensure_ascii=False) + "\n"
    )
    facts = _MINE | {"of": dict(of), "shares": asdict(shares)}
    provenance.record(root, dict.fromkeys(new, facts), removed=gone)
    return division.report


def _may_replace(root: Root, target: Path, new: Path | None) -> bool:
    """Whether an earlier call wrote the table, or this one would write the same (after an interruption)."""
    ours = provenance.wrote(root, target, **_MINE)
    return ours or (new is not None and sha256(new) == sha256(target))


def report_file(root: Root) -> Path:
    """The path of the report of `write_splits`."""
    return root.data / "splits.json"
