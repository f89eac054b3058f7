"""What is learned in equal time: a plain timm loop, ours from scratch, heads, and fine-tuning, as one table.

R-Precision overall (mean over pairs) and the mean over tags, on the museums that were learned from and on
another one (`museum`: Cleveland and Chicago), or on held-out photographs (`clothing`); mean over the seeds.

    python -m tests.benchmarks.transfer [--quick] [--seconds 240] [--seeds 3] [--results FILE]

Every row is printed and kept in the results file as soon as it is there; the same command continues. Beside
it stands how many cores it had: equal time is equal work only where no other program takes some of them.
"""

import argparse
import itertools
import json
import math
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from eufcc_cli.core.evaluation.breakdown import per_tag
from eufcc_cli.core.evaluation.comparison import compare
from eufcc_cli.core.evaluation.results import Measures, Result
from eufcc_cli.core.evaluation.scores.eval_split import Scores, read_split
from eufcc_cli.core.evaluation.scores.scoring import ModelScorer
from eufcc_cli.core.files import Root
from eufcc_cli.core.metrics.belief import most_frequent
from eufcc_cli.core.model.backbone.bundled_weights import BUNDLED
from eufcc_cli.core.model.backbone.network import create_backbone
from eufcc_cli.core.model.checkpoint import load_model
from eufcc_cli.core.model.methods import METHODS
from eufcc_cli.core.model.model_files import read_config
from eufcc_cli.core.model.preprocessing import Preprocessing, as_images
from eufcc_cli.core.progress import SILENT
from eufcc_cli.core.taxonomy.tables.annotation_files import read_table
from eufcc_cli.core.taxonomy.vocabulary import Vocabulary, training_vocabulary
from eufcc_cli.core.training.configuration.config import TrainConfig
from eufcc_cli.core.training.configuration.usual_settings import HEAD_METHOD
from eufcc_cli.core.training.loading.data import load_split
from eufcc_cli.core.training.loop.interpolation import between
from eufcc_cli.core.training.run import train_run
from tests.museum_root import museum_root

_SIZE = 160  # pixels of all that trains the backbone
_AMOUNTS = (0.3, 0.5, 0.7)
_RUN = "bench"

Row = tuple[float, dict[str, tuple[float, float]]]
"""Seconds, and for each split R-Precision overall and its mean over tags."""


def figures(result: Result) -> tuple[float, float]:
    counts = {facet: np.zeros(len(part.tags), np.int64) for facet, part in result.facets.items()}
    tags = [row["r_precision"] for row in per_tag(result, counts) if row["support"]]
    return result.figures["overall"]["r_precision"], float(np.nanmean(tags))


def measured(source: object, root: Root) -> dict[str, tuple[float, float]]:
    splits = [read_split(root, name) for name in root.splits() if name.startswith("test")]
    comparison = compare([source], splits, root, measures=Measures(details=True))  # type: ignore[list-item]
    assert comparison is not None
    return {result.split.name: figures(result) for result in comparison.results}


def ours(root: Root, seed: int, **settings: object) -> Row:
    shutil.rmtree(root.run(_RUN), ignore_errors=True)
    shutil.rmtree(root.data / "features", ignore_errors=True)  # each row pays for its features
    began = time.perf_counter()
    train_run(TrainConfig(device="cpu", seed=seed, **settings), root, _RUN)  # type: ignore[arg-type]
    seconds = time.perf_counter() - began
    model = load_model(_RUN, root, "cpu", "fp32")
    return seconds, measured(ModelScorer(model, root, _RUN, keep=False), root)


class Plain:
    """A network with one layer for all tags, as the plain loop trains it, as a source of scores."""

    name, method = "timm", "multilabel"

    def __init__(
        self, network: nn.Module, preprocessing: Preprocessing, words: Vocabulary, root: Root
    ) -> None:
        self.network, self.preprocessing, self.vocabulary, self.root = network, preprocessing, words, root

    def scores(self, split, progress=SILENT) -> Scores:
        part = load_split(self.root, split.name, self.vocabulary)
        row_of = {image: row for row, image in enumerate(split.ids)}
        rows = np.array([row_of[image] for image in part.frame["idInSource"]])
        self.network.eval()
        tables = []
        with torch.inference_mode():
            for start in range(0, len(part), 64):
                squares = np.stack([self.preprocessing.load(file) for file in part.files[start : start + 64]])
                images = self.preprocessing.normalise(self.preprocessing.middle(as_images(squares)))
                tables.append(nn.functional.logsigmoid(self.network(images)))
        sizes = [len(tags) for tags in self.vocabulary.facets.values()]
        parts = torch.cat(tables).split(sizes, 1)
        return Scores(rows, {f: t.numpy() for f, t in zip(self.vocabulary.facets, parts, strict=True)})


