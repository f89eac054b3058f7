"""`eufcc download`: the images of the annotation tables."""

import csv
import itertools
import json
import os
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from eufcc_cli import console
from eufcc_cli.commands.common import SOME_FAILED, existing_root, importing
from eufcc_cli.commands.options import AllowPrivateHosts
from eufcc_cli.core.errors import EufccError

if TYPE_CHECKING:
    from eufcc_cli.core.download.summary import Census, Plan
    from eufcc_cli.core.download.verify import Audit
    from eufcc_cli.core.files import Root

_WHAT, _HOW, _KEEP, _TELL = "What to do", "How to ask servers", "What to keep", "What to tell"
_SHOWN = 15  # hosts and providers in the tables on a terminal; all of them elsewhere


class Size(StrEnum):
    """Which picture to fetch where Europeana offers several."""

    original = "original"
    w400 = "400"
    w200 = "200"


class Retry(StrEnum):
    """Which failures to take up again."""

    temporary = "temporary"
    all = "all"


class Format(StrEnum):
    """How the outcome is printed."""

    table = "table"
    json = "json"


class Command(TyperCommand):
    """Lets --retry-failed stand alone: then it means the temporary failures."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        whole = []
        for argument, following in itertools.zip_longest(args, args[1:]):
            whole.append(argument)
            if argument == "--retry-failed" and following not in list(Retry):
                whole.append(Retry.temporary)
        return super().parse_args(ctx, whole)


def download(
    ctx: typer.Context,
    split: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SPLIT",
            help="A split (repeatable).",
            show_default="all that are there",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=0, help="Fetch at most N images.", rich_help_panel=_WHAT)
    ] = None,
    retry_failed: Annotated[
        Retry | None,
        typer.Option(
            help="Try again what failed: only what may have passed (temporary, if nothing follows), or all.",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    plan: Annotated[
        bool,
        typer.Option("--plan", help="Tell what would be fetched; fetch nothing.", rich_help_panel=_WHAT),
    ] = False,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Check the files against the ledger and mend the ledger; fetch nothing.",
            rich_help_panel=_WHAT,
        ),
    ] = False,
    workers: Annotated[
        int, typer.Option(min=1, max=512, help="Images under way at once.", rich_help_panel=_HOW)
    ] = 32,
    per_host: Annotated[
        int, typer.Option(min=1, max=64, help="Requests at once to one host.", rich_help_panel=_HOW)
    ] = 8,
    rate: Annotated[
        float,
        typer.Option(min=0, help="Requests a second to one host; 0: no limit.", rich_help_panel=_HOW),
    ] = 20.0,
    retries: Annotated[
        int,
        typer.Option(min=0, max=20, help="Further tries after a temporary failure.", rich_help_panel=_HOW),
    ] = 4,
    timeout: Annotated[
        float,
        typer.Option(min=0.1, help="Longest silence of a server, in seconds.", rich_help_panel=_HOW),
    ] = 20.0,
    total_timeout: Annotated[
        float, typer.Option(min=0.1, help="Longest time for one request, in seconds.", rich_help_panel=_HOW)
    ] = 120.0,
    allow_private_hosts: AllowPrivateHosts = False,
    size: Annotated[
        Size,
        typer.Option(
            help="Width of Europeana's thumbnails, or the provider's original.", rich_help_panel=_KEEP
        ),
    ] = Size.w400,
    resize: Annotated[
        int | None,
        typer.Option(
            min=16,
            max=8192,
            help="Store a JPEG whose short side has at most N pixels, in sRGB, without metadata.",
            show_default="the bytes as they come",
            rich_help_panel=_KEEP,
        ),
    ] = None,
    max_bytes: Annotated[
        int, typer.Option(min=1, help="Largest file to take.", rich_help_panel=_KEEP)
    ] = 50_000_000,
    placeholder_threshold: Annotated[
        int,
        typer.Option(
            min=2,
            help="A file that this many different URLs send is a placeholder, not a picture.",
            rich_help_panel=_KEEP,
        ),
    ] = 20,
    report: Annotated[
        Path | None, typer.Option(help="Write the failures to this CSV file.", rich_help_panel=_TELL)
    ] = None,
    duplicates: Annotated[
        Path | None,
        typer.Option(
            help="Write the images that are the same, or look the same, to this CSV file.",
            rich_help_panel=_TELL,
        ),
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(
            "--export-imagefolder",
            metavar="DIR",
            help="Copy the images that are there, with their annotations, to a folder that Hugging Face's "
            "`datasets` loads; fetch nothing.",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    format: Annotated[
        Format, typer.Option(help="How the outcome is printed.", rich_help_panel=_TELL)
    ] = Format.table,
) -> None:
    """Download the images of the annotation tables into data/images, verified.

    Images that are there already are checked and kept. What failed stays in the ledger with its reason and
    is not tried again, unless --retry-failed says so. Interrupted, the same command goes on where it stopped.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # else numpy starts a thread for every core
    with importing():
        from eufcc_cli.core.download import summary
        from eufcc_cli.core.download.backlog import take_stock
        from eufcc_cli.core.download.engine import Options, download_images
        from eufcc_cli.core.download.ledger import FAILURES, TEMPORARY, Ledger, LedgerReader
        from eufcc_cli.core.download.verify import audit
        from eufcc_cli.core.http.politeness import Politeness

    idle = {"--report": report, "--duplicates": duplicates}
    if plan:
        _refuse("--plan", idle | {"--verify": verify or None})
    if verify:
        _refuse(
            "--verify", idle | {"--split": split or None, "--limit": limit, "--retry-failed": retry_failed}
        )
    root = existing_root(ctx)
    if export is not None:
        others = {"--plan": plan or None, "--verify": verify or None, "--retry-failed": retry_failed}
        _refuse("--export-imagefolder", idle | others | {"--limit": limit})
        _export(root, export, split or [])
        return
    for path in filter(None, idle.values()):
        _check_writable(path)
    politeness = Politeness(
        per_host=per_host, rate=rate, retries=retries, timeout=timeout, total_timeout=total_timeout,
        allow_private_hosts=allow_private_hosts,
    )  # fmt: skip
    options = Options(workers, size.value, resize, max_bytes, placeholder_threshold, politeness=politeness)
    retry = {None: frozenset[str](), Retry.temporary: TEMPORARY, Retry.all: FAILURES}[retry_failed]
    if verify:
        known = summary.known_ids(root)
        with Ledger(root.ledger) as ledger:
            outcome = audit(root, ledger, known, progress=console.progress())
        _tell_audit(outcome, format)
        raise typer.Exit(SOME_FAILED if outcome.findings else 0)
    listed = summary.read_wanted(root, split or ())
    wanted = listed.drop_duplicates("id", ignore_index=True)
    if plan:
        with LedgerReader(root.ledger) as reader:
            stock = take_stock(root, reader, wanted, retry)
            _tell_plan(summary.plan(stock, limit, reader.mean_bytes(), options), format)
        return
    with Ledger(root.ledger) as ledger:
        stock = take_stock(root, ledger, wanted, retry)
        stock.clear(ledger)
        download_images(root, ledger, stock.pending[:limit], stock.found, options, console.progress())
        counted = summary.take_census(wanted, ledger)
        if report is not None:
            _write_report(report, summary.failures(wanted, ledger))
        if duplicates is not None:
            from eufcc_cli.core.download.duplicates import find_duplicates

            found = find_duplicates(root, ledger, listed, progress=console.progress())
            _write_duplicates(duplicates, found)
    _tell_census(counted, format)
    if counted.failed:
        raise typer.Exit(SOME_FAILED)


