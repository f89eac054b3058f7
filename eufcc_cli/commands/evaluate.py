"""`eufcc evaluate`."""

import typer


def evaluate(ctx: typer.Context) -> None:
    """evaluate."""
