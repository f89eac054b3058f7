"""A model: its network, the meaning of its outputs, and its preprocessing of images."""

import contextlib
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from eufcc_cli.core.files import Root, sha256
from eufcc_cli.core.machine import threads
from eufcc_cli.core.model.backbone.network import Network
from eufcc_cli.core.model.backbone.openvino_engine import Engine, open_engine
from eufcc_cli.core.model.clip.clip_network import ClipNetwork
from eufcc_cli.core.model.converted_model import ConvertedHeads, convert_heads
from eufcc_cli.core.model.features import FeatureStore
from eufcc_cli.core.model.methods import Method, find_method
from eufcc_cli.core.model.model_files import WEIGHTS, model_digest
from eufcc_cli.core.model.preprocessing import Preprocessing
from eufcc_cli.core.taxonomy.vocabulary import Vocabulary


@dataclass
class TaggingModel:
    """A network, the meaning of its outputs, and its preprocessing: everything that scores an image."""

    name: str
    method: str
    vocabulary: Vocabulary = field(repr=False)
    network: nn.Module = field(repr=False)
    """Normalised images [B, 3, size, size] -> {facet: logits [B, outputs]}."""
    methods: dict[str, Method] = field(repr=False)
    preprocessing: Preprocessing
    config: dict[str, Any] = field(default_factory=dict, repr=False)
    folder: Path | None = None
    precision: torch.dtype = torch.float32
    store: FeatureStore | None = None
    """The stored features of images, which are used first."""
    engines: Path | None = None
    """The folder of networks converted for processors."""
    _engine: tuple[Any, Engine | None, ConvertedHeads | None] | None = field(default=None, repr=False)

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    @cached_property
    def digest(self) -> str:
        """SHA-256 over weights, method, vocabulary and preprocessing: what decides the scores."""
        if self.folder is not None:
            weights = sha256(self.folder / WEIGHTS)
        else:
            content = hashlib.sha256()
            for name, tensor in sorted(self.network.state_dict().items()):
                content.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
            weights = content.hexdigest()
        return model_digest(self.method, self.vocabulary, self.preprocessing, self.config, weights)

    @torch.inference_mode()
    def log_scores(self, images: Tensor) -> dict[str, Tensor]:
        """uint8 crops [B, 3, stored, stored] -> {facet: log-scores float32 [B, tags]}, on the device.

        If an image has a second square, only the first is used.
        """
        crops = self.preprocessing.middle(images.to(self.device, non_blocking=True))
        return self.scores_of(self.features(crops.unsqueeze(1)))

    @torch.inference_mode()
    def features(self, crops: Tensor) -> Tensor:
        """uint8 [B, crops, 3, size, size] -> what the heads see of every view, float32 [B, views, D].

        With mirror images, those of the crops come after the crops.
        """
        batch = len(crops)
        images = self.preprocessing.normalise(crops.to(self.device, non_blocking=True).flatten(0, 1))
        if self.preprocessing.mirror:
            images = torch.cat([images, images.flip(-1)])
        images = images.contiguous(memory_format=torch.channels_last)
        with self._autocast():
            features = self.network.features(images).float()  # type: ignore[operator]
        parts = features.unflatten(0, (-1, batch, crops.shape[1]))
        return parts.transpose(0, 1).flatten(1, 2)

    @torch.inference_mode()
    def scores_of(self, features: Tensor) -> dict[str, Tensor]:
        """Features [B, views, D] -> {facet: log-scores float32 [B, tags]}: the mean of those of each view."""
        logits = self._logits(features)
        return {
            facet: _mean_of_views(method.log_scores(logits[facet]), features.shape[1])
            for facet, method in self.methods.items()
        }

    @torch.inference_mode()
    def losses_of(self, features: Tensor, truth: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Features [B, views, D] and true tags {facet: bool [B, tags]} -> the methods' losses, each [B]."""
        views, logits = features.shape[1], self._logits(features)
        true = {
            facet: table.to(self.device).repeat_interleave(views, dim=0) for facet, table in truth.items()
        }
        return {
            facet: _mean_of_views(method.loss(logits[facet], true[facet]), views)
            for facet, method in self.methods.items()
        }

    def _logits(self, features: Tensor) -> dict[str, Tensor]:
        """Features [B, views, D] -> {facet: [B * views, outputs]}."""
        # On a processor heads cost next to nothing in float32, in which an engine computes them, too.
        with self._autocast() if self.device.type != "cpu" else contextlib.nullcontext():
            return self.network.logits(features.to(self.device).flatten(0, 1))  # type: ignore[operator]

    def scores_of_arrays(self, features: np.ndarray) -> dict[str, np.ndarray]:
        """As `scores_of`, from and to arrays; by the heads that were converted with an open engine."""
        if self._engine is not None and self._engine[2] is not None and self._engine[0] == self._state():
            return self._engine[2](features)
        return {
            facet: table.cpu().numpy() for facet, table in self.scores_of(torch.from_numpy(features)).items()
        }

    @property
    def has_engine(self) -> bool:
        """Whether another runtime than PyTorch may compute its features: not on a GPU, and not for CLIP."""
        network = self.network
        if self.device.type != "cpu" or not isinstance(network, Network):
            return False
        return not _is_compiled(network.backbone)

    def engine(self) -> Engine | None:
        """What computes features on a processor instead of PyTorch; None where PyTorch has to.

        Opened once, and again whenever the network's weights have changed.
        """
        network = self.network
        if not self.has_engine:
            return None
        assert isinstance(network, Network)
        state = self._state()
        if self._engine is None or self._engine[0] != state:
            made = open_engine(network.backbone, self.preprocessing, threads(), self.precision, self.engines)
            heads = None
            if made is not None and self.engines is not None and self.folder is not None:
                heads = convert_heads(network, self.methods, self.preprocessing, self.engines, self.digest)
            self._engine = (state, made, heads)
        return self._engine[1]

    def _state(self) -> tuple[int, int]:
        """Which network it is, and how often its weights have changed."""
        return (id(self.network), sum(tensor._version for tensor in self.network.state_dict().values()))

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32)


def _mean_of_views(values: Tensor, views: int) -> Tensor:
    return values if views == 1 else values.unflatten(0, (-1, views)).mean(1)


def _is_compiled(module: nn.Module) -> bool:
    return getattr(module, "_compiled_call_impl", None) is not None


def build_methods(
    method: str, vocabulary: Vocabulary, counts: dict[str, Any] | None = None, **options: Any
) -> dict[str, Method]:
    """The method of every facet of a vocabulary."""
    made = find_method(method)
    return {
        facet: made.for_facet(tags, None if counts is None else counts[facet], **options)
        for facet, tags in vocabulary.facets.items()
    }


def keep_by_root(model: TaggingModel, root: Root) -> None:
    """Let a model keep in a root what it computes once: converted networks, features, embeddings of texts."""
    model.engines = root.runs / ".engines"
    network, settings = model.network, model.config.get("training", {})
    if isinstance(network, Network) and model.config.get("tune") == "head":
        limit = float(settings.get("features_limit", 20.0))
        model.store = FeatureStore.of(root, network, model.preprocessing, model.precision, limit=limit)
    keep_embeddings(model, root)


def keep_embeddings(model: TaggingModel, root: Root) -> None:
    """Let a CLIP model keep its texts' embeddings in ROOT/runs/.texts from one command to the next."""
    if isinstance(model.network, ClipNetwork):
        model.network.store = root.runs / ".texts" / f"{model.digest}.safetensors"