def _export(root: "Root", target: Path, splits: list[str]) -> None:
    from eufcc_cli.core.dataset.imagefolder import export_imagefolder

    done = export_imagefolder(root, target, splits, console.progress())
    console.note(
        f"{target}: " + ", ".join(f"{count:,} images of {name}" for name, count in done.images.items())
    )
    if done.missing:
        console.warn(f"{done.missing:,} images are not there: `eufcc download` gets them")
        raise typer.Exit(SOME_FAILED)


def _refuse(alone: str, options: dict[str, object]) -> None:
    """Wrong usage where one of these options is given, which would do nothing beside this one."""
    for name, value in options.items():
        if value is not None:
            raise typer.BadParameter(f"{name} does nothing with {alone}: leave one of them out")


def _check_writable(path: Path) -> None:
    """An error before hours of fetching, not after them. Folders that are not there yet will be made."""
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        what = "is a folder" if path.is_dir() else f"{folder} cannot be written to"
        raise EufccError(f"{path}: cannot write: {what}", hint="name a file in a folder you may write to")


def _tell_plan(plan: "Plan", format: Format) -> None:
    if format is Format.json:
        console.line(json.dumps(asdict(plan)))
        return
    rows = [(host, f"{requests:,}") for host, requests in plan.requests.items()]
    console.table(["host", "requests"], rows, numeric=["requests"])
    console.line(
        f"{plan.images:,} images to fetch from {len(rows):,} hosts: about {_duration(plan.hours)} and "
        f"{_amount(plan.bytes)}; {plan.found:,} more are there to be checked"
    )
    console.line(f"{plan.done:,} done, {plan.failed:,} failed before")


