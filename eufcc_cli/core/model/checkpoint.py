"""A model on disk and in memory: weights, configuration, vocabulary. Loading one never runs its code."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from eufcc_cli.core.devices import select_device, select_precision
from eufcc_cli.core.errors import EufccError, ModelError
from eufcc_cli.core.files import Root
from eufcc_cli.core.model.backbone.memory_rule import check_room
from eufcc_cli.core.model.backbone.network import Network, create_backbone
from eufcc_cli.core.model.clip.clip_network import ClipNetwork
from eufcc_cli.core.model.clip.prompts import TextOptions, Wording
from eufcc_cli.core.model.clip.towers import build_clip, clip_tokenizer
from eufcc_cli.core.model.methods import Method, find_method
from eufcc_cli.core.model.model_files import CLIP, CONFIG, WEIGHTS, find_model, read_config
from eufcc_cli.core.model.preprocessing import Preprocessing
from eufcc_cli.core.model.tagging_model import TaggingModel, build_methods, keep_by_root
from eufcc_cli.core.model.tensor_files import write_tensors
from eufcc_cli.core.model.zero_shot import zero_shot_model
from eufcc_cli.core.taxonomy.vocabulary import Vocabulary


def save_weights(folder: Path, network: nn.Module) -> None:
    """Write a network's tensors to model.safetensors, whole or not at all."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    write_tensors(folder / WEIGHTS, tensors, {"format": "pt"})


def load_model(
    spec: str,
    root: Root,
    device: str = "auto",
    precision: str = "auto",
    *,
    weights: Path | None = None,
    texts: TextOptions = TextOptions(),
) -> TaggingModel:
    """Load a trained model by its run's name, folder, safetensors file, or `hf-hub:` name.

    `clip:NAME` is a CLIP model of open_clip, with published weights or those of a file, for the tags of the
    root's label files. `texts` are the texts of tags for a CLIP model; other models have none.

    Raises ModelError if a file is missing or not eufcc's, if weights and vocabulary do not match, or if the
    free memory is too small.
    """
    if spec.startswith(CLIP):
        return zero_shot_model(spec, root, device, precision, weights, texts)
    folder = find_model(spec, root)
    config = read_config(folder)
    if (folder / WEIGHTS).is_file():  # the network, and what the file holds
        check_room(2 * (folder / WEIGHTS).stat().st_size)
    target = select_device(device)
    with _reading(folder / CONFIG, config):
        vocabulary = Vocabulary.from_json(config["vocabulary"])
        preprocessing = Preprocessing.from_json(config["preprocessing"])
        method = config["method"]
        clip = find_method(method).reads_texts
        wording = Wording.from_json(config["method_options"]) if clip else None
    if wording is not None:  # the user's options may be wrong where the files are right
        config["method_options"] = texts.wording(wording, vocabulary, root).to_json()
        vocabulary = texts.vocabulary(vocabulary)
    network: nn.Module
    with _reading(folder / CONFIG, config):
        if clip:
            network, methods = clip_parts(config, vocabulary)
        else:
            network = _network(config, vocabulary)
            methods = build_methods(method, vocabulary, **config.get("method_options", {}))
    load_weights(network, folder)
    network.to(target).to(memory_format=torch.channels_last).eval()
    model = TaggingModel(
        # A run is named after its folder, which may be a copy; another model by its configuration.
        name=folder.name if folder.parent == root.runs else config.get("name", folder.name),
        method=method,
        vocabulary=vocabulary,
        network=network,
        methods={facet: made.to(target) for facet, made in methods.items()},
        preprocessing=preprocessing,
        config=config,
        folder=folder,
        precision=select_precision(precision, target, inference=True),
    )
    keep_by_root(model, root)
    return model


@contextmanager
def _reading(path: Path, config: dict[str, Any]) -> Iterator[None]:
    """Inside, errors about a configuration's content name the file."""
    try:
        yield
    except (KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{path}: {type(error).__name__}: {error}", hint="the file is incomplete: train the model again"
        ) from error
    except EufccError as error:
        hint = error.hint or "the file is damaged: train or copy the model again"
        if absent := [name for name in map(str, config.get("plugins") or ()) if name not in sys.modules]:
            hint = f"the model was trained with `plugin={absent[0]}`: add that, if you trust that module"
        raise ModelError(f"{path}: {error}", hint=hint) from error


def clip_parts(config: dict[str, Any], vocabulary: Vocabulary) -> tuple[ClipNetwork, dict[str, Method]]:
    """The network of a CLIP model's configuration, with random weights, and what its outputs mean."""
    texts = Wording.from_json(config["method_options"]).texts(vocabulary)
    tokenizer = clip_tokenizer(config["backbone"], config["clip"])
    return ClipNetwork(build_clip(config["clip"]), tokenizer, texts), build_methods("softmax", vocabulary)


def _network(config: dict[str, Any], vocabulary: Vocabulary) -> nn.Module:
    options = config.get("method_options", {})
    outputs = {
        facet: find_method(config["method"]).for_facet(tags, **options).outputs
        for facet, tags in vocabulary.facets.items()
    }
    size = config.get("training", {}).get("image_size")
    backbone = create_backbone(config["backbone"], image_size=size)
    return Network(backbone, outputs, all_stages=bool(config.get("all_stages")))


def load_weights(network: nn.Module, folder: Path) -> None:
    """Fill a network from a folder's model.safetensors; raises ModelError where they do not fit."""
    path = folder / WEIGHTS
    try:
        tensors = load_file(path)
    except FileNotFoundError as error:
        raise ModelError(
            f"{path}: no such file", hint="a model's folder holds config.json and model.safetensors"
        ) from error
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"{path}: {error}", hint="the file is damaged: train or copy the model again"
        ) from error
    wanted = network.state_dict()
    for name, value in wanted.items():
        found = list(tensors[name].shape) if name in tensors else "missing"
        if found != list(value.shape):
            raise ModelError(
                f"{path}: tensor {name} is {found}, its vocabulary and backbone want {list(value.shape)}",
                hint="weights and config.json belong to different models: copy both again",
            )
    # What was saved in half precision is computed in the network's own, or in the one chosen.
    network.load_state_dict({name: tensors[name] for name in wanted})
