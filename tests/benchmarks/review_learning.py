"""What reviewed suggestions teach: a model of a tenth of the annotations, then 200 images reviewed.

    python -m tests.benchmarks review_learning

The reviewer is simulated: a suggestion is accepted where the annotations have it and rejected where they do
not; facets that the annotations leave empty stay undecided. "and added": terms that were not suggested are
added as well. Compared with the same 200 images fully annotated.
EUFCC_DEMO=ROOT copies a drawn collection, with the features that it holds, instead of drawing one.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from eufcc_cli.core.download.image_locations import find_images
from eufcc_cli.core.files import Root
from eufcc_cli.core.metrics.calibration import Coherence
from eufcc_cli.core.model.checkpoint import load_model
from eufcc_cli.core.model.features import FeatureStore
from eufcc_cli.core.model.tagging_model import TaggingModel
from eufcc_cli.core.progress import SILENT
from eufcc_cli.core.tagging.tagger import calibration_of
from eufcc_cli.core.taxonomy.decisions import ACCEPTED, ADDED, REJECTED, Decision, DecisionsFile, now
from eufcc_cli.core.taxonomy.tables.annotation_files import read_table, write_table
from eufcc_cli.core.taxonomy.tables.annotations import ID, facet_column, names
from eufcc_cli.core.training.configuration.config import TrainConfig
from eufcc_cli.core.training.heads.head_run import collect_features
from eufcc_cli.core.training.heads.head_scores import Part, measure_heads, score_heads
from eufcc_cli.core.training.run import train_run
from tests.benchmarks.suspects import drawn_root

SEEDS = (0, 1, 2)
REVIEWED = 200
THRESHOLD = 0.2
SPLITS = ("test_id", "test_ood")


def part_of(model: TaggingModel, root: Root, frame: pd.DataFrame) -> Part:
    """What the model's backbone sees of a table's images, and their annotations."""
    files = find_images(root, frame[ID].tolist())
    model.store = FeatureStore.of(root, model.network, model.preprocessing, model.precision, limit=20)
    digests, bad = collect_features(model, [files[one] for one in frame[ID]], "images", SILENT, None)
    assert not bad
    return Part(model.store.table(digests), model.vocabulary.encode(frame))


def heads_of(model: TaggingModel) -> dict:
    model.network.eval().requires_grad_(False)
    return {facet: (head.weight, head.bias) for facet, head in model.network.heads.items()}


def r_precision(root: Root, run: str) -> list[float]:
    """On test_id and test_ood."""
    model = load_model(run, root, "cpu")
    parts = [part_of(model, root, read_table(root.table(split))) for split in SPLITS]
    return [measure_heads(heads_of(model), part, model.methods)["overall"]["r_precision"] for part in parts]


def decisions(root: Root, run: str, frame: pd.DataFrame) -> Iterator[Decision]:
    """What a reviewer decides about a model's suggestions for a table's images."""
    model = load_model(run, root, "cpu")
    calibration, part = calibration_of(model), part_of(model, root, frame)
    for rows, scores in score_heads(heads_of(model), part.features, model.methods):
        for facet, table in scores.items():
            tags = model.vocabulary.facets[facet]
            coherent = Coherence(tags)(table.numpy())
            p = calibration.facets[facet].probabilities(coherent) if calibration else np.exp(coherent)
            for row, chances in zip(rows, p, strict=True):
                image, cell = frame[ID].iloc[row], frame[facet_column(facet)].iloc[row]
                about = {"time": now(), "reviewer": "truth", "image": image, "id": image, "facet": facet}
                true = names(cell)
                if not true:
                    continue
                for tag, score in zip(tags.tags, chances.tolist(), strict=True):
                    if score >= THRESHOLD:
                        verdict = ACCEPTED if tag in true else REJECTED
                        yield Decision(**about, tag=tag, verdict=verdict, score=score)
                    elif tag in true:
                        yield Decision(**about, tag=tag, verdict=ADDED)


def trial(root: Root, everything: pd.DataFrame, seed: int) -> dict[str, list[float]]:
    """R-Precision on both test splits for each way to go on."""
    order = np.random.default_rng(seed).permutation(len(everything))
    tenth, rest = everything.iloc[order[: len(order) // 10]], everything.iloc[order[len(order) // 10 :]]
    some = rest.iloc[:REVIEWED].reset_index(drop=True)
    write_table(tenth, root.table("train"))

    def train(name: str, *files: Path) -> list[float]:
        config = TrainConfig(tune="head", device="cpu")
        train_run(config, root, name, overwrite=True, decisions=files)
        return r_precision(root, name)

    found = {"a tenth of the annotations": train("first")}
    made = list(decisions(root, "first", some))
    verdicts = [one.verdict for one in made]
    print(f"seed {seed}: {[(v, verdicts.count(v)) for v in (ACCEPTED, REJECTED, ADDED)]}", flush=True)
    for name, kept in (
        ("+ accepted", (ACCEPTED,)),
        ("+ accepted and rejected", (ACCEPTED, REJECTED)),
        ("+ accepted and added", (ACCEPTED, ADDED)),
        ("+ accepted, rejected and added", (ACCEPTED, REJECTED, ADDED)),
    ):
        file = root.path / f"{len(found)}.decisions.jsonl"
        DecisionsFile(file).append(one for one in made if one.verdict in kept)
        found[name] = train("second", file)
        file.unlink()
    write_table(pd.concat([tenth, some], ignore_index=True), root.table("train"))
    found[f"+ {REVIEWED} annotated images"] = train("annotated")
    return found


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = drawn_root(Path(folder) / "root")
        everything = read_table(root.table("train"))
        trials = [trial(root, everything, seed) for seed in SEEDS]
    print(f"{'':34}{SPLITS[0]:>12}{SPLITS[1]:>12}   R-Precision, mean of {len(SEEDS)} draws (gains)")
    first = np.mean([next(iter(one.values())) for one in trials], axis=0)
    for name in trials[0]:
        mean = np.mean([one[name] for one in trials], axis=0)
        print(f"{name:34}" + "".join(f"{m:7.3f}{m - f:+6.3f}" for m, f in zip(mean, first, strict=True)))


if __name__ == "__main__":
    main()
