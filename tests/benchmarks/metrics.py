"""The ranking metrics against torchmetrics and scikit-learn on the same arrays, in time and in memory."""

import subprocess
import sys
import time
from pathlib import Path

import torch

IMAGES, TAGS, TRUE = 30_000, 1_203, 6


def arrays() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Scores [images, tags], and the rows and columns of about six true tags per image."""
    random = torch.Generator().manual_seed(0)
    scores = torch.randn(IMAGES, TAGS, generator=random)
    flat = torch.randint(TAGS, (IMAGES, TRUE), generator=random) + TAGS * torch.arange(IMAGES)[:, None]
    flat = flat.flatten().unique()
    return scores, flat // TAGS, flat % TAGS


def ours(scores: torch.Tensor, row: torch.Tensor, column: torch.Tensor) -> float:
    from eufcc_cli.core.metrics.ranking import rank_metrics_of, ranks

    return rank_metrics_of(ranks(scores, row, column), IMAGES)["r_precision"].mean().item()


def seconds(work, repeat: int = 1) -> float:
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def held(name: str) -> int:
    """Bytes this process holds (VmRSS), or held at most since the last reset (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(name))) * 1024


def main() -> None:
    from sklearn.metrics import label_ranking_average_precision_score
    from torchmetrics.retrieval import RetrievalRPrecision

    from eufcc_cli.core.metrics.ranking import rank_metrics

    scores, row, column = arrays()
    truth = torch.zeros(IMAGES, TAGS, dtype=torch.bool)
    truth[row, column] = True
    # torchmetrics counts R-Precision over the queries in another way only where scores tie: none does here.
    peer = RetrievalRPrecision()
    queries = torch.arange(IMAGES).repeat_interleave(TAGS)
    found = []
    peers = {
        "torchmetrics R-Precision": lambda: found.append(
            peer(scores.flatten(), truth.flatten(), indexes=queries).item()
        ),
        "scikit-learn LRAP": lambda: label_ranking_average_precision_score(truth.numpy(), scores.numpy()),
    }
    times = {name: seconds(work) for name, work in peers.items()}
    assert abs(found[0] - ours(scores, row, column)) < 1e-4, "the peers measure the same thing"
    mine = seconds(lambda: ours(scores, row, column), 5)
    dense = seconds(lambda: rank_metrics(scores, truth), 3)
    both = sum(times.values())
    print(f"{IMAGES:,} images x {TAGS:,} tags, {len(row) / IMAGES:.1f} true tags per pair")
    for name, value in times.items():
        print(f"  {name:<42} {value:7.2f} s")
    print(f"  {'all four metrics, true tags as numbers':<42} {mine:7.2f} s   {both / mine:6.0f} x (floor 20)")
    print(f"  {'all four metrics, true tags as a bool table':<42} {dense:7.2f} s   {both / dense:6.0f} x")
    ratio = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.metrics"], capture_output=True, text=True, check=True
    ).stdout
    print(f"  peak memory over that of the scores {float(ratio):.2f} (ceiling 1.20)")


def memory() -> float:
    """Peak memory of scores, true tags and all four metrics, over that of the scores: in a fresh process."""
    ours(torch.randn(IMAGES, 4), torch.arange(IMAGES), torch.zeros(IMAGES, dtype=torch.int64))
    before = held("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak of the imports
    scores, row, column = arrays()
    ours(scores, row, column)
    return (held("VmHWM") - before) / (scores.numel() * scores.element_size())


if __name__ == "__main__":
    print(memory())
