"""Importing a museum's export of 300,000 rows, against the time that pandas takes to read it; memory per row.

python -m tests.benchmarks.table [ROWS]

Processor time (user and system), pandas and the import by turns, each in a process of its own: the least of
three. One text in twenty is new, so that 300,000 rows have 15,000 different texts.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from eufcc_cli.core.dataset.export_file import Dialect, write_export
from eufcc_cli.core.dataset.readers.export import text_frame

ROWS = 300_000
_RUNS = 3
_MEASURE = """
import resource, sys
from pathlib import Path

def spent():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return np.array([used.ru_utime + used.ru_stime, used.ru_maxrss * 1024])

import numpy as np, pandas as pd
source = Path(sys.argv[1])
"""
_PANDAS = """
pd.read_csv(source.with_name("small.csv"), dtype=str, keep_default_na=False)
before = spent()
pd.read_csv(source, dtype=str, keep_default_na=False)
print(*(spent() - before))
"""
_IMPORT = """
from eufcc_cli.core.dataset.annotating import annotate
from eufcc_cli.core.dataset.export_file import read_export
from eufcc_cli.core.dataset.importing import import_table
from eufcc_cli.core.dataset.division import Shares
from eufcc_cli.core.dataset.profile import Profile
from eufcc_cli.core.files import Root
root = Root(Path(sys.argv[2]))
profile = Profile("ID", provider="Source", title="Title",
                  facets={"objectTypes": ("ObjectName",), "materials": ("Medium",)})
annotate(root, read_export(source.with_name("small.csv")), profile, 3)  # loads modules and the glossary
before = spent()
export = read_export(source)
read = spent()
import_table(root, export, profile, Shares(min_count=3))
print((read - before)[0], *(spent() - before))
"""


def main() -> None:
    """Print the table."""
    most = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    default = Path(__file__).resolve().parents[3] / "shared" / "data"
    path = Path(os.environ.get("EUFCC_TEST_DATA", default)) / "museum" / "export.csv"
    if not path.is_file():
        sys.exit(f"{path}: the real export is not there (set EUFCC_TEST_DATA)")
    real = pd.read_csv(path, dtype=str, keep_default_na=False)
    print("   rows  pandas reads       we read   the whole import   of pandas   memory a row (pandas)")
    with tempfile.TemporaryDirectory() as folder:
        write_export(real, Path(folder, "small.csv"), Dialect("csv"))
        for rows in (most // 4, most):
            source = Path(folder, "export.csv")
            write_export(_sample(real, rows), source, Dialect("csv"))
            pandas, ours = [], []
            for run in range(_RUNS):
                pandas.append(_measured(_PANDAS, source))
                ours.append(_measured(_IMPORT, source, Path(folder, f"root{rows}-{run}")))
            least, memory = np.min(pandas, axis=0)
            read, everything, used = np.min(ours, axis=0)
            print(
                f"{rows:7,} {least:11.2f} s {read:11.2f} s {everything:16.2f} s "
                f"{everything / least:11.1f} {used / rows:14.0f} bytes ({memory / rows:.0f})"
            )


def _measured(code: str, *arguments: Path) -> list[float]:
    """What a script measured of itself."""
    command = [sys.executable, "-c", _MEASURE + code, *arguments]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return list(map(float, printed.split()))


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
