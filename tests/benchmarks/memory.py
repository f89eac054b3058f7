"""The memory that a training is expected to take beside what it takes: peak of a process of its own.

python -m tests.benchmarks.memory            the default batch of 64; convnext_base takes 20 GB
python -m tests.benchmarks.memory --batch 8  on a small machine
"""

import argparse
import csv
import itertools
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

CASES: dict[str, dict[str, Any]] = {
    "convnext_mini, 64 px": {"backbone": "convnext_mini"},
    "convnext_atto, 224 px": {"backbone": "convnext_atto"},
    "convnext_tiny, 224 px": {"backbone": "convnext_tiny"},
    "convnext_base, 224 px": {"backbone": "convnext_base"},
    "vit_small_patch16_224": {"backbone": "vit_small_patch16_224"},
    "clip_mini": {"method": "clip-1-tag", "backbone": "clip_mini"},
}


def _train(root: Path, settings: dict[str, Any]) -> None:
    """Train one epoch in this process, and print what was expected and what it took."""
    from eufcc_cli.core.files import Root
    from eufcc_cli.core.training.configuration.config import TrainConfig
    from eufcc_cli.core.training.run import train_run
    from eufcc_cli.core.training.training_plan import Plan

    plans: list[Plan] = []
    config = TrainConfig(**settings, pretrained=False, epochs=1, device="cpu")
    train_run(config, Root(root), "run", overwrite=True, on_plan=plans.append)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"expected": plans[0].memory, "measured": peak, "parts": plans[0].parts}))


def shorten(table: Path, rows: int) -> None:
    """Keep only the first rows: two steps and a validation show the peak."""
    with table.open(encoding="utf-8", newline="") as file:
        kept = list(itertools.islice(csv.reader(file), rows + 1))
    with table.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(kept)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--only", default="", help="cases whose name contains this")
    options = parser.parse_args()
    print(f"{'batch ' + str(options.batch):<24}{'expected':>12}{'measured':>12}{'ratio':>8}")
    with tempfile.TemporaryDirectory() as folder:
        from eufcc_cli.core.demo import draw_collection
        from eufcc_cli.core.files import Root

        draw_collection(Root(Path(folder)), images=max(60, 4 * options.batch), seed=7)
        for split, rows in (("train", 2 * options.batch), ("val", max(16, options.batch))):
            shorten(Root(Path(folder)).table(split), rows)
        for name, settings in CASES.items():
            if options.only in name:
                arguments = [folder, json.dumps({**settings, "batch_size": options.batch})]
                command = [sys.executable, "-m", __spec__.name, "--case", *arguments]
                found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
                expected, measured = found["expected"], found["measured"]
                ratio = expected / measured
                print(
                    f"{name:<24}{expected / 1e9:>9.2f} GB{measured / 1e9:>9.2f} GB{ratio:>8.2f}", flush=True
                )
                if found["parts"]:
                    print(f"  {found['parts']}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--case"]:
        _train(Path(sys.argv[2]), json.loads(sys.argv[3]))
    else:
        main()
