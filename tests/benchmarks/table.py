"""Importing a museum's export of 300,000 rows, against the time that pandas takes to read it; memory per row.

python -m tests.benchmarks.table [ROWS]
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from eufcc_cli.core.dataset.export_file import Dialect, write_export
from eufcc_cli.core.dataset.readers.export import text_frame

ROWS = 300_000
_IMPORT = """
import resource, sys, time
from pathlib import Path
from eufcc_cli.core.dataset.export_file import read_export
from eufcc_cli.core.dataset.importing import annotate, import_table
from eufcc_cli.core.dataset.division import Shares
from eufcc_cli.core.dataset.profile import Profile
from eufcc_cli.core.files import Root
source, root = Path(sys.argv[1]), Root(Path(sys.argv[2]))
profile = Profile("ID", provider="Source", title="Title",
                  facets={"objectTypes": ("ObjectName",), "materials": ("Medium",)})
warm = read_export(source.with_name("small.csv"))
annotate(root, warm, profile, 3)  # loads the glossary
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
begin = time.perf_counter()
export = read_export(source)
read = time.perf_counter() - begin
described = annotate(root, export, profile, 3)
terms = time.perf_counter() - begin
import_table(root, export, profile, Shares(min_count=3))
everything = time.perf_counter() - begin
print(read, terms, everything, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


def main() -> None:
    """Print the table."""
    most = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    default = Path(__file__).resolve().parents[3] / "shared" / "data"
    path = Path(os.environ.get("EUFCC_TEST_DATA", default)) / "museum" / "export.csv"
    if not path.is_file():
        sys.exit(f"{path}: the real export is not there (set EUFCC_TEST_DATA)")
    real = pd.read_csv(path, dtype=str, keep_default_na=False)
    print("   rows  pandas reads       we read   with terms   all, with splits   of pandas   memory a row")
    with tempfile.TemporaryDirectory() as folder:
        write_export(real, Path(folder, "small.csv"), Dialect("csv"))
        for rows in (most // 3, most):
            source = Path(folder, "export.csv")
            write_export(_sample(real, rows), source, Dialect("csv"))
            begin = time.perf_counter()
            pd.read_csv(source, dtype=str, keep_default_na=False)
            pandas = time.perf_counter() - begin
            root = Path(folder, f"root{rows}")
            told = subprocess.run(
                [sys.executable, "-c", _IMPORT, source, root], check=True, stdout=subprocess.PIPE, text=True
            ).stdout.split()
            read, terms, everything, memory = map(float, told)
            print(
                f"{rows:7,} {pandas:11.2f} s {read:11.2f} s {terms:10.2f} s {everything:16.2f} s "
                f"{everything / pandas:11.1f} {memory / rows:10.0f} bytes"
            )


def _sample(real: pd.DataFrame, rows: int) -> pd.DataFrame:
    """Rows that draw each column from the real table; one text in twenty is new."""
    rng = np.random.default_rng(0)
    columns = {name: real[name].to_numpy()[rng.integers(0, len(real), rows)] for name in real}
    columns["ID"] = np.array([f"OBJ_{row:07d}" for row in range(rows)])
    new = np.flatnonzero(rng.random(rows) < 0.05)
    columns["Medium"][new] = [
        f"{text}, piece {row}" for row, text in zip(new, columns["Medium"][new], strict=True)
    ]
    return text_frame(list(columns), [values.tolist() for values in columns.values()])


if __name__ == "__main__":
    main()
