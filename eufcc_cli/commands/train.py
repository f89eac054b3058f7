"""`eufcc train`."""

import typer


def train(ctx: typer.Context) -> None:
    """train."""
