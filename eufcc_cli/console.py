"""The only place that draws: results on standard output, everything else on standard error.

With standard output not a terminal nothing is coloured, boxed or cut to a width; progress bars appear
only on a terminal, and elsewhere a plain line every half minute shows the progress.
"""

import io
import logging
import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress
from rich.progress import Task as RichTask
from rich.table import Table
from rich.text import Text

from eufcc_cli.core.errors import EufccError
from eufcc_cli.core.files import visible
from eufcc_cli.core.progress import SILENT, Progress, Task


def _open_closed_streams() -> frozenset[str]:
    """Give the standard streams that are closed, as cron and GUIs leave them, to the null device.

    Else the next file that is opened would take their place. Returns their names.
    """
    closed = []
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123
            closed.append(name)
    return frozenset(closed)


CLOSED = _open_closed_streams()
"""Those of stdin, stdout and stderr that were closed when the program began."""

# In a pipe the width is that of the longest line: nothing is wrapped or cut.
out = Console(soft_wrap=not sys.stdout.isatty(), highlight=False, emoji=False)
err = Console(stderr=True, soft_wrap=not sys.stderr.isatty(), highlight=False, emoji=False)

_SECONDS_BETWEEN_LINES = 30.0
_quiet = False
_options: Mapping[str, str] = {}
_root: str | None = None
_SETTING = re.compile("`([a-z][a-z_]*)(?:=([^`]*))?`")


def with_options(text: str, option_of: Callable[[str], str | None]) -> str:
    """A message of the core, which names settings in backquotes, as it reads on the command line.

    >>> option_of = {"epochs": "--epochs", "pretrained": "--pretrained", "device": "--device"}.get
    >>> with_options("`epochs` 0: must be above 0", option_of)
    '--epochs 0: must be above 0'
    >>> with_options("choose `device=cpu`, or `pretrained=False`; `eufcc train` does so", option_of)
    'choose --device cpu, or --no-pretrained; `eufcc train` does so'
    """

    def spell(found: re.Match[str]) -> str:
        name, value = found.groups()
        option = option_of(name)
        if option is None:
            return found[0]
        if value == "False":
            return "--no-" + option.removeprefix("--")
        return option if value in (None, "True") else f"{option} {value}"

    return _SETTING.sub(spell, text)


def name_options(options: Mapping[str, str]) -> None:
    """From now on show these settings, too, {name: option}, as options in errors, warnings and notes."""
    global _options
    _options = {**_options, **options}


def name_root(path: str) -> None:
    """From now on commands that hints and notes propose are for this collection root."""
    global _root
    _root = path


def _proposed(text: str) -> str:
    """Commands in backquotes as they work where the user stands: with the root that was given."""
    if _root is None:
        return text
    return re.sub(r"`eufcc (?=[a-z])", lambda _: f"`eufcc --root {shlex.quote(str(_root))} ", text)


def setup(*, quiet: bool = False, verbose: bool = False) -> None:
    """Choose how much is printed on standard error, and send the core's log there."""
    global _quiet
    _quiet = quiet
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A name that the terminal cannot show is printed as \xNN; other programs get UTF-8.
            stream.reconfigure(encoding=None if stream.isatty() else "utf-8", errors="backslashreplace")
    logger = logging.getLogger("eufcc")
    logger.setLevel(logging.ERROR if quiet else logging.DEBUG if verbose else logging.WARNING)
    logger.handlers = [_Log()]


class _Log(logging.Handler):
    """Prints the core's log."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING:
            (error if record.levelno >= logging.ERROR else warn)(self.format(record))
        else:
            note(self.format(record))


def on_terminal() -> bool:
    """True where a person reads standard output, False in a pipe or a file."""
    return sys.stdout.isatty()


def error(message: str, hint: str | None = None) -> None:
    """One line `error: …`, and one line `hint: …` where there is something to do."""
    err.print(f"[bold red]error:[/] {_one_line(message)}", soft_wrap=True)
    if hint:
        err.print(f"[bold cyan]hint:[/] {_one_line(_proposed(hint))}", soft_wrap=True)


def warn(message: str) -> None:
    """One line `warning: …` on standard error, unless --quiet."""
    if not _quiet:
        err.print(f"[yellow]warning:[/] {_one_line(_proposed(message))}", soft_wrap=True)


def note(message: str = "") -> None:
    """A line of explanation on standard error, unless --quiet."""
    if not _quiet:
        shown = with_options(_proposed(message), _options.get)
        err.print(escape("\n".join(map(visible, shown.split("\n")))), soft_wrap=True)


def _one_line(message: str) -> str:
    return escape(visible(" ".join(with_options(message, _options.get).splitlines())))


def line(text: str = "") -> None:
    """A line of results, exactly as it is; raises as `write` does."""
    write(text + "\n")


def write(text: str) -> None:
    """Results, exactly as they are, flushed so that the next program in the pipe can go on.

    Raises EufccError where standard output takes no more, BrokenPipeError where its reader has ended.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        abandon_output()
        raise EufccError(
            f"standard output: cannot write: {error.strerror}", hint="is the disk that it goes to full?"
        ) from error


