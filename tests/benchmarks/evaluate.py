"""Evaluating a model against bare timm inference, on images that are already decoded, and a second time."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import timm
import torch
from PIL import Image

from eufcc_cli.core.evaluation.results import Measures, measure
from eufcc_cli.core.evaluation.scores.eval_split import read_split
from eufcc_cli.core.evaluation.scores.scoring import ModelScorer
from eufcc_cli.core.files import Root, image_stem
from eufcc_cli.core.model.checkpoint import load_model
from eufcc_cli.core.taxonomy.tables.annotation_files import write_table
from eufcc_cli.core.taxonomy.vocabulary import FacetVocabulary, Vocabulary
from tests.benchmarks.peer import Peer

BACKBONE, SIZE, BATCH, IMAGES = "convnext_atto", 224, 32, 256
TAGS = {"objectTypes": 894, "materials": 269, "classifications": 33, "subjects": 7}


def collection(folder: Path) -> Root:
    """A split of noise with three random tags per facet, and an untrained model with the published tags."""
    from eufcc_cli.core.model.backbone.network import Network, create_backbone
    from eufcc_cli.core.model.checkpoint import save_weights
    from eufcc_cli.core.model.model_files import save_config
    from eufcc_cli.core.model.preprocessing import Preprocessing
    from eufcc_cli.core.model.tagging_model import build_methods

    root, random = Root(folder), np.random.default_rng(0)
    rows = []
    for i in range(IMAGES):
        path = root.images / f"{image_stem(str(i))}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (i % 256, 0, 0)).save(path)
        tags = {f"{f}.hierarchy": " $ ".join(map(str, random.integers(n, size=3))) for f, n in TAGS.items()}
        rows.append({"idInSource": str(i), **tags})
    write_table(pd.DataFrame(rows), root.table("test_id"))
    vocabulary = Vocabulary(
        {facet: FacetVocabulary(tuple(map(str, range(n))), (-1,) * n) for facet, n in TAGS.items()}
    )
    methods = build_methods("multilabel", vocabulary)
    network = Network(create_backbone(BACKBONE), {facet: made.outputs for facet, made in methods.items()})
    save_weights(root.run("bench"), network)
    preprocessing = Preprocessing.of_backbone(network.backbone, SIZE)
    config = {"name": "bench", "method": "multilabel", "backbone": BACKBONE, "method_options": {}}
    config |= {"vocabulary": vocabulary.to_json(), "preprocessing": preprocessing.to_json()}
    save_config(root.run("bench"), config)
    return root


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def bare() -> Callable[[], object]:
    network = timm.create_model(BACKBONE, num_classes=sum(TAGS.values()))
    network.eval().to(memory_format=torch.channels_last)
    images = torch.randn(BATCH, 3, SIZE, SIZE).contiguous(memory_format=torch.channels_last)

    @torch.inference_mode()
    def infer() -> None:
        for _ in range(IMAGES // BATCH):
            network(images)

    return infer


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = collection(Path(folder))
        split = read_split(root, "test_id")
        model = load_model("bench", root, "cpu", "fp32")
        side = model.preprocessing.size
        square = np.random.default_rng(0).integers(256, size=(side, side, 3), dtype=np.uint8)

        def evaluate(keep: bool = False) -> None:
            scorer = ModelScorer(model, root, "bench", BATCH, keep=keep)
            measure(scorer, split, scorer.scores(split), Measures())

        loaded = mock.patch(
            "eufcc_cli.core.model.inference.decoding.image_queue.decode_images",
            lambda orders: [dict.fromkeys(order.wanted, square[None]) for order in orders],
        )
        peer = Peer(bare)
        peer()
        with loaded:
            floor, ours = [], []
            for _ in range(3):  # by turns, so that both meet the same neighbours
                floor.append(seconds(peer))
                ours.append(seconds(evaluate))
        peer.end()
        first, second = (seconds(lambda: evaluate(keep=True)) for _ in range(2))
    bare_rate, our_rate = IMAGES / min(floor), IMAGES / min(ours)
    ratio = our_rate / bare_rate
    print(f"{IMAGES} images of {SIZE} px, {BACKBONE}, batches of {BATCH}, {torch.get_num_threads()} threads")
    print(f"  bare timm inference                {bare_rate:7.1f} images/s")
    print(f"  evaluation, images decoded before  {our_rate:7.1f} images/s   {ratio:.3f} (floor 0.95)")
    print(f"  evaluation from files              {IMAGES / first:7.1f} images/s")
    print(f"  the same again, scores kept        {IMAGES / second:7.1f} images/s")


if __name__ == "__main__":
    main()
