"""A trained model without PyTorch: backbone and heads, converted when it was first used.

Importing PyTorch takes two seconds, more than the rest of tagging one image. Converted parts are kept in
ROOT/runs/.engines: the backbone by the digest of its weights, the heads with their method by the digest of
the model. Both may be deleted at any time: PyTorch then makes them again.
"""

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from eufcc_cli.core.errors import EufccError, first_line
from eufcc_cli.core.files import Root, sha256, write_text
from eufcc_cli.core.machine import has_bf16_matrices, may_have_gpu, threads
from eufcc_cli.core.model.backbone.memory_rule import check_room, engine_bytes
from eufcc_cli.core.model.backbone.openvino_engine import (
    Engine,
    backbone_digest,
    convert,
    keep_network,
    kept_network,
    silent_openvino,
)
from eufcc_cli.core.model.features import FeatureStore
from eufcc_cli.core.model.methods import Method
from eufcc_cli.core.model.model_files import CLIP, WEIGHTS, find_model, model_digest, read_config
from eufcc_cli.core.model.preprocessing import Preprocessing
from eufcc_cli.core.taxonomy.vocabulary import Vocabulary

log = logging.getLogger("eufcc")

_CLOSE = 1e-3  # by how much converted heads may differ from PyTorch's log-scores
_PRECISIONS = {"fp32": "torch.float32", "bf16": "torch.bfloat16"}


@dataclass(frozen=True)
class Processor:
    """The device of a converted model."""

    type: str = "cpu"


@dataclass
class ConvertedModel:
    """A model for tagging, like TaggingModel but without its network."""

    name: str
    method: str
    vocabulary: Vocabulary
    preprocessing: Preprocessing
    config: dict[str, Any]
    folder: Path
    digest: str
    precision: str
    store: FeatureStore | None
    device: Processor = field(default_factory=Processor)
    backbone: Any = field(default=None, repr=False)
    """As OpenVINO reads it."""
    heads: "ConvertedHeads | None" = field(default=None, repr=False)

    @cached_property
    def _engine(self) -> Engine:
        return Engine(self.backbone, self.preprocessing, threads(), self.precision)

    def engine(self) -> Engine:
        """The engine that computes features; opened once."""
        return self._engine

    def scores_of_arrays(self, features: np.ndarray) -> dict[str, np.ndarray]:
        """Features [B, views, D] -> {facet: log-scores float32 [B, tags]}."""
        assert self.heads is not None
        return self.heads(features)


class ConvertedHeads:
    """The heads of a model with their method, image by image, so that those beside it change nothing."""

    def __init__(self, network: Any, facets: Iterable[str]) -> None:
        openvino = silent_openvino()

        settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": "1"}
        self._compiled = openvino.Core().compile_model(network, "CPU", settings)
        self._facets = tuple(facets)

    def __call__(self, features: np.ndarray) -> dict[str, np.ndarray]:
        """Features [B, views, D] -> {facet: log-scores float32 [B, tags]}: the mean of those of each view."""
        rows = [self._compiled([one[None]]) for one in features.astype(np.float32)]
        return {
            facet: np.concatenate([row[number] for row in rows]) for number, facet in enumerate(self._facets)
        }


