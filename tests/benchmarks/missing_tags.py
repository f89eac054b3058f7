"""Heads learned from annotations of which half of the tags were deleted: which loss bears that best.

Every annotated path loses a random number of its levels, from none to all, so that half of the tags go:
facets become empty, paths stop early, in train and in val. Tests keep all their tags. The losses that were
made for missing tags, and do not win, stand in this file alone. R-Precision, mean over the seeds.

    python -m tests.benchmarks.missing_tags [--seeds 3] [--images 1600] [--methods …] [--data ../shared/data]
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from eufcc_cli.core.demo import draw_collection
from eufcc_cli.core.files import Root
from eufcc_cli.core.model.backbone.bundled_weights import BUNDLED
from eufcc_cli.core.model.backbone.network import Network, create_backbone
from eufcc_cli.core.model.features import FeatureStore
from eufcc_cli.core.model.methods import METHODS, Multilabel, register_method
from eufcc_cli.core.model.preprocessing import Preprocessing
from eufcc_cli.core.model.tagging_model import TaggingModel, build_methods
from eufcc_cli.core.progress import SILENT
from eufcc_cli.core.settings import settings_of
from eufcc_cli.core.taxonomy.tables.annotation_files import read_table
from eufcc_cli.core.taxonomy.tables.annotations import FACETS, facet_column
from eufcc_cli.core.taxonomy.vocabulary import Vocabulary, training_vocabulary
from eufcc_cli.core.training.configuration.usual_settings import HEAD_VIEWS
from eufcc_cli.core.training.heads.head import fit_heads
from eufcc_cli.core.training.heads.head_run import collect_features
from eufcc_cli.core.training.heads.head_scores import Part, measure_heads
from eufcc_cli.core.training.loading.data import Split, load_split
from tests.museum_root import museum_root


@register_method("bench-hill")
class Hill(Multilabel):
    """Hill loss (Zhang et al. 2021, and their published code).

    Negatives: (lambda - p) p^2; positives: focal cross-entropy of the logit less a margin.
    """

    def tag_losses(self, z: Tensor, truth: Tensor) -> Tensor:
        p, with_margin = torch.sigmoid(z), z - 1.0
        positive = -((1 - torch.sigmoid(with_margin)) ** 2) * logsigmoid(with_margin)
        return torch.where(truth, positive, (1.5 - p) * p**2)


@register_method("bench-hill-plain")
class PlainHill(Multilabel):
    """Hill's negatives, and positives by cross-entropy."""

    def tag_losses(self, z: Tensor, truth: Tensor) -> Tensor:
        p = torch.sigmoid(z)
        return torch.where(truth, -logsigmoid(z), (1.5 - p) * p**2)


@register_method("bench-splc")
class Splc(Multilabel):
    """SPLC (the same paper and code): later on, confident negatives count as positives."""

    def prepare(self, vocabulary: Any, tag_counts: Any) -> None:
        super().prepare(vocabulary, tag_counts)
        self.corrects = False

    def tag_losses(self, z: Tensor, truth: Tensor) -> Tensor:
        z = torch.where(truth, z - 1.0, z)
        if self.corrects:
            truth = truth | (torch.sigmoid(z.detach()) > 0.6)
        right = torch.where(truth, z, -z)
        return -((1 - torch.sigmoid(right)) ** 2) * logsigmoid(right)


def half_deleted(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The same annotations with a random number of levels of every path left, from none to all."""
    random = np.random.default_rng(seed)
    frame = frame.copy()
    for column in map(facet_column, FACETS):
        cells = []
        for cell in frame[column]:
            paths = []
            for path in filter(None, cell.split(" $ ")):
                names = path.split(" | ")
                if left := random.integers(0, len(names) + 1):
                    paths.append(" | ".join(names[:left]))
            cells.append(" $ ".join(dict.fromkeys(paths)))
        frame[column] = cells
    return frame


def features_of(root: Root, words: Vocabulary) -> dict[str, tuple[Split, Any]]:
    """All splits with the features of their images."""
    methods = build_methods("softmax", words)
    network = Network(create_backbone(BUNDLED, pretrained=True), {f: m.outputs for f, m in methods.items()})
    preprocessing = Preprocessing.of_backbone(network.backbone, None).with_views(HEAD_VIEWS)
    model = TaggingModel("bench", "softmax", words, network.eval(), methods, preprocessing)
    model.store = FeatureStore.of(root, network, preprocessing, torch.float32, limit=20)
    found = {}
    for name in root.splits():
        split = load_split(root, name, words)
        digests, bad = collect_features(model, split.files, name, SILENT, None)
        assert not bad
        found[name] = (split, model.store.table(digests))
    return found


def one(
    row: str, words: Vocabulary, parts: dict[str, tuple[Split, Any]], change: Callable[[Any], Any]
) -> list[float]:
    """R-Precision on each test split of heads learned from what `change` leaves of the annotations."""
    name, *options = row.split()
    settings = {option.removeprefix("--").replace("-", "_"): True for option in options}
    data = {}
    for split_name, (split, features) in parts.items():
        test = split_name.startswith("test")
        data[split_name] = Part(features, split.targets if test else words.encode(change(split.frame)))
    counts = {facet: t.counts() for facet, t in data["train"].targets.items()}
    methods = {f: METHODS[name].for_facet(tags, counts[f], **settings) for f, tags in words.facets.items()}
    priors = {
        f: made.prior_bias(counts[f], int(data["train"].targets[f].annotated.sum()))
        for f, made in methods.items()
    }

    def later(row: dict[str, Any]) -> None:
        for made in methods.values():
            if hasattr(made, "corrects"):
                made.corrects = True

    fitted = fit_heads(data["train"], data["val"], methods, priors, on_strength=later)
    tests = [name for name in data if name.startswith("test")]
    return [measure_heads(fitted.heads, data[name], methods)["overall"]["r_precision"] for name in tests]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--images", type=int, default=1600)
    options.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[3] / "shared" / "data")
    options.add_argument("--methods", nargs="*", help="only these")
    given, _ = options.parse_known_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        drawn = Root(Path(temporary) / "drawn")
        draw_collection(drawn, images=given.images)
        roots = {"drawn": drawn}
        if (given.data / "museum").is_dir():
            roots["museum"] = museum_root(given.data, Path(temporary) / "museum")
        names = given.methods or [*_rows()]
        for title, root in roots.items():
            words = training_vocabulary(root, read_table(root.table("train")))
            parts = features_of(root, words)
            print(f"\n{title}: R-Precision on {', '.join(n for n in parts if n.startswith('test'))}")
            print(
                f"{'multilabel, nothing deleted':34}", _shown([one("multilabel", words, parts, lambda f: f)])
            )
            for name in names:
                found = [
                    one(name, words, parts, lambda frame, s=seed: half_deleted(frame, s))
                    for seed in range(given.seeds)
                ]
                print(f"{name:45}", _shown(found), flush=True)


def _rows() -> Iterator[str]:
    """Every vision method, and where it has that, with the option made for missing tags."""
    for name, made in METHODS.items():
        if not made.reads_texts:
            yield name
            if "deeper_unknown" in settings_of(made):
                yield f"{name} --deeper-unknown"


def _shown(found: list[list[float]]) -> str:
    table = np.array(found)
    return "   ".join(f"{m:.3f} ± {d:.3f}" for m, d in zip(table.mean(0), table.std(0), strict=True))


if __name__ == "__main__":
    main()
