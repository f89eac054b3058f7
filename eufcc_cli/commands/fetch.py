"""`eufcc fetch`: the published dataset, a drawn miniature, a harvest of Europeana, and its splits."""

from typing import Any

import typer
from typer.core import TyperGroup


class _PublishedByDefault(TyperGroup):
    """`eufcc fetch --split train` means `eufcc fetch published --split train`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        asks_for_help = args[:1] in (["--help"], ["-h"])
        option_first = bool(args) and args[0].startswith("-") and not asks_for_help
        if option_first or (not args and not ctx.resilient_parsing):
            args = ["published", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_PublishedByDefault,
    help="Fetch annotations: EUFCC-340K as it was published (`eufcc fetch`), or a collection of your own.",
    subcommand_metavar="[published|demo|europeana|splits] [OPTIONS]",
)


@app.command("demo")
def demo(ctx: typer.Context) -> None:
    """Draw the miniature collection."""
