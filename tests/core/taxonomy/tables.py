"""Small annotation tables for the tests of the taxonomy, and hypothesis strategies for their cells."""

from pathlib import Path

import pandas as pd
from hypothesis import strategies as st

from eufcc_cli.core.taxonomy.tables.annotations import FACETS, ID, IMAGE_URL, facet_column

HEADER = f"{ID},objectTypes.hierarchy,materials.hierarchy,{IMAGE_URL}\n"


def written(path: Path, text: str, encoding: str = "utf-8") -> Path:
    """A file with exactly this text."""
    path.write_bytes(text.encode(encoding))
    return path


def table(**cells: list[str]) -> pd.DataFrame:
    """A table with these facets' cells, its rows called 0, 1, …; short columns end in empty cells."""
    rows = max(map(len, cells.values()))
    columns = {ID: [str(row) for row in range(rows)]}
    for facet in filter(cells.__contains__, FACETS):
        columns[facet_column(facet)] = cells[facet] + [""] * (rows - len(cells[facet]))
    return pd.DataFrame(columns, dtype="str")


# Few names, so that they meet again under other parents, in cycles and twice on a path.
NAMES = st.sampled_from(["a", "b", "c", "d", "dos mots", "è", "*", "l'f"])
TAGS = st.lists(NAMES, min_size=1, max_size=4).map(" | ".join)
CELLS = st.lists(st.lists(TAGS, max_size=3).map(" $ ".join), max_size=12)
