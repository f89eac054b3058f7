"""Training CLIP: images and captions made from their tags, drawn together by the contrastive loss."""

import contextlib
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from eufcc_cli.core.files import Root
from eufcc_cli.core.model.clip.clip_network import LARGEST_SCALE, ClipNetwork
from eufcc_cli.core.model.clip.contrastive import Features, cached_gradients, contrastive_loss
from eufcc_cli.core.model.clip.prompts import (
    BARE,
    PROMPTS,
    Captions,
    TextOptions,
    Wording,
    english_names,
)
from eufcc_cli.core.model.clip.towers import clip_preprocessing, clip_tokenizer, create_clip
from eufcc_cli.core.model.methods import ClipMethod
from eufcc_cli.core.model.tagging_model import TaggingModel, build_methods
from eufcc_cli.core.taxonomy.vocabulary import Vocabulary
from eufcc_cli.core.training.configuration.config import TrainConfig
from eufcc_cli.core.training.loop.trainer import Trainer


def new_clip_model(config: TrainConfig, name: str, vocabulary: Vocabulary, root: Root) -> TaggingModel:
    """A model to train with one of the CLIP methods; raises ModelError or DataError for its settings."""
    assert config.backbone is not None
    method = config.own_method()
    assert isinstance(method, ClipMethod)
    files = (getattr(method, "prompts", None), config.weights)
    prompts, weights = (None if file is None else Path(file) for file in files)
    options = TextOptions(prompts=prompts, phrase=method.text, names=method.names)
    wording = Wording(PROMPTS if method.prompted else BARE, names=english_names(vocabulary, root))
    wording = options.wording(wording, vocabulary, root)
    clip, architecture = create_clip(
        config.backbone, pretrained=config.pretrained, weights=weights, image_size=config.image_size
    )
    if method.lock_image:
        clip.lock_image_tower()  # type: ignore[operator]
    if method.lock_text:
        clip.lock_text_tower()  # type: ignore[operator]
    if method.grad_checkpointing:
        clip.set_grad_checkpointing()  # type: ignore[operator]
    network = ClipNetwork(clip, clip_tokenizer(config.backbone, architecture), wording.texts(vocabulary))
    return TaggingModel(
        name=name,
        method=config.method,
        vocabulary=vocabulary,
        network=network,
        methods=build_methods("softmax", vocabulary),
        preprocessing=clip_preprocessing(clip),
        config={"clip": architecture, "method_options": wording.to_json()},
    )


class ClipTrainer(Trainer):
    """Compares every image of a batch with every caption of it.

    Which tag and which prompt an image's caption takes is, as all else, a function of seed, epoch, step
    and the image's position in the batch. `accumulate` computes a batch in parts without changing its
    loss: all images are still compared with all captions.
    """

    def __init__(self, model: TaggingModel, config: TrainConfig, *arguments: Any, **options: Any) -> None:
        super().__init__(model, config, *arguments, **options)
        wording = Wording.from_json(model.config["method_options"])
        method = config.own_method()
        assert isinstance(method, ClipMethod)
        self.equal_captions = method.equal_captions
        self.captions = Captions(method, wording, model.vocabulary, self.split.targets)

    def _pairs(self, rows: np.ndarray) -> int:
        return len(rows)

    def backward(
        self, network: nn.Module, images: Tensor, rows: np.ndarray, positions: np.ndarray, factor: float
    ) -> Tensor:
        config, accelerator = self.config, self.accelerator
        generator = np.random.default_rng([config.seed, self.at.epoch, self.at.batch])
        captions = self.captions.of(rows, generator.random((self.batch_size, 2))[positions])
        keys = torch.from_numpy(_keys(captions) if self.equal_captions else positions).to(images.device)
        # In an empty share an image without a caption stands in, and is taken out before the comparison.
        captions = captions or [""]
        parts = np.array_split(np.arange(len(images)), self._parts(len(images)))
        assert isinstance(self.plain, ClipNetwork)
        tokens = [self.plain.tokens([captions[i] for i in part]) for part in parts]
        # A trial step is computed by one process: the others do not wait for its features.
        together = accelerator.num_processes > 1 and network is self.network

        def forward(part: int) -> Features:
            with accelerator.autocast():
                return network(images[parts[part]], *tokens[part])

        def loss(images: Tensor, captions: Tensor, scale: Tensor) -> Tensor:
            return contrastive_loss(images, captions, scale, keys, together=together)

        def around(part: int) -> contextlib.AbstractContextManager[Any]:
            last = part == len(parts) - 1
            return contextlib.nullcontext() if last else accelerator.no_sync(network)

        def backward(value: Tensor) -> None:
            accelerator.backward(value * factor)

        if len(parts) > 1:
            return cached_gradients(forward, len(parts), loss, backward, images.device, around)
        image, caption, scale = forward(0)
        value = loss(image[: len(rows)], caption[: len(rows)], scale)
        backward(value)
        return value.detach()

    def _step(self, images: Tensor, rows: np.ndarray, positions: np.ndarray) -> tuple[Tensor, int]:
        taken = super()._step(images, rows, positions)
        assert isinstance(self.plain, ClipNetwork)
        with torch.no_grad():
            self.plain.clip.logit_scale.clamp_(0, LARGEST_SCALE)  # type: ignore[operator]
        return taken


def _keys(captions: Sequence[str]) -> np.ndarray:
    """A number for each caption, the same for equal captions on every process: int64 [B]."""
    digests = b"".join(blake2b(caption.encode(), digest_size=8).digest() for caption in captions)
    return np.frombuffer(digests, dtype=np.int64).copy()