def plain_loop(root: Root, seed: int, seconds: float) -> Row:
    """AdamW 3e-4, cosine, binary cross-entropy of the annotated facets, random resized crops and flips."""
    from torchvision.transforms import v2

    torch.manual_seed(seed)
    words = training_vocabulary(root, read_table(root.table("train")))
    split = load_split(root, "train", words)
    backbone = create_backbone(BUNDLED, pretrained=True)
    preprocessing = Preprocessing.of_backbone(backbone, _SIZE)
    count = sum(len(tags) for tags in words.facets.values())
    network = nn.Sequential(backbone, nn.Linear(backbone.num_features, count))
    began = time.perf_counter()
    squares = as_images(np.stack([preprocessing.load(file) for file in split.files]))
    truth = torch.cat(list(split.truth(np.arange(len(split))).values()), 1).float()
    known = torch.cat(
        [t.any(1, keepdim=True).expand_as(t) for t in split.truth(np.arange(len(split))).values()], 1
    )
    vary = v2.Compose([v2.RandomResizedCrop(_SIZE, (0.35, 1.0), antialias=True), v2.RandomHorizontalFlip()])
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-4, weight_decay=0.05)
    network.train()
    while (spent := time.perf_counter() - began) < seconds:
        for group in optimizer.param_groups:
            group["lr"] = 3e-4 * 0.5 * (1 + np.cos(np.pi * spent / seconds))
        rows = torch.randperm(len(split))[:32]
        images = preprocessing.normalise(torch.stack([vary(squares[row]) for row in rows]))
        losses = nn.functional.binary_cross_entropy_with_logits(
            network(images), truth[rows], reduction="none"
        )
        optimizer.zero_grad()
        losses[known[rows]].mean().backward()
        optimizer.step()
    return time.perf_counter() - began, measured(Plain(network, preprocessing, words, root), root)


def frequent(root: Root, seed: int) -> Row:
    words = training_vocabulary(root, read_table(root.table("train")))
    counts = {facet: t.counts() for facet, t in load_split(root, "train", words).targets.items()}
    found = {}
    for name in root.splits():
        if name.startswith("test"):
            targets = load_split(root, name, words).targets
            pairs = {f: int(t.annotated.sum()) for f, t in targets.items() if t.annotated.any()}
            values = {f: most_frequent(counts[f], targets[f].dense(slice(None))) for f in pairs}
            found[name] = (sum(values[f] * pairs[f] for f in pairs) / sum(pairs.values()), float("nan"))
    return 0.0, found


def head_then_full(root: Root, seed: int, seconds: float) -> dict[str, Row]:
    """One training, and weights between its start and its end, as `--interpolate A` leaves them.

    Without `--interpolate` a model is the end, or its start where that is better on val by a standard error.
    """
    own = {"backbone": BUNDLED, "image_size": _SIZE, "tune": "head-then-full", "time_budget": seconds}
    spent, at_end = ours(root, seed, interpolate="1", **own)
    val = read_config(root.run(_RUN))["validation"]["overall"]["r_precision"]
    end = load_model(_RUN, root, "cpu", "fp32")
    end.folder = None  # its weights are not those of the folder any more
    weights = {name: tensor.clone() for name, tensor in end.network.state_dict().items()}
    heads = {"backbone": BUNDLED, "image_size": _SIZE, "tune": "head", "all_stages": False}
    _, at_start = ours(root, seed, **heads)
    start = load_model(_RUN, root, "cpu", "fp32").network.state_dict()
    before = read_config(root.run(_RUN))["validation"]["overall"]
    margin = math.sqrt(before["r_precision"] * (1 - before["r_precision"]) / before["pairs"])
    kept = at_end if val > before["r_precision"] - margin else at_start
    made = {"train --tune head-then-full": (spent, kept)}
    for a in _AMOUNTS:
        end.network.load_state_dict(between(start, weights, a))
        figures = measured(ModelScorer(end, root, _RUN, keep=False), root)
        made[f"the same --interpolate {a:g}"] = (spent, figures)
    return {**made, "the same --interpolate 1": (spent, at_end)}


