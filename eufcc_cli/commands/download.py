"""`eufcc download`: the images of the annotation tables."""

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eufcc_cli import console
from eufcc_cli.commands.common import SOME_FAILED, existing_root

if TYPE_CHECKING:
    pass


class Size(enum.StrEnum):
    original = "original"
    w400 = "400"
    w200 = "200"


class Retry(enum.StrEnum):
    temporary = "temporary"
    all = "all"


class Format(enum.StrEnum):
    table = "table"
    json = "json"


def download(
    ctx: typer.Context,
    split: Annotated[list[str] | None, typer.Option(help="A split (repeatable); all that are there.")] = None,
    workers: Annotated[int, typer.Option(min=1, max=512, help="Images under way at once.")] = 32,
    per_host: Annotated[int, typer.Option(min=1, max=64, help="Requests at once to one host.")] = 8,
    rate: Annotated[float, typer.Option(min=0, help="Requests a second to one host; 0: no limit.")] = 20.0,
    size: Annotated[
        Size, typer.Option(help="Europeana's thumbnail, this wide, or the original.")
    ] = Size.w400,
    resize: Annotated[
        int | None,
        typer.Option(min=16, max=8192, help="Store the short side at N pixels, without metadata."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=0, help="Fetch at most N images.")] = None,
    retry_failed: Annotated[
        Retry | None, typer.Option(help="Try again what failed: for now (temporary), or all of it.")
    ] = None,
    retries: Annotated[int, typer.Option(min=0, max=20, help="Further tries after a passing failure.")] = 4,
    timeout: Annotated[float, typer.Option(min=0.1, help="Longest silence of a server, in seconds.")] = 20.0,
    total_timeout: Annotated[
        float, typer.Option(min=0.1, help="Longest time for one request, in seconds.")
    ] = 120.0,
    max_bytes: Annotated[int, typer.Option(min=1, help="Largest file to take.")] = 50_000_000,
    max_pixels: Annotated[int, typer.Option(min=1, help="Largest image to decode.")] = 178_956_970,
    allow_private_hosts: Annotated[
        bool,
        typer.Option(
            "--allow-private-hosts",
            help="Connect to private and local addresses too, and use the environment's proxies.",
        ),
    ] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Tell what would be fetched; fetch nothing.")] = False,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Check the files against the ledger, mend the ledger; fetch nothing."),
    ] = False,
    report: Annotated[Path | None, typer.Option(help="Write the failures to this CSV file.")] = None,
    duplicates: Annotated[
        Path | None, typer.Option(help="Write images that are the same, or look the same, to this CSV file.")
    ] = None,
    format: Annotated[Format, typer.Option(help="How the outcome is told.")] = Format.table,
) -> None:
    """Download the images of the annotation tables into data/images, verified.

    Images that are there already are checked and kept. What failed is told with its reason and not tried
    again, unless with --retry-failed.
    """
    from eufcc_cli.core.collect import census
    from eufcc_cli.core.collect.backlog import take_stock
    from eufcc_cli.core.collect.images import Options, download_images
    from eufcc_cli.core.collect.ledger import FAILURES, TEMPORARY, Ledger
    from eufcc_cli.core.collect.manners import Manners

    root = existing_root(ctx)
    manners = Manners(
        per_host=per_host, rate=rate, retries=retries, timeout=timeout, total_timeout=total_timeout,
        allow_private_hosts=allow_private_hosts,
    )  # fmt: skip
    options = Options(
        workers=workers,
        size=size.value,
        resize=resize,
        max_bytes=max_bytes,
        max_pixels=max_pixels,
        manners=manners,
    )
    wanted = census.read_wanted(root, split or ())
    retry = {None: frozenset(), Retry.temporary: TEMPORARY, Retry.all: FAILURES}[retry_failed]
    with Ledger(root.ledger) as ledger:
        stock = take_stock(root, ledger, wanted, retry)
        pending = stock.pending[:limit]
        download_images(root, ledger, pending, stock.found, options, console.progress())
        outcome = census.take_census(wanted, ledger)
    console.line(str(outcome))
    if outcome.failed:
        raise typer.Exit(SOME_FAILED)