def abandon_output() -> None:
    """Send what is still buffered for standard output to the null device, so that exit does not fail too."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    title: str | None = None,
    numeric: Iterable[str] = (),
    to: Console | None = None,
) -> None:
    """Draw a table of results: boxed on a terminal, aligned plain text in a pipe.

    Columns named in `numeric` are set to the right. Results go to standard output; `to=err` is for
    tables that only explain.
    """
    target = to or out
    if target is err and _quiet:
        return
    right = set(numeric)
    print_line = line if target is out else note
    if title and target.is_terminal:  # above the table, where no column's width can break it
        target.print(Text(title, style="bold"), soft_wrap=True)
    elif title:
        print_line(title)
    drawn = Table(header_style="bold")
    drawn.box = box.ROUNDED if target.is_terminal else None
    drawn.pad_edge = target.is_terminal
    for column in columns:
        drawn.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(cell if isinstance(cell, Text) else Text(_cell(cell)) for cell in row))
    if target.is_terminal:
        target.print(drawn)
    else:
        # Rich lays tables out for a width even in a pipe: give it one that nothing reaches.
        text = Console(file=io.StringIO(), width=10_000, no_color=True, highlight=False, emoji=False)
        with text.capture() as capture:
            text.print(drawn)
        for plain in capture.get().splitlines():
            print_line(plain.rstrip())


def _cell(value: object) -> str:
    return visible(" ".join(str(value).splitlines()))


class _SpeedColumn(ProgressColumn):
    def render(self, task: RichTask) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f} {task.fields['unit']}/s" if speed else "", style="cyan")


def _listed(fields: Mapping[str, object], between: str) -> str:
    """What the work reports beside its steps: `loss 0.31`, `failed 2`."""
    shown = {name: f"{value:.4g}" if isinstance(value, float) else value for name, value in fields.items()}
    return between.join(f"{name} {value}" for name, value in shown.items())


@dataclass
class _BarTask:
    progress: RichProgress
    task_id: int
    shown: dict[str, object] = field(default_factory=dict)

    def advance(self, steps: int = 1, **fields: object) -> None:
        self.shown |= fields
        self.progress.update(self.task_id, advance=steps, shown=_listed(self.shown, "  "))  # type: ignore[arg-type]


class _Bars:
    @contextmanager
    def task(self, description: str, total: int | None, unit: str = "images") -> Iterator[Task]:
        columns = (
            SpinnerColumn(), "{task.description}", BarColumn(bar_width=30), MofNCompleteColumn(),
            _SpeedColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
            TextColumn("{task.fields[shown]}", "dim", markup=False),
        )  # fmt: skip
        with RichProgress(*columns, console=err, transient=True) as bars:
            yield _BarTask(bars, bars.add_task(escape(description), total=total, unit=unit, shown=""))


@dataclass
class _LineTask:
    description: str
    total: int | None
    unit: str
    done: int = 0
    last: float = field(default_factory=time.monotonic)

    def advance(self, steps: int = 1, **fields: object) -> None:
        self.done += steps
        now = time.monotonic()
        if now - self.last >= _SECONDS_BETWEEN_LINES:
            self.last = now
            of = "" if self.total is None else f" of {self.total:,}"
            more = ", " + _listed(fields, ", ") if fields else ""
            note(f"{self.description}: {self.done:,}{of} {self.unit}{more}")


class _Lines:
    @contextmanager
    def task(self, description: str, total: int | None, unit: str = "images") -> Iterator[Task]:
        yield _LineTask(description, total, unit)


def progress(show: bool = True) -> Progress:
    """What to hand the core: bars on a terminal, a line now and then elsewhere, nothing if quiet."""
    if _quiet or not show:
        return SILENT
    return _Bars() if sys.stderr.isatty() else _Lines()
