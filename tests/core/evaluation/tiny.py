"""A collection root of a few drawn images, and models with random weights: enough to evaluate for real."""

import random
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from eufcc_cli.core.evaluation.scores.eval_split import Scores
from eufcc_cli.core.files import Root, image_stem
from eufcc_cli.core.model.backbone.network import Network, create_backbone
from eufcc_cli.core.model.checkpoint import save_weights
from eufcc_cli.core.model.model_files import save_config
from eufcc_cli.core.model.preprocessing import Preprocessing
from eufcc_cli.core.model.tagging_model import build_methods
from eufcc_cli.core.progress import SILENT
from eufcc_cli.core.taxonomy.hierarchy import build_trees
from eufcc_cli.core.taxonomy.tables.annotation_files import read_table, write_table
from eufcc_cli.core.taxonomy.tables.annotations import FACETS
from eufcc_cli.core.taxonomy.vocabulary import Vocabulary

PATHS = {
    "objectTypes": [
        "vessel | vase",
        "vessel | bowl",
        "vessel",
        "furniture | seat | chair",
        "furniture | table",
    ],
    "materials": ["metal | bronze", "metal | silver", "metal", "wood", "textile | silk"],
}
SIZES = {"train": 60, "val": 20, "test_id": 24, "test_ood": 12}


def make_root(folder: Path, seed: int = 0) -> Root:
    """Tables, drawn images and label files of 116 images by four providers."""
    root, draw = Root(folder), random.Random(seed)
    for split, size in SIZES.items():
        rows = []
        for i in range(size):
            image_id = f"{split}.{i}"
            annotated = {
                facet: draw.sample(paths, draw.choice([0, 1, 1, 2])) for facet, paths in PATHS.items()
            }
            if i == 0:
                annotated = {}
            rows.append(
                {"idInSource": image_id, "#portraitMedia.original": f"http://localhost/{image_id}.png"}
                | {"repository.keeper": f"museum {draw.randrange(4)}", "database": "drawn"}
                | {f"{facet}.hierarchy": " $ ".join(annotated.get(facet, [])) for facet in FACETS}
            )
            path = root.images / f"{image_stem(image_id)}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            colour = tuple(draw.randrange(256) for _ in range(3))
            image = Image.new("RGB", (40, 36), colour)
            image.paste(
                tuple(255 - value for value in colour), (draw.randrange(20), draw.randrange(18), 30, 30)
            )
            image.save(path)
        root.table(split).parent.mkdir(parents=True, exist_ok=True)
        write_table(pd.DataFrame(rows), root.table(split))
    for facet, tree in build_trees([read_table(root.table("train"))]).items():
        tree.write(root.label_file(facet))
    return root


def vocabulary(root: Root) -> Vocabulary:
    """The vocabulary of the facets that are annotated."""
    return Vocabulary.from_trees(build_trees([read_table(root.table("train"))], PATHS))


def save_model(
    root: Root, name: str, method: str = "multilabel", seed: int = 0, tags: Vocabulary | None = None
):
    """A model with random weights, saved as `train` saves one."""
    torch.manual_seed(seed)
    tags = tags or vocabulary(root)
    methods = build_methods(method, tags)
    network = Network(create_backbone("test_convnext3"), {f: m.outputs for f, m in methods.items()})
    for head in network.heads.values():
        torch.nn.init.normal_(head.weight)
    save_weights(root.run(name), network)
    preprocessing = Preprocessing.of_backbone(network.backbone, 32)
    config = {"name": name, "method": method, "backbone": "test_convnext3", "method_options": {}}
    config |= {"vocabulary": tags.to_json(), "preprocessing": preprocessing.to_json()}
    save_config(root.run(name), config)


class Given:
    """A source of scores that are simply given: {split: {facet: table of all rows}}."""

    def __init__(self, name, vocabulary, tables, method="given", without=()):
        self.name, self.method, self.vocabulary = name, method, vocabulary
        self.tables, self.without = tables, set(without)

    def scores(self, split, progress=SILENT):
        rows = np.array([row for row, image_id in enumerate(split.ids) if image_id not in self.without])
        facets = {facet: table[rows] for facet, table in self.tables[split.name].items()}
        return Scores(rows, facets, tuple(sorted(self.without)))


def random_source(root, name, seed=0, *, decimals=1, splits=("test_id", "test_ood", "val"), **options):
    """Random log-scores for every image of some splits, rounded so that many tie."""
    tags, random = vocabulary(root), np.random.default_rng(seed)
    tables = {
        split: {
            facet: -random.exponential(2, (SIZES[split], len(known))).round(decimals).astype(np.float32)
            for facet, known in tags.facets.items()
        }
        for split in splits
    }
    return Given(name, tags, tables, **options)
