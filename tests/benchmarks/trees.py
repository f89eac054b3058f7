"""Trees and targets of a table as large as EUFCC-340K, against reading that table.

Processes are compared with one that only imports pandas and reads the needed columns, in turn, best of
several; building with row-by-row construction, one dictionary per facet; encoding with reading.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from eufcc_cli.core.taxonomy.hierarchy import Hierarchy, build_trees
from eufcc_cli.core.taxonomy.tables.annotation_files import read_table
from eufcc_cli.core.taxonomy.tables.annotations import FACET_COLUMNS, FACETS, ID, distinct
from eufcc_cli.core.taxonomy.vocabulary import Vocabulary

ROWS = 346_324
REPEATS = 5
FLOOR = """
import sys, pandas
pandas.read_csv(sys.argv[1], usecols=sys.argv[2:], dtype=str, keep_default_na=False)
"""
# A process begins with the peak memory of the one that forks it: a small one has to do that.
LAUNCH = """
import os, subprocess, sys, time
begin = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
process.returncode = os.waitstatus_to_exitcode(status)
print(time.perf_counter() - begin, usage.ru_maxrss)
sys.exit(process.returncode)
"""


def main() -> None:
    """Print the table of ratios."""
    with tempfile.TemporaryDirectory() as folder:
        paths = {}
        for times in (1, 2, 4):
            paths[times] = Path(folder) / f"{times}.csv"
            _sample(ROWS * times).to_csv(paths[times], index=False)
        _processes(paths[1], Path(folder))
        _building(paths[1])
        print("\n     rows       read    count them  build trees  encode them   encode/read (goal: 1)")
        for path in paths.values():
            _growth(path)
        _distinct()


def _real() -> pd.DataFrame:
    default = Path(__file__).resolve().parents[3] / "shared" / "data"
    path = Path(os.environ.get("EUFCC_TEST_DATA", default)) / "eufcc-340k" / "test_id.csv"
    if not path.is_file():
        sys.exit(f"{path}: the real annotations are not there (set EUFCC_TEST_DATA)")
    return read_table(path)


def _sample(rows: int) -> pd.DataFrame:
    """Rows drawn from the real table, with ids of their own."""
    real = _real()
    frame = real.iloc[np.random.default_rng(0).integers(0, len(real), rows)].reset_index(drop=True)
    frame[ID] = [f"art_{row:07d}" for row in range(rows)]
    return frame


def _process(command: list[str]) -> tuple[float, float]:
    """Seconds and MiB of a process."""
    launched = [sys.executable, "-c", LAUNCH, *command]
    seconds, peak = subprocess.run(launched, capture_output=True, text=True, check=True).stdout.split()
    return float(seconds), int(peak) / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def _processes(path: Path, folder: Path) -> None:
    eufcc = str(Path(sys.executable).with_name("eufcc"))
    commands = {
        "pandas, columns read": [sys.executable, "-c", FLOOR, str(path), *FACET_COLUMNS],
        "eufcc trees --write": [eufcc, "trees", str(path), "--write", str(folder / "labels")],
    }
    runs = [{name: _process(command) for name, command in commands.items()} for _ in range(REPEATS)]
    print(f"whole process, {ROWS:,} rows    seconds       MiB")
    best = {}
    for name in commands:
        best[name] = tuple(min(run[name][i] for run in runs) for i in range(2))
        print(f"{name:28} {best[name][0]:10.2f} {best[name][1]:10.0f}")
    (floor_s, floor_m), (ours_s, ours_m) = best.values()
    print(f"{'ratio (goal: 1.5 and 1.3)':28} {ours_s / floor_s:10.2f} {ours_m / floor_m:10.2f}")


def _row_by_row(frame: pd.DataFrame) -> dict[str, dict[str, str | None]]:
    """The peer: one dictionary tag -> parent per facet, row by row."""
    trees = {}
    for column in FACET_COLUMNS:
        parents: dict[str, str | None] = {}
        for cell in frame[column]:
            for tag in cell.split(" $ ") if cell else ():
                parent = None
                for name in tag.split(" | "):
                    parents.setdefault(name, parent)
                    parent = name
        trees[column] = parents
    return trees


def _best(function: Callable[[], object], repeats: int = REPEATS) -> float:
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        function()
        times.append(time.perf_counter() - begin)
    return min(times)


def _building(path: Path) -> None:
    frame = read_table(path, FACET_COLUMNS)
    trees = build_trees([frame])
    for facet, parents in zip(FACETS, _row_by_row(frame).values(), strict=True):
        assert {name: trees[facet].parent(name) for name in trees[facet]} == parents
    slow, fast = _best(lambda: _row_by_row(frame), 2), _best(lambda: build_trees([frame]))
    print(
        f"\nfour trees in memory: row by row {slow:.2f} s, eufcc {fast:.3f} s, {slow / fast:.0f} x (goal: 20)"
    )


def _growth(path: Path) -> None:
    """One line for one size: what grows with the rows, and what only with the distinct annotations."""
    read = _best(lambda: read_table(path, FACET_COLUMNS), 3)
    frame = read_table(path, FACET_COLUMNS)
    count = _best(lambda: distinct([frame]), 3)
    counted = distinct([frame])
    build = _best(lambda: [Hierarchy.from_annotations(f, texts) for f, texts in counted.items()], 3)
    vocabulary = Vocabulary.from_trees(build_trees([frame]))
    encode = _best(lambda: vocabulary.encode(frame), 3)
    seconds = f"{read:8.2f} s {count:11.3f} s {build:10.3f} s {encode:10.3f} s"
    print(f"{len(frame):>9,} {seconds} {encode / read:18.2f}")


def _distinct() -> None:
    """The same rows, and the same number of rows with all annotations made different."""
    frame = _sample(ROWS // 4)
    many = frame.copy()
    numbers = pd.Series(np.arange(len(many)).astype(str), dtype="str")
    for column in FACET_COLUMNS:
        many[column] = many[column].where(many[column] == "", many[column] + " $ " + numbers.str[-3:])
    few_s, many_s = _best(lambda: build_trees([frame]), 3), _best(lambda: build_trees([many]), 3)
    texts = [sum(table[column].nunique() for column in FACET_COLUMNS) for table in (frame, many)]
    print(
        f"\n{len(frame):,} rows with {texts[0]:,} distinct annotations {few_s:.3f} s, "
        f"with {texts[1]:,} {many_s:.3f} s"
    )


if __name__ == "__main__":
    main()
