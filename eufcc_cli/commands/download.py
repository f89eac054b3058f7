"""`eufcc download`."""

import typer


def download(ctx: typer.Context) -> None:
    """download."""