def rows(seconds: float, quick: bool) -> dict[str, Callable[[Root, int], dict[str, Row]]]:
    """What a row's name stands for: a function of root and seed that makes it, and maybe others after it."""
    vision = [name for name, method in METHODS.items() if not method.reads_texts]
    heads = [HEAD_METHOD] if quick else vision
    full = {"backbone": BUNDLED, "image_size": _SIZE, "time_budget": seconds, "tune": "full"}
    scratch = {"pretrained": False, "backbone": "convnext_mini", "image_size": 64, "time_budget": seconds}
    one: dict[str, Callable[[Root, int], Row]] = {
        "always the most frequent tags": frequent,
        **{
            f"train --tune head --method {name}": lambda root, seed, name=name: ours(
                root, seed, tune="head", backbone=BUNDLED, method=name
            )
            for name in heads
        },
        f"train --tune head, {_SIZE} px": lambda root, seed: ours(
            root, seed, tune="head", backbone=BUNDLED, image_size=_SIZE
        ),
        "plain timm loop": lambda root, seed: plain_loop(root, seed, seconds),
        "train --tune full": lambda root, seed: ours(root, seed, method=HEAD_METHOD, **full),
    }
    last: dict[str, Callable[[Root, int], Row]] = {
        "train --no-pretrained, convnext_mini, 64 px": lambda root, seed: ours(root, seed, **scratch)
    }
    return {
        **{name: lambda root, seed, name=name, run=run: {name: run(root, seed)} for name, run in one.items()},
        "train --tune head-then-full": lambda root, seed: head_then_full(root, seed, seconds),
        **{
            name: lambda root, seed, name=name, run=run: {name: run(root, seed)} for name, run in last.items()
        },
    }


class Results:
    """Rows by collection, name, seed and time, kept in a file: what it has is not computed again."""

    def __init__(self, path: Path, seconds: float) -> None:
        self.path, self.seconds = path, seconds
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        lines = [json.loads(line) for line in text.splitlines() if line.endswith("}")]
        self.found = {(one["data"], one["row"], one["seed"], one["seconds"]): one for one in lines}

    def has(self, data: str, row: str, seed: int) -> bool:
        return (data, row, seed, self.seconds) in self.found

    def add(self, data: str, row: str, seed: int, made: Row, cores: float) -> None:
        spent, figures = made
        one = {"data": data, "row": row, "seed": seed, "seconds": self.seconds}
        one |= {"spent": spent, "cores": round(cores, 2), "figures": figures}
        self.found[data, row, seed, self.seconds] = one
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(one) + "\n")
        print(f"{data}, seed {seed}, {cores:.2f} cores: {_cells(row, [one])}", flush=True)

    def table(self, data: str) -> None:
        """Every row with the mean over its seeds."""
        mine = [one for key, one in self.found.items() if key[0] == data and key[3] == self.seconds]
        if not mine:
            return
        splits = list(mine[0]["figures"])
        print(f"\n| {data} | seeds | seconds | {' | '.join(f'{one} | tags' for one in splits)} |")
        print("|---|--:|--:|" + "--:|--:|" * len(splits))
        for row in dict.fromkeys(one["row"] for one in mine):
            print(_cells(row, [one for one in mine if one["row"] == row]), flush=True)


def _cells(row: str, seeds: list[dict[str, Any]]) -> str:
    figures = [
        f"{np.mean([one['figures'][split][place] for one in seeds]):.3f}"
        for split in seeds[0]["figures"]
        for place in (0, 1)
    ]
    spent = np.mean([one["spent"] for one in seeds])
    return f"| {row} | {len(seeds)} | {spent:.0f} | {' | '.join(figures)} |"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--quick", action="store_true", help="one seed, one method, 20 seconds")
    options.add_argument("--seconds", type=float, default=240.0, help="of every training but that of heads")
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--only", help="rows whose names have this word")
    options.add_argument("--collections", nargs="+", default=["museum", "clothing"])
    options.add_argument("--results", type=Path, default=Path("build/transfer.jsonl"), help="continued")
    options.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[3] / "shared" / "data")
    given, _ = options.parse_known_args()
    seconds, seeds = (20.0, 1) if given.quick else (given.seconds, given.seeds)
    if not (given.data / "museum").is_dir():
        print(f"no photographs in {given.data}")
        return
    given.results.parent.mkdir(parents=True, exist_ok=True)
    results = Results(given.results, seconds)
    with tempfile.TemporaryDirectory() as temporary:
        museum = museum_root(given.data, Path(temporary) / "museum")
        clothing = Root(Path(temporary) / "clothing")
        shutil.copytree(given.data / "clothing", clothing.path)
        roots = {"museum": museum, "clothing": clothing}
        for seed, data in itertools.product(range(seeds), given.collections):
            for row, run in rows(seconds, given.quick).items():
                if (given.only or "") in row and not results.has(data, row, seed):
                    began, busy = time.perf_counter(), time.process_time()
                    made = run(roots[data], seed)
                    cores = (time.process_time() - busy) / (time.perf_counter() - began)
                    for name, one in made.items():
                        results.add(data, name, seed, one, cores)
    for data in given.collections:
        results.table(data)


if __name__ == "__main__":
    main()
