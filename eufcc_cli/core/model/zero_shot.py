"""CLIP models as they are published, for the tags of a collection root or EUFCC-340K: no training at all."""

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch

from eufcc_cli.core.devices import select_device, select_precision
from eufcc_cli.core.files import Root
from eufcc_cli.core.model.clip.clip_network import ClipNetwork
from eufcc_cli.core.model.clip.prompts import TextOptions, Wording, english_names
from eufcc_cli.core.model.clip.towers import clip_preprocessing, clip_tokenizer, create_clip
from eufcc_cli.core.model.model_files import CLIP
from eufcc_cli.core.model.tagging_model import TaggingModel, build_methods, keep_embeddings
from eufcc_cli.core.taxonomy.hierarchy import root_trees
from eufcc_cli.core.taxonomy.names import glossary_trees
from eufcc_cli.core.taxonomy.tables.annotation_files import read_table
from eufcc_cli.core.taxonomy.vocabulary import Vocabulary, training_vocabulary

DEFAULT = "clip:ViT-B-32-256/datacomp_s34b_b86k"
"""What tags images where nothing is trained: CLIP ViT-B/32 at 256 px, trained on DataComp-1B
(Gadre et al. 2023), the best published zero-shot accuracy among the models of its speed."""
DEFAULT_LICENCE = "MIT"
DEFAULT_MEGABYTES = 605
ZERO_SHOT = "clip-zero-shot"
"""The method of a model that nothing was trained for."""


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
    wording = texts.wording(Wording(names=english_names(vocabulary, root)), vocabulary, root)
    vocabulary = texts.vocabulary(vocabulary)
    clip, architecture = create_clip(name, weights=weights)
    network = ClipNetwork(clip, clip_tokenizer(name, architecture), wording.texts(vocabulary))
    methods = build_methods("softmax", vocabulary)
    model = TaggingModel(
        name=spec,
        method=ZERO_SHOT,
        vocabulary=vocabulary,
        network=network.to(target).to(memory_format=torch.channels_last).eval(),
        methods={facet: method.to(target) for facet, method in methods.items()},
        preprocessing=clip_preprocessing(clip),
        config={"backbone": name, "clip": architecture, "method_options": wording.to_json()},
        precision=select_precision(precision, target, inference=True),
    )
    keep_embeddings(model, root)
    _add_calibration(model, root)
    return model


def calibration_file(model: TaggingModel, root: Root) -> Path:
    """Where the calibration of a model without a folder is kept, by what decides its scores."""
    return root.runs / ".calibrations" / f"{model.digest}.json"


def _add_calibration(model: TaggingModel, root: Root) -> None:
    """Give a model the calibration that a root keeps for it; without one, its scores are CLIP's own."""
    model.config.pop("calibration", None)
    with suppress(OSError, ValueError):
        model.config["calibration"] = json.loads(calibration_file(model, root).read_text(encoding="utf-8"))


def with_names(model: TaggingModel, names: str, root: Root) -> TaggingModel:
    """A CLIP model that reads other names of its tags (see `text_names`); it shares the model's weights.

    Raises DataError for names that cannot be used.
    """
    wording = Wording.from_json(model.config["method_options"])
    wording = TextOptions(names=names).wording(wording, model.vocabulary, root)
    network = cast(ClipNetwork, model.network)
    other = ClipNetwork(network.clip, network.tokenizer, wording.texts(model.vocabulary))
    made = replace(
        model,
        name=f"{model.name}, {names}",
        network=other.eval(),
        config={**model.config, "method_options": {**model.config["method_options"], **wording.to_json()}},
    )
    keep_embeddings(made, root)
    _add_calibration(made, root)
    return made


def root_vocabulary(root: Root) -> Vocabulary:
    """The tags that a model trained in the root would have.

    Without a training split they are those of its label files, else those of all its tables, else those of
    EUFCC-340K.
    """
    if root.table("train").is_file():
        return training_vocabulary(root, read_table(root.table("train")))
    return Vocabulary.from_trees(
        {f: tree for f, tree in root_trees(root).items() if len(tree)} or glossary_trees()
    )
