"""`eufcc download`: the images of the annotation tables."""

import itertools
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from eufcc_cli import console
from eufcc_cli.commands.common import SOME_FAILED, existing_root, importing, is_given
from eufcc_cli.commands.options import AllowPrivateHosts, in_panel, option_of
from eufcc_cli.core.errors import EufccError, number_of
from eufcc_cli.core.files import csv_text, write_text

if TYPE_CHECKING:
    from eufcc_cli.core.download.summary import Plan, Summary
    from eufcc_cli.core.download.verify import Verification
    from eufcc_cli.core.files import Root

_what = in_panel("What to do")
_requests = in_panel("Requests")
_images = in_panel("Images")
_output = in_panel("Output")
_SHOWN = 15  # hosts and providers in the tables on a terminal; all of them elsewhere


_RETRY = ("temporary", "all")


class Command(TyperCommand):
    """Allows --retry-failed without a value: then it means the temporary failures."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        whole = []
        for argument, following in itertools.zip_longest(args, args[1:]):
            whole.append(argument)
            if argument == "--retry-failed" and following not in _RETRY:
                whole.append("temporary")
        return super().parse_args(ctx, whole)


def download(
    ctx: typer.Context,
    split: Annotated[
        list[str] | None,
        _what(
            metavar="SPLIT",
            help="Download only the images of this split (repeatable).",
            show_default="all splits",
        ),
    ] = None,
    limit: Annotated[int | None, _what(min=0, help="Download at most N images.")] = None,
    retry_failed: Annotated[
        Literal["temporary", "all"] | None,
        _what(help="Retry images that failed: after temporary failures (also without a value), or all."),
    ] = None,
    plan: Annotated[
        bool,
        _what("--plan", help="Print how many images would be downloaded, in what time and size; then stop."),
    ] = False,
    verify: Annotated[
        bool,
        _what("--verify", help="Compare the files with the ledger and correct the ledger; download nothing."),
    ] = False,
    workers: Annotated[int, _requests(min=1, max=512, help="Images processed in parallel.")] = 32,
    per_host: Annotated[int, _requests(min=1, max=64, help="Parallel requests to one host.")] = 8,
    rate: Annotated[float, _requests(min=0, help="Requests per second to one host; 0: no limit.")] = 20.0,
    retries: Annotated[int, _requests(min=0, max=20, help="Retries after a temporary failure.")] = 4,
    timeout: Annotated[
        float, _requests(min=0.1, help="Seconds without data after which a request fails.")
    ] = 20.0,
    total_timeout: Annotated[float, _requests(min=0.1, help="Seconds after which a request fails.")] = 120.0,
    allow_private_hosts: AllowPrivateHosts = False,
    size: Annotated[
        Literal["original", "400", "200"],
        _images(help="Download the provider's original, or Europeana's thumbnail of this width in pixels."),
    ] = "400",
    resize: Annotated[
        int | None,
        _images(
            min=16,
            max=8192,
            help="Store images as JPEG in sRGB, without metadata, the shorter side at most N pixels.",
            show_default="the original bytes",
        ),
    ] = None,
    max_bytes: Annotated[int, _images(min=1, help="Largest file to store.")] = 50_000_000,
    placeholder_threshold: Annotated[
        int, _images(min=2, help="Treat a file that so many URLs return as a placeholder, not as an image.")
    ] = 20,
    report: Annotated[Path | None, _output(help="Write the failures to this CSV file.")] = None,
    duplicates: Annotated[
        Path | None, _output(help="Write a list of identical and similar images to this CSV file.")
    ] = None,
    export: Annotated[
        Path | None,
        _what(
            "--export-imagefolder",
            metavar="DIR",
            help="Copy the downloaded images and their annotations to a folder that Hugging Face's "
            "`datasets` loads; download nothing.",
        ),
    ] = None,
    format: Annotated[Literal["table", "json"], _output(help="Format of the summary.")] = "table",
) -> None:
    """Download the images of the annotation tables into data/images, and verify them.

    Files that are already there are verified, not downloaded again. Failures are recorded with their
    reasons; --retry-failed retries them. After an interruption, run the same command again to resume.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # else numpy starts a thread for every core
    with importing():
        from eufcc_cli.core.download import summary
        from eufcc_cli.core.download.backlog import find_backlog
        from eufcc_cli.core.download.engine import Options, download_images
        from eufcc_cli.core.download.ledger import FAILURES, TEMPORARY, Ledger, LedgerReader
        from eufcc_cli.core.download.verify import verify_images
        from eufcc_cli.core.http.politeness import Politeness

    if plan:
        _check_alone(ctx, "--plan", "report", "duplicates", "verify")
    if verify:
        _check_alone(ctx, "--verify", "report", "duplicates", "split", "limit", "retry_failed")
    root = existing_root(ctx)
    if export is not None:
        others = ("report", "duplicates", "plan", "verify", "retry_failed", "limit")
        _check_alone(ctx, "--export-imagefolder", *others)
        _export(root, export, split or [])
        return
    for path in filter(None, (report, duplicates)):
        _check_writable(path)
    politeness = Politeness(
        per_host=per_host, rate=rate, retries=retries, timeout=timeout, total_timeout=total_timeout,
        allow_private_hosts=allow_private_hosts,
    )  # fmt: skip
    options = Options(workers, size, resize, max_bytes, placeholder_threshold, politeness=politeness)
    retry = {None: frozenset[str](), "temporary": TEMPORARY, "all": FAILURES}[retry_failed]
    if verify:
        known = summary.known_ids(root)
        with Ledger(root.ledger) as ledger:
            outcome = verify_images(root, ledger, known, progress=console.progress())
        _print_verification(outcome, format)
        raise typer.Exit(SOME_FAILED if outcome.findings else 0)
    listed = summary.read_wanted(root, split or ())
    wanted = listed.drop_duplicates("id", ignore_index=True)
    if plan:
        with LedgerReader(root.ledger) as reader:
            backlog = find_backlog(root, reader, wanted, retry)
            _print_plan(summary.plan(backlog, limit, reader.mean_bytes(), options), format)
        return
    with Ledger(root.ledger) as ledger:
        backlog = find_backlog(root, ledger, wanted, retry)
        backlog.clear(ledger)
        download_images(root, ledger, backlog.pending[:limit], backlog.found, options, console.progress())
        counted = summary.summarise(wanted, ledger)
        if report is not None:
            write_text(report, csv_text(summary.FAILURE_COLUMNS, summary.failures(wanted, ledger)))
        if duplicates is not None:
            from eufcc_cli.core.download.duplicates import find_duplicates

            found = find_duplicates(root, ledger, listed, progress=console.progress())
            _write_duplicates(duplicates, found)
    _print_summary(counted, format)
    if counted.failed:
        raise typer.Exit(SOME_FAILED)