def load_converted(spec: str, root: Root, device: str, precision: str) -> ConvertedModel | None:
    """The converted form of a trained model; None if PyTorch has to load it.

    That is on a GPU, for CLIP, for models with plugins, and if nothing is converted yet.
    Raises ModelError where there is no such model, its config.json is damaged, or the free memory does not
    hold it.
    """
    if spec.startswith((CLIP, "hf-hub:")) or device not in ("auto", "cpu"):
        return None
    if device == "auto" and may_have_gpu():
        return None
    if precision == "auto":
        precision = "bf16" if has_bf16_matrices() else "fp32"
    folder = find_model(spec, root)
    config = read_config(folder)
    if precision not in _PRECISIONS or config.get("plugins"):
        return None
    try:
        vocabulary = Vocabulary.from_json(config["vocabulary"])
        preprocessing = Preprocessing.from_json(config["preprocessing"])
        weights = sha256(folder / WEIGHTS)
        digest = model_digest(config["method"], vocabulary, preprocessing, config, weights)
        path = _place(root.runs / ".engines", digest)
        record = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        backbone, width, image = str(record["backbone"]), int(record["width"]), int(record["image_bytes"])
        converted = path.parent.parent / f"{Path(backbone).name}.xml"
        needed = engine_bytes(converted.with_suffix(".bin").stat().st_size, image, threads())
    except (OSError, ValueError, KeyError, TypeError, EufccError):  # PyTorch's loader says what is wrong
        return None
    check_room(needed)
    networks = kept_network(converted), kept_network(path)
    if any(network is None for network in networks):
        return None
    store = None
    if config.get("tune") == "head":
        limit = float(config.get("training", {}).get("features_limit", 20.0))
        arithmetic = _PRECISIONS[precision]
        store = FeatureStore.named(root, backbone, width, preprocessing, arithmetic, limit=limit)
    return ConvertedModel(
        name=folder.name if folder.parent == root.runs else config.get("name", folder.name),
        method=config["method"],
        vocabulary=vocabulary,
        preprocessing=preprocessing,
        config=config,
        folder=folder,
        digest=digest,
        precision=_PRECISIONS[precision],
        store=store,
        backbone=networks[0],
        heads=ConvertedHeads(networks[1], vocabulary.facets),
    )


def convert_heads(
    network: Any, methods: Mapping[str, Method], preprocessing: Preprocessing, engines: Path, digest: str
) -> ConvertedHeads | None:
    """A model's heads, saved where `load_converted` finds them, with a note of its backbone.

    network: a Network; digest: the model's. None where OpenVINO cannot compute them as PyTorch does.
    """
    from eufcc_cli.core.model.backbone.memory import image_bytes

    path = _place(engines, digest)
    try:
        there = kept_network(path)
        converted = _converted(network, methods, preprocessing.views) if there is None else there
        heads = ConvertedHeads(converted, methods)
        _compare(heads, network, methods, preprocessing.views)
        if there is None:
            keep_network(converted, path)
        if not path.with_suffix(".json").is_file():
            backbone, size = network.backbone, preprocessing.size
            record = {
                "backbone": backbone_digest(backbone, size),
                "width": network.width,
                "image_bytes": image_bytes(backbone, size),
            }
            write_text(path.with_suffix(".json"), json.dumps(record) + "\n")
    except Exception as error:  # the converter raises many kinds of errors for unknown methods
        log.info("PyTorch computes these heads: OpenVINO cannot (%s)", first_line(error))
        return None
    return heads


def _place(engines: Path, digest: str) -> Path:
    return engines / "heads" / f"{digest}.xml"


def _as_module(network: Any, methods: Mapping[str, Method]) -> Any:
    """The heads from features [1, views, D] to the log-scores of all facets, for PyTorch."""
    import torch
    from torch import nn

    class Heads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.heads = network.heads

        def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, ...]:
            seen = features[0]
            return tuple(
                method.log_scores(self.heads[facet](seen)).mean(0, keepdim=True)
                for facet, method in methods.items()
            )

    return Heads().eval()


def _example(network: Any, views: int) -> Any:
    import torch

    return torch.randn(1, views, network.width, generator=torch.Generator().manual_seed(0))


def _converted(network: Any, methods: Mapping[str, Method], views: int) -> Any:
    return convert(_as_module(network, methods), _example(network, views))


def _compare(heads: ConvertedHeads, network: Any, methods: Mapping[str, Method], views: int) -> None:
    """Raise AssertionError where the heads do not score as PyTorch's do."""
    import torch

    example = _example(network, views)
    found = heads(example.numpy())
    with torch.no_grad():
        expected = dict(zip(methods, _as_module(network, methods)(example), strict=True))
    for facet, table in expected.items():
        np.testing.assert_allclose(found[facet], table.numpy(), atol=_CLOSE, rtol=_CLOSE)
