"""CLIP models as they are published, for the tags of a collection root: no training at all."""

from pathlib import Path

import torch

from eufcc_cli.core.errors import DataError
from eufcc_cli.core.files import Root
from eufcc_cli.core.machine import select_device, select_precision
from eufcc_cli.core.model.clip.clip_network import ClipNetwork
from eufcc_cli.core.model.clip.prompts import TextOptions, Wording
from eufcc_cli.core.model.clip.towers import clip_preprocessing, clip_tokenizer, create_clip
from eufcc_cli.core.model.tagging_model import CLIP, TaggingModel, build_methods, keep_embeddings
from eufcc_cli.core.taxonomy.annotations import read_table
from eufcc_cli.core.taxonomy.hierarchy import root_trees
from eufcc_cli.core.taxonomy.vocabulary import Vocabulary, training_vocabulary


def zero_shot_model(
    spec: str,
    root: Root,
    device: str = "auto",
    precision: str = "auto",
    weights: Path | None = None,
    texts: TextOptions = TextOptions(),
) -> TaggingModel:
    """The model `clip:NAME` (see `create_clip` for its names), ready to score the root's tags."""
    name = spec.removeprefix(CLIP)
    target = select_device(device)
    vocabulary = root_vocabulary(root)
    wording = texts.wording(Wording(), vocabulary)
    vocabulary = texts.vocabulary(vocabulary)
    clip, architecture = create_clip(name, weights=weights)
    network = ClipNetwork(clip, clip_tokenizer(name, architecture), wording.texts(vocabulary))
    methods = build_methods("softmax", vocabulary)
    model = TaggingModel(
        name=spec,
        method="clip-zero-shot",
        vocabulary=vocabulary,
        network=network.to(target).to(memory_format=torch.channels_last).eval(),
        methods={facet: method.to(target) for facet, method in methods.items()},
        preprocessing=clip_preprocessing(clip),
        config={"backbone": name, "clip": architecture, "method_options": wording.to_json()},
        precision=select_precision(precision, target, inference=True),
    )
    keep_embeddings(model, root)
    return model


def root_vocabulary(root: Root) -> Vocabulary:
    """The tags that a model trained in the root would have; without a training split those of its label
    files, or of all its tables."""
    if root.table("train").is_file():
        return training_vocabulary(root, read_table(root.table("train")))
    vocabulary = Vocabulary.from_trees(root_trees(root))
    if not vocabulary.facets:
        raise DataError(
            f"{root.labels}: no label files, and no tables in {root.data}: which tags are to be scored?",
            hint=f"run `eufcc --root {root.path} fetch` first, or give the `root` that has them",
        )
    return vocabulary