def _export(root: "Root", target: Path, splits: list[str]) -> None:
    from eufcc_cli.core.dataset.imagefolder import export_imagefolder

    done = export_imagefolder(root, target, splits, console.progress())
    console.note(
        f"{target}: "
        + ", ".join(f"{number_of(count, 'image')} of {name}" for name, count in done.images.items())
    )
    if done.missing:
        console.warn(f"{number_of(done.missing, 'image')} missing: `eufcc download` downloads them")
        raise typer.Exit(SOME_FAILED)


def _check_alone(ctx: typer.Context, option: str, *names: str) -> None:
    """Wrong usage where one of these parameters is given, which have no effect together with `option`."""
    for name in names:
        if is_given(ctx, name):
            raise typer.BadParameter(f"{option_of(name)} has no effect with {option}: leave one of them out")


def _check_writable(path: Path) -> None:
    """Raise an error before the download, not after it. Missing folders will be made."""
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        what = "is a folder" if path.is_dir() else f"{folder} cannot be written to"
        raise EufccError(f"{path}: cannot write: {what}", hint="name a file in a folder you may write to")


def _print_plan(plan: "Plan", format: str) -> None:
    if format == "json":
        console.line(json.dumps(asdict(plan)))
        return
    rows = [(host, f"{requests:,}") for host, requests in plan.requests.items()]
    console.table(["host", "requests"], rows, numeric=["requests"])
    console.line(
        f"{number_of(plan.images, 'image')} to download from {number_of(len(rows), 'host')}: about "
        f"{_duration(plan.hours)} and {_amount(plan.bytes)}; files that are there and will be verified: "
        f"{plan.found:,}"
    )
    console.line(f"{plan.done:,} done, {plan.failed:,} failed before")


def _print_summary(result: "Summary", format: str) -> None:
    if format == "json":
        console.line(json.dumps(result.to_json(), ensure_ascii=False))
        return
    rows = [(status, f"{count:,}") for status, count in result.statuses.items()]
    console.table(["status", "images"], rows, title="Images", numeric=["images"])
    for title, groups in (("By host", result.hosts), ("By provider", result.providers)):
        shown = list(groups.items())[: _SHOWN if console.on_terminal() else None]
        statuses = [status for status in result.statuses if any(status in counts for _, counts in shown)]
        console.table(
            [title.removeprefix("By "), *statuses],
            [(name, *(f"{counts.get(status, 0):,}" for status in statuses)) for name, counts in shown],
            title=title,
            numeric=statuses,
        )
        if len(shown) < len(groups):
            console.note(f"… and {len(groups) - len(shown):,} more; --format json lists all")
    done, more = f"{result.statuses.get('ok', 0):,} present ({_amount(result.bytes)} in data/images)", ""
    if result.failed:
        more = ": --report FILE lists them with their reasons, --retry-failed retries temporary ones"
    console.note(f"{number_of(result.images, 'image')}: {done}, {result.failed:,} failed{more}")


def _print_verification(found: "Verification", format: str) -> None:
    if format == "json":
        findings = [finding._asdict() for finding in found.findings]
        console.line(json.dumps({"intact": found.intact, "findings": findings}, ensure_ascii=False))
        return
    if found.findings:
        console.table(["found", "image", "done"], found.findings)
    console.line(
        f"{number_of(found.intact, 'file')} as recorded; {number_of(len(found.findings), 'difference')}"
    )
    if found.removed:
        console.note("`eufcc download` downloads the images that were removed from the ledger")


def _write_duplicates(path: Path, found: Any) -> None:
    write_text(path, found.to_csv(index=False, lineterminator="\n"))
    leaking = found.loc[found["leakage"] == "yes", "group"].nunique()
    groups = found["group"].nunique()
    console.note(f"{number_of(groups, 'group')} of duplicates, {leaking:,} of them in both training and test")


def _amount(count: float) -> str:
    """Bytes in a suitable unit.

    >>> _amount(43_200_000_000)
    '43.2 GB'
    """
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:,.0f} bytes" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"


def _duration(hours: float) -> str:
    """Hours, or minutes below one hour.

    >>> _duration(4.81), _duration(0.1), _duration(0)
    ('4.8 hours', '6 minutes', '0 minutes')
    """
    return f"{hours:,.1f} hours" if hours >= 1 else f"{round(hours * 60)} minutes"
