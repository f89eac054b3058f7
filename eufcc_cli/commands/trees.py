"""`eufcc trees`."""

import typer


def trees(ctx: typer.Context) -> None:
    """trees."""
