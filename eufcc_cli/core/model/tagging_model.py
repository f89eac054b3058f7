"""All that scores an image: a network, what its outputs mean, and how it wants its images."""

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from eufcc_cli.core.files import Root, sha256
from eufcc_cli.core.model.clip.clip_network import ClipNetwork
from eufcc_cli.core.model.methods import Method, find_method
from eufcc_cli.core.model.preprocessing import Preprocessing
from eufcc_cli.core.taxonomy.vocabulary import Vocabulary

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
CLIP = "clip:"
"""What the name of a published CLIP model begins with, where a model's name is asked for."""


@dataclass
class TaggingModel:
    """A network, what its outputs mean, and how it wants its images: all that scores an image."""

    name: str
    method: str
    vocabulary: Vocabulary
    network: nn.Module
    """Normalised images [B, 3, size, size] -> {facet: logits [B, outputs]}."""
    methods: dict[str, Method]
    preprocessing: Preprocessing
    config: dict[str, Any] = field(default_factory=dict)
    folder: Path | None = None
    precision: torch.dtype = torch.float32

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    @cached_property
    def digest(self) -> str:
        """SHA-256 over weights, method, vocabulary and preprocessing: what decides the scores."""
        content = [self.method, self.vocabulary.digest, self.preprocessing.to_json()]
        content.append(self.config.get("method_options", {}))
        if self.folder is not None:
            content.append(sha256(self.folder / WEIGHTS))
        else:
            weights = hashlib.sha256()
            for name, tensor in sorted(self.network.state_dict().items()):
                weights.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
            content.append(weights.hexdigest())
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @torch.inference_mode()
    def log_scores(self, images: Tensor) -> dict[str, Tensor]:
        """uint8 squares [B, 3, stored, stored] -> {facet: log-scores float32 [B, tags]}, on the device."""
        images = self.preprocessing.middle(images.to(self.device, non_blocking=True))
        images = self.preprocessing.normalise(images).contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
            logits = self.network(images)
        return {facet: method.log_scores(logits[facet]) for facet, method in self.methods.items()}


def build_methods(
    method: str, vocabulary: Vocabulary, counts: dict[str, Any] | None = None, **options: Any
) -> dict[str, Method]:
    """The method of every facet of a vocabulary."""
    made = find_method(method)
    return {
        facet: made.for_facet(tags, None if counts is None else counts[facet], **options)
        for facet, tags in vocabulary.facets.items()
    }


def keep_embeddings(model: TaggingModel, root: Root) -> None:
    """Let a CLIP model keep its texts' embeddings in ROOT/runs/.texts from one command to the next."""
    if isinstance(model.network, ClipNetwork):
        model.network.store = root.runs / ".texts" / f"{model.digest}.safetensors"
