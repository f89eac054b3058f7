"""Do doubtful annotations come first? 5 % of the tags of the drawn collection are made wrong on purpose.

    python -m tests.benchmarks suspects

EUFCC_DEMO=ROOT copies a drawn collection, with the features that it holds, instead of drawing one.
"""

import os
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from eufcc_cli.core.demo import draw_collection
from eufcc_cli.core.evaluation.suspects import find_suspects
from eufcc_cli.core.files import Root
from eufcc_cli.core.model.checkpoint import load_model
from eufcc_cli.core.taxonomy.tables.annotation_files import read_table
from eufcc_cli.core.taxonomy.tables.annotations import FACETS, ID, facet_column, paths
from eufcc_cli.core.training.configuration.config import TrainConfig
from eufcc_cli.core.training.run import train_run

SHARE = 0.05
FIRST = 0.10

Triple = tuple[str, str, str]


def drawn_root(folder: Path, images: int = 3200) -> Root:
    """The drawn collection in a folder."""
    if given := os.environ.get("EUFCC_DEMO"):
        shutil.copytree(given, folder, ignore=shutil.ignore_patterns("runs"))
    else:
        draw_collection(Root(folder), images=images)
    return Root(folder)


def triples(frame: pd.DataFrame) -> set[Triple]:
    """(image, facet, tag) of all annotations, broader tags included."""
    return {
        (image_id, facet, tag)
        for facet in FACETS
        for image_id, cell in zip(frame[ID], frame[facet_column(facet)], strict=True)
        for path in paths(cell)
        for tag in path
    }


def corrupted(frame: pd.DataFrame, share: float, seed: int) -> pd.DataFrame:
    """The table with this share of its paths replaced by another one of the facet, all equally likely."""
    rng = np.random.default_rng(seed)
    frame = frame.copy()
    for facet in FACETS:
        cells = [paths(cell) for cell in frame[facet_column(facet)]]
        known = sorted({path for cell in cells for path in cell})
        for cell in cells:
            for place, path in enumerate(cell):
                if rng.random() < share:
                    others = [one for one in known if one[-1] not in path and path[-1] not in one]
                    cell[place] = others[rng.integers(len(others))]
        frame[facet_column(facet)] = [" $ ".join(" | ".join(path) for path in cell) for cell in cells]
    return frame


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = drawn_root(Path(folder) / "root")
        frame = read_table(root.table("train"))
        spoilt = corrupted(frame, SHARE, seed=1)
        spoilt.to_csv(root.table("train"), index=False)
        truth, annotated = triples(frame), triples(spoilt)
        wrong = annotated - truth
        train_run(TrainConfig(tune="head", device="cpu"), root, "spoilt")
        began = time.perf_counter()
        suspects = find_suspects(load_model("spoilt", root, "cpu"), root, ["train"])
        took = time.perf_counter() - began
        listed = [(one.id, one.facet, one.tag) for one in suspects.found]
        first = round(FIRST * len(annotated))
        frequency = Counter((facet, tag) for _, facet, tag in annotated)
        rarest = sorted(annotated, key=lambda one: (frequency[one[1:]], one))
        print(
            f"{len(frame):,} images, {len(annotated):,} annotated tags, {len(wrong):,} of them wrong; "
            f"{len(listed):,} lines in {took:.0f} s"
        )
        for name, lines in (("--suspects", listed), ("least frequent first", rarest)):
            found = len(wrong.intersection(lines[:first]))
            print(f"{name:22} finds {found / len(wrong):.1%} in its first {first:,} lines (10 % of the tags)")
        lost = truth - annotated
        print(
            f"of all lines: {len(wrong.intersection(listed)) / len(wrong):.1%} of the wrong tags, "
            f"{len(lost.intersection(listed)) / len(lost):.1%} of the lost ones; "
            f"{len((wrong | lost).intersection(listed)) / len(listed):.1%} of the lines are right"
        )
        top = listed[: round(FIRST * len(listed))]
        hits = len((wrong | lost).intersection(top))
        print(f"of the first 10 % of its lines {hits / len(top):.1%} are right")


if __name__ == "__main__":
    main()
