"""`eufcc fetch`."""

import typer

app = typer.Typer(help="Fetch annotations.", no_args_is_help=False)


@app.command("demo")
def demo(ctx: typer.Context) -> None:
    """Draw the miniature collection."""