def _tell_census(census: "Census", format: Format) -> None:
    if format is Format.json:
        console.line(json.dumps(census.to_json(), ensure_ascii=False))
        return
    rows = [(status, f"{count:,}") for status, count in census.statuses.items()]
    console.table(["status", "images"], rows, title="Images", numeric=["images"])
    for title, groups in (("By host", census.hosts), ("By provider", census.providers)):
        shown = list(groups.items())[: _SHOWN if console.on_terminal() else None]
        statuses = [status for status in census.statuses if any(status in counts for _, counts in shown)]
        console.table(
            [title.removeprefix("By "), *statuses],
            [(name, *(f"{counts.get(status, 0):,}" for status in statuses)) for name, counts in shown],
            title=title,
            numeric=statuses,
        )
        if len(shown) < len(groups):
            console.note(f"… and {len(groups) - len(shown):,} more; --format json lists all")
    done = census.statuses.get("ok", 0)
    console.note(
        f"{census.images:,} images: {done:,} there ({_amount(census.bytes)} in data/images), "
        f"{census.failed:,} failed"
        + (
            ": --report FILE lists them with their reasons, --retry-failed tries again what may have passed"
            if census.failed
            else ""
        )
    )


def _tell_audit(audit: "Audit", format: Format) -> None:
    if format is Format.json:
        findings = [finding._asdict() for finding in audit.findings]
        console.line(json.dumps({"intact": audit.intact, "findings": findings}, ensure_ascii=False))
        return
    if audit.findings:
        console.table(["found", "image", "done"], audit.findings)
    console.line(f"{audit.intact:,} files are as recorded, {len(audit.findings):,} things were not")
    if any(finding.done.startswith("removed") for finding in audit.findings):
        console.note("`eufcc download` fetches what was removed from the ledger")


def _write_report(path: Path, failures: list[dict[str, object]]) -> None:
    from eufcc_cli.core.download.summary import FAILURE_COLUMNS
    from eufcc_cli.core.files import atomic_open

    with atomic_open(path, "w") as file:
        writer = csv.DictWriter(file, FAILURE_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(failures)


def _write_duplicates(path: Path, found: Any) -> None:
    from eufcc_cli.core.files import atomic_open

    with atomic_open(path, "w") as file:
        found.to_csv(file, index=False)
    leaking = found.loc[found["leakage"] == "yes", "group"].nunique()
    groups = found["group"].nunique()
    console.note(f"{groups:,} groups of duplicates, {leaking:,} of them in both training and test")


def _amount(count: float) -> str:
    """Bytes in a unit that suits.

    >>> _amount(43_200_000_000)
    '43.2 GB'
    """
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:,.0f} bytes" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"


def _duration(hours: float) -> str:
    """Hours, or minutes where that says more.

    >>> _duration(4.81), _duration(0.1), _duration(0)
    ('4.8 hours', '6 minutes', '0 minutes')
    """
    return f"{hours:,.1f} hours" if hours >= 1 else f"{round(hours * 60)} minutes"
