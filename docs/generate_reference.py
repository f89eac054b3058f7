"""Write the page of commands from what `eufcc COMMAND --help` prints; mkdocs runs this at every build."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mkdocs_gen_files
from typer.main import get_command

from eufcc_cli.cli import app


def commands(command: Any, name: str) -> Iterator[str]:
    """The names of a command and of all below it, in the order of the help."""
    yield name
    for below in getattr(command, "list_commands", lambda _: [])(None):
        yield from commands(command.commands[below], f"{name} {below}")


def help_of(name: str) -> str:
    """The help of a command as a pipe gets it, 100 columns wide."""
    eufcc = Path(sys.executable).with_name("eufcc")
    environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1"}
    done = subprocess.run(
        [eufcc, *name.split()[1:], "--help"], capture_output=True, text=True, check=True, env=environment
    )
    return done.stdout.strip()


with mkdocs_gen_files.open("reference/commands.md", "w") as page:
    print("# Commands\n\nWhat `eufcc COMMAND --help` prints.", file=page)
    for name in commands(get_command(app), "eufcc"):
        print(f"\n## {name}\n\n```text\n{help_of(name)}\n```", file=page)
