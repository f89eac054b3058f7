"""What heads gain from all stages of the backbone: R-Precision with and without them, over random splits.

Trained on one museum's photographs, tested on others of the same museum and on the other museum's, in both
directions.

    python -m tests.benchmarks.stages [--splits 10] [--data ../shared/data]
"""

import argparse
import shutil
import tempfile
from pathlib import Path

import numpy as np

from eufcc_cli.core.evaluation.scores.scoring import ModelScorer
from eufcc_cli.core.files import Root
from eufcc_cli.core.model.backbone.bundled_weights import BUNDLED
from eufcc_cli.core.model.checkpoint import load_model
from eufcc_cli.core.training.configuration.config import TrainConfig
from eufcc_cli.core.training.run import train_run
from tests.benchmarks.transfer import measured
from tests.museum_root import CHICAGO, CLEVELAND, museum_root

_RUN = "bench"


def figures(root: Root, all_stages: bool) -> list[float]:
    """R-Precision on the same and on the other museum; features are kept for the next split."""
    shutil.rmtree(root.run(_RUN), ignore_errors=True)
    config = TrainConfig(device="cpu", tune="head", backbone=BUNDLED, all_stages=all_stages)
    train_run(config, root, _RUN)
    found = measured(ModelScorer(load_model(_RUN, root, "cpu", "fp32"), root, _RUN), root)
    return [found[split][0] for split in ("test_id", "test_ood")]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--splits", type=int, default=10)
    options.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[3] / "shared" / "data")
    given = options.parse_args()
    if not (given.data / "museum").is_dir():
        print(f"no photographs in {given.data}")
        return
    print("difference with all stages, mean and its standard error | same museum | other museum")
    with tempfile.TemporaryDirectory() as folder:
        for inner, outer in ((CLEVELAND, CHICAGO), (CHICAGO, CLEVELAND)):
            without, gained = [], []
            for seed in range(1, 1 + given.splits):
                root = museum_root(given.data, Path(folder) / "root", seed, outer)
                without.append(figures(root, False))
                gained.append(np.subtract(figures(root, True), without[-1]))
            error = np.std(gained, axis=0, ddof=1) / len(gained) ** 0.5
            cells = [
                f"{base:.3f}, {mean:+.3f} ± {one:.3f}"
                for base, mean, one in zip(
                    np.mean(without, axis=0), np.mean(gained, axis=0), error, strict=True
                )
            ]
            print(f"{inner} | {' | '.join(cells)}", flush=True)


if __name__ == "__main__":
    main()
