"""Importing a museum's export of 300,000 rows, against the time that pandas takes to read it; memory per row.

python -m tests.benchmarks.table [ROWS]

The table is the real export, grown: all its columns, each with as many different texts as their growth from a
quarter of its rows to all of them lets expect (twice the rows have 1.6 times the media, 1.8 times the titles,
twice the ids and URLs). New texts are the beginning of one real text and the end of another. Processor time
(user and system), pandas and the import by turns, each in a process of its own: the median of five. With the
URLs used, the import takes their column for the photographs.

pandas reads the file twice over: with its default options, which guess types (an id 007 becomes the number 7,
and NA nothing), and every cell as the text that it is, as the import has to. From 3.1 on only the first has a
faster reader, in threads.
"""

import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from eufcc_cli.core.dataset.museum.export_file import Dialect, write_export
from eufcc_cli.core.dataset.museum.readers.export import text_frame

ROWS = 300_000
_RUNS = 5
_MEASURE = """
import re, resource, sys
from pathlib import Path

def spent():
    used = resource.getrusage(resource.RUSAGE_SELF)
    # Not ru_maxrss: it begins with the memory of the process that started this one.
    most = re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1]
    return np.array([used.ru_utime + used.ru_stime, int(most) * 1024])

import numpy as np, pandas as pd
source = Path(sys.argv[1])
"""
_PANDAS = """
options = dict(dtype=str, keep_default_na=False) if sys.argv[2:] else {}
pd.read_csv(source.with_name("small.csv"), **options)
before = spent()
pd.read_csv(source, **options)
print(*(spent() - before))
"""
_IMPORT = """
from eufcc_cli.core.dataset.museum.annotating import annotate
from eufcc_cli.core.dataset.museum.export_file import read_export
from eufcc_cli.core.dataset.museum.importing import import_table
from eufcc_cli.core.dataset.splits.division_report import Shares
from eufcc_cli.core.dataset.museum.profile import Profile
from eufcc_cli.core.files import Root
root = Root(Path(sys.argv[2]))
profile = Profile("ID", provider="Source", title="Title", photo=sys.argv[3],
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
    print("   rows    URLs  pandas reads  as text  we read  import  of pandas  of text  bytes a row (pandas)")
    with tempfile.TemporaryDirectory() as folder:
        write_export(real, Path(folder, "small.csv"), Dialect("csv"))
        for rows in (most // 4, most):
            source = Path(folder, "export.csv")
            write_export(grown(real, rows), source, Dialect("csv"))
            for photo in ("", "ImageURL"):
                pandas, as_text, ours = [], [], []
                for run in range(_RUNS):
                    pandas.append(_measured(_PANDAS, source))
                    as_text.append(_measured(_PANDAS, source, "text"))
                    ours.append(_measured(_IMPORT, source, Path(folder, f"{rows}-{photo}-{run}"), photo))
                guessed, _ = np.median(pandas, axis=0)
                text, memory = np.median(as_text, axis=0)
                read, everything, used = np.median(ours, axis=0)
                print(
                    f"{rows:7,} {'used' if photo else 'unused':>7} {guessed:11.2f} s {text:6.2f} s "
                    f"{read:6.2f} s {everything:5.2f} s "
                    f"{everything / guessed:10.1f} {everything / text:8.1f} "
                    f"{used / rows:12.0f} ({memory / rows:.0f})"
                )


def _measured(code: str, *arguments: Path | str) -> list[float]:
    """What a script measured of itself."""
    command = [sys.executable, "-c", _MEASURE + code, *arguments]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return list(map(float, printed.split()))


def grown(real: pd.DataFrame, rows: int) -> pd.DataFrame:
    """A table like the real one with more rows."""
    rng = np.random.default_rng(0)
    columns = {}
    for name in real:
        texts = real[name].to_numpy(dtype=object)
        distinct = list(dict.fromkeys(texts))
        wanted = round(len(distinct) * (rows / len(real)) ** _growth(texts, rng))
        if len(distinct) == len(texts):  # ids and addresses
            columns[name] = [
                f"{text}{row}" for row, text in enumerate(texts[rng.integers(0, len(texts), rows)])
            ]
            continue
        new = set(distinct)
        while len(new) < wanted:
            beginning, end = (text.split(" ") for text in texts[rng.integers(0, len(texts), 2)])
            new.add(" ".join([*beginning[: (len(beginning) + 1) // 2], *end[len(end) // 2 :]]))
        drawn = texts[rng.integers(0, len(texts), rows)]
        others = sorted(new - set(distinct))
        # Each new text once, the rest of the rows draws from all: most texts of a museum are rare.
        drawn[rng.permutation(rows)[: len(others)]] = others
        columns[name] = drawn.tolist()
    return text_frame(list(columns), list(columns.values()))


def _growth(texts: np.ndarray, rng: np.random.Generator) -> float:
    """The exponent by which the different texts grow with the rows, from a quarter of the rows to all."""
    quarter = np.mean([len(set(rng.permutation(texts)[: len(texts) // 4])) for _ in range(20)])
    return math.log(len(set(texts)) / quarter, 4)


if __name__ == "__main__":
    main()
