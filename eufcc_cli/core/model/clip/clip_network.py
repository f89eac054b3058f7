"""CLIP as a network that scores tags: by the similarity of a tag's texts and an image."""

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from eufcc_cli.core.errors import EufccError
from eufcc_cli.core.files import write_bytes
from eufcc_cli.core.model.clip.towers import Tokenizer

log = logging.getLogger("eufcc")

Texts = Mapping[str, Sequence[Sequence[str]]]
"""For every facet the texts of every tag; all tags of a facet have the same number of texts."""

LARGEST_SCALE = math.log(100)  # Radford et al. 2021, section 2.5
_BATCH = 256  # texts that are encoded at once


class ClipNetwork(nn.Module):
    """Both towers of a CLIP model. In evaluation it scores images against the texts of a vocabulary.

    Every different text is encoded once, when the first image comes; the embeddings are forgotten whenever
    the mode changes, since training changes them.
    """

    def __init__(
        self, clip: nn.Module, tokenizer: Tokenizer, texts: Texts, store: Path | None = None
    ) -> None:
        super().__init__()
        self.clip, self.tokenizer, self.texts, self.store = clip, tokenizer, texts, store
        self._embeddings: dict[str, Tensor] | None = None

    def forward(self, images: Tensor, tokens: Tensor | None = None, which: Tensor | None = None) -> Any:
        """Normalised images [B, 3, size, size] -> {facet: logits float32 [B, tags]}.

        With what `tokens` makes of a caption for each image: the features that training compares, of
        images and of captions, each float32 [B, D] of length 1, and the factor of their cosines.
        """
        features = self.features(images)
        if tokens is not None and which is not None:
            return features, self._encode(tokens).index_select(0, which), self.scale
        return self.logits(features)

    def features(self, images: Tensor) -> Tensor:
        """Normalised images [B, 3, size, size] -> their features, float32 [B, D], of length 1."""
        return F.normalize(self.clip.encode_image(images).float(), dim=-1)  # type: ignore[operator]

    def logits(self, features: Tensor) -> dict[str, Tensor]:
        """Features [B, D] of images -> {facet: float32 [B, tags]}: their cosines with the texts, scaled."""
        # 8 bits of a bf16 product would tie tags that the float32 cosine distinguishes.
        with torch.autocast(features.device.type, enabled=False):
            factor = self.scale
            return {facet: factor * features @ table.T for facet, table in self.embeddings().items()}

    def tokens(self, captions: Sequence[str]) -> tuple[Tensor, Tensor]:
        """The different captions as tokens [U, length], and which of them each caption is [B]."""
        number = {caption: i for i, caption in enumerate(dict.fromkeys(captions))}
        which = torch.tensor([number[caption] for caption in captions])
        device = self.scale.device
        return self.tokenizer(list(number)).to(device), which.to(device)

    @property
    def scale(self) -> Tensor:
        """The learned factor of the cosines, the inverse of a temperature."""
        logit_scale: Tensor = self.clip.logit_scale  # type: ignore[assignment]
        return logit_scale.exp()

    def _encode(self, tokens: Tensor) -> Tensor:
        return F.normalize(self.clip.encode_text(tokens).float(), dim=-1)  # type: ignore[operator]

    @torch.compiler.disable  # a tokenizer is no graph
    @torch.no_grad()
    def embeddings(self) -> dict[str, Tensor]:
        """For every facet the embedding of each tag [tags, D], of length 1: the mean over its texts."""
        if self._embeddings is None:
            self._embeddings = self._stored() or self._encoded()
        return self._embeddings

    def _encoded(self) -> dict[str, Tensor]:
        tokens, which = self.tokens([t for tags in self.texts.values() for texts in tags for t in texts])
        with torch.autocast(self.scale.device.type, enabled=False):
            encoded = torch.cat([self._encode(part) for part in tokens.split(_BATCH)])[which]
        sizes = [sum(map(len, tags)) for tags in self.texts.values()]
        tables = {}
        for (facet, tags), rows in zip(self.texts.items(), encoded.split(sizes), strict=True):
            tables[facet] = F.normalize(rows.unflatten(0, (len(tags), -1)).mean(1), dim=-1)
        if self.store is not None:
            tensors = {facet: table.cpu().contiguous() for facet, table in tables.items()}
            try:
                write_bytes(self.store, save(tensors))
            except EufccError as error:
                log.warning("the texts' embeddings are not saved: %s", error)
        return tables

    def _stored(self) -> dict[str, Tensor] | None:
        """The embeddings that an earlier call stored, if they are complete."""
        if self.store is None or not self.store.is_file():
            return None
        try:
            tables = load_file(self.store)
        except (OSError, SafetensorError):
            return None
        if {facet: len(table) for facet, table in tables.items()} != {
            f: len(t) for f, t in self.texts.items()
        }:
            return None
        return {facet: tables[facet].to(self.scale.device) for facet in self.texts}

    def train(self, mode: bool = True) -> "ClipNetwork":
        self._embeddings = None
        return super().train(mode)

    def no_weight_decay(self) -> set[str]:
        names: set[str] = self.clip.no_weight_decay()  # type: ignore[operator]
        return {f"clip.{name}" for name in names}
