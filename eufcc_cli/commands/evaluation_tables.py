"""Tables of figures on the terminal, the best of each column marked."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from eufcc_cli import console

if TYPE_CHECKING:
    from eufcc_cli.core.report.cells import Table


def draw_tables(tables: "Sequence[Table]") -> None:
    """Draw tables one below the other, with their notes."""
    for table in tables:
        rows = [
            [Text(cell, style="bold green") if (i, j) in table.best else cell for j, cell in enumerate(row)]
            for i, row in enumerate(table.rows)
        ]
        console.table(table.columns, rows, title=table.title, numeric=table.numeric)
        for text in table.notes:
            console.line(text)
        console.line()
