"""The Typer application: global options, the six commands, and the one place where errors are printed."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from eufcc_cli import __version__, console
from eufcc_cli.commands import download, evaluate, fetch, tag, train, trees
from eufcc_cli.core.errors import EufccError
from eufcc_cli.core.files import Root


class _Boundary(TyperGroup):
    """The error boundary: what a user can cause ends in one line and an exit code, a bug in a traceback.

    The global options are understood before a command's name and after it.
    """

    def __init__(self, **about: Any) -> None:
        super().__init__(**about)
        for command in _below(self):
            command.params += [_anywhere(param) for param in self.params if param.name in _GLOBAL]

    def make_context(self, *args: Any, **more: Any) -> Any:
        with _reported_errors():  # of options that are answered at once, as `--version`
            return super().make_context(*args, **more)

    def invoke(self, ctx: Any) -> Any:
        with _reported_errors():
            return super().invoke(ctx)

    def list_commands(self, ctx: Any) -> list[str]:
        """In the order in which they are used."""
        return ["fetch", "download", "trees", "train", "evaluate", "tag"]


@contextmanager
def _reported_errors() -> Iterator[None]:
    try:
        try:
            yield
        except OSError:
            console.write("")  # which raises the error to print if standard output cannot be written
            raise
    except EufccError as error:
        console.error(str(error), error.hint)
        raise typer.Exit(1) from error
    except (KeyboardInterrupt, typer.Abort):  # the latter at a question
        console.note("interrupted; finished work is saved")
        raise typer.Exit(130) from None
    except BrokenPipeError:
        console.abandon_output()  # the reader (`head`, say) has all it wanted
        raise typer.Exit(0) from None


def _below(command: Any) -> Iterator[Any]:
    """The commands of a group, and those of its groups."""
    for each in getattr(command, "commands", {}).values():
        yield each
        yield from _below(each)


def _anywhere(option: Any) -> Any:
    """A global option as an option of a command."""
    repeated = copy(option)
    repeated.default, repeated.envvar, repeated.expose_value = None, None, False
    repeated.show_default, repeated.rich_help_panel = False, "Global options"
    repeated.callback = _set_global
    return repeated


def _set_global(ctx: Any, option: Any, value: Any) -> None:
    if value:
        _GLOBAL[option.name](ctx, value)


def _set_root(ctx: Any, path: Any) -> None:
    ctx.obj = Root(Path(path))
    console.name_root(str(path))


def _set_variable(name: str, value: object) -> None:
    """Put a global option where the core reads it, in worker processes too."""
    if value:
        os.environ[name] = str(value)


_GLOBAL: dict[str, Callable[[Any, Any], None]] = {
    "root": _set_root,
    "quiet": lambda ctx, quiet: console.setup(quiet=quiet),
    "verbose": lambda ctx, verbose: console.setup(verbose=verbose),
    "user_agent": lambda ctx, agent: _set_variable("EUFCC_USER_AGENT", agent),
    "max_pixels": lambda ctx, pixels: _set_variable("EUFCC_MAX_PIXELS", pixels),
}


def _option_names(command: Any) -> dict[str, str]:
    """How a command spells settings on the command line: {name: option}."""
    options = {
        param.name.rstrip("_"): max(param.opts, key=len)
        for each in (command, *_below(command))
        for param in each.params
        if param.param_type_name == "option"
    }
    return options | {name: f"--{name.replace('_', '-')}" for name in _GLOBAL}


app = typer.Typer(
    cls=_Boundary,
    help="Suggest tags for images of galleries, libraries, archives and museums: collect annotated images, "
    "train models on them, and tag new images, in the four facets and hierarchies of EUFCC-340K.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    # In a pipe, help and usage errors are plain text as well.
    rich_markup_mode="rich" if console.on_terminal() else None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(fetch.app, name="fetch", short_help="Fetch annotations: published, your own, or harvested.")
app.command("download", cls=download.Command, short_help="Download and verify the images.")(download.download)
app.command("trees", short_help="Draw, count, check and export label trees.")(trees.trees)
app.command("train", cls=train.Command, short_help="Train a model that tags images.")(train.command)
app.command("evaluate", short_help="Measure models on annotated images.")(evaluate.evaluate)
app.command("tag", short_help="Suggest tags for images, and review them.")(tag.tag)


def _version(asked: bool) -> None:
    if asked:
        console.line(f"eufcc {__version__}")
        raise typer.Exit


@app.callback()
def options(
    ctx: typer.Context,
    root: Annotated[
        Path,
        typer.Option(
            "--root", envvar="EUFCC_ROOT", help="The collection's folder, with data/, labels/ and runs/."
        ),
    ] = Path(),
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only results and errors.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print every step.")] = False,
    user_agent: Annotated[
        str | None,
        typer.Option(
            "--user-agent",
            envvar="EUFCC_USER_AGENT",
            metavar="TEXT",
            help="The User-Agent of all requests. Many servers require a contact in it (a URL or e-mail).",
            show_default="eufcc's own, with the project's URL",
        ),
    ] = None,
    max_pixels: Annotated[
        int | None,
        typer.Option(
            "--max-pixels",
            envvar="EUFCC_MAX_PIXELS",
            min=1,
            help="Do not decode images with more pixels (width times height).",
            show_default="178,956,970",
        ),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    console.setup(quiet=quiet, verbose=verbose)
    if isinstance(ctx.command, TyperGroup) and ctx.invoked_subcommand:
        console.name_options(_option_names(ctx.command.commands[ctx.invoked_subcommand]))
    _set_variable("EUFCC_USER_AGENT", user_agent)
    _set_variable("EUFCC_MAX_PIXELS", max_pixels)
    ctx.obj = Root(root)
    source = ctx.get_parameter_source("root")
    if source is not None and source.name == "COMMANDLINE":
        console.name_root(str(root))
