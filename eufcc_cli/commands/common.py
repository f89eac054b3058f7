"""What several commands share: the root, and how a command says that some items failed."""

import typer

from eufcc_cli.core.errors import EufccError
from eufcc_cli.core.files import Root

SOME_FAILED = 3


def existing_root(ctx: typer.Context) -> Root:
    """The collection root given by --root; an error where there is no such folder."""
    root: Root = ctx.obj
    if not root.path.is_dir():
        raise EufccError(
            f"--root {root.path}: no such folder",
            hint="give a collection root, or make one: `eufcc --root DIR fetch demo` or `eufcc fetch`",
        )
    return root
