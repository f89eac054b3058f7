"""`eufcc tag`."""

import typer


def tag(ctx: typer.Context) -> None:
    """tag."""
