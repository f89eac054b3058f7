"""`eufcc fetch table` with ZIP files of EDM: records of Europeana's dumps, and their splits."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from eufcc_cli import console
from eufcc_cli.commands.common import SOME_FAILED, propose
from eufcc_cli.commands.fetching.harvest_output import harvest_sentence, show_harvest
from eufcc_cli.commands.fetching.splits_output import show_splits
from eufcc_cli.core.files import Root

if TYPE_CHECKING:
    from eufcc_cli.core.dataset.splits.division_report import Shares
    from eufcc_cli.core.harvest.dumps import DumpFilter
    from eufcc_cli.core.harvest.harvesting import Servers


def fetch_dumps(
    root: Root,
    dumps: Sequence[Path],
    wanted: "DumpFilter",
    shares: "Shares",
    language: str,
    key: str,
    servers: "Servers",
    *,
    force: bool,
    resplit: bool,
) -> None:
    """Records of Europeana's dumps: a table, data/europeana.csv, and its splits."""
    from eufcc_cli.core.dataset.splits.split_files import write_splits
    from eufcc_cli.core.harvest.dumps import harvest_dumps

    output = root.data / "europeana.csv"
    done = harvest_dumps(
        root,
        dumps,
        output,
        wanted,
        language=language,
        key=key,
        servers=servers,
        force=force,
        progress=console.progress(),
    )
    show_harvest(done)
    show_splits(write_splits(root, output, shares, force=force, resplit=resplit, progress=console.progress()))
    console.note(harvest_sentence(done))
    propose(root.path, "download")
    if done.failed:
        raise typer.Exit(SOME_FAILED)
