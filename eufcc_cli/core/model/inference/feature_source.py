"""The features of images for a model's heads: stored ones first, then an engine, else PyTorch."""

from typing import TYPE_CHECKING, Any

import numpy as np

from eufcc_cli.core.errors import ModelError
from eufcc_cli.core.model.features import rounded
from eufcc_cli.core.model.inference.batching import BatchSize
from eufcc_cli.core.model.inference.decoding.read_images import ReadImage

if TYPE_CHECKING:
    from torch import Tensor

    from eufcc_cli.core.model.converted_model import ConvertedModel
    from eufcc_cli.core.model.tagging_model import TaggingModel


class FeatureSource:
    """A model's features of images: from its store if they are there, else by an engine or PyTorch."""

    def __init__(self, model: "TaggingModel | ConvertedModel") -> None:
        self.model = model
        self.engine = model.engine()

    def crops(self, number: int, images: list[ReadImage], smallest: int) -> "Tensor | None":
        """The input of PyTorch's network for some images, [B, crops, 3, size, size]; None where an engine
        computes them, or their features are stored. number: this model's place among those that score
        together; smallest: a smaller batch is filled up.
        """
        new = [image.seen[self.model.preprocessing] for image in images if image.kept[number] is None]
        if self.engine is not None or not new:
            return None
        import torch

        device: Any = self.model.device
        filled = [*new, *[new[0]] * (smallest - len(new))]
        pinned = device.type == "cuda"  # so that the GPU copies it while the processor continues
        crops = torch.empty((len(filled), *new[0].shape), dtype=torch.uint8, pin_memory=pinned)
        np.stack(filled, out=crops.numpy())
        return crops.movedim(-1, 2)

    def scores(
        self, number: int, images: list[ReadImage], crops: "Tensor | None", size: BatchSize, smallest: int
    ) -> dict[str, np.ndarray]:
        """Log-scores {facet: [B, tags]} of some images; in parts where the device has too little memory."""
        features = self._features(number, images, crops, size)
        filler = max(0, smallest - len(features))
        filled = np.concatenate([features, np.repeat(features[:1], filler, 0)]) if filler else features
        return {facet: table[: len(images)] for facet, table in self.model.scores_of_arrays(filled).items()}

    def _features(
        self, number: int, images: list[ReadImage], crops: "Tensor | None", size: BatchSize
    ) -> np.ndarray:
        """The features of some images, float32 [B, views, width]; new ones are stored."""
        store, new = self.model.store, [image for image in images if image.kept[number] is None]
        fresh: np.ndarray = np.empty(0, np.float32)
        if crops is not None:
            fresh = self._by_pytorch(crops, len(new), size)
        elif new:
            assert self.engine is not None
            fresh = self.engine.features([image.seen[self.model.preprocessing] for image in new])
        if store is None:
            return fresh
        for image, found in zip(new, fresh, strict=True):
            store.add(image.digest, found)
        # Rounded as in the store, so that scores are the same later.
        features = np.empty((len(images), store.views, store.width), np.float32)
        new_rows = iter(rounded(fresh))
        for row, image in enumerate(images):
            kept = image.kept[number]
            features[row] = next(new_rows) if kept is None else kept
        return features

    def _by_pytorch(self, crops: "Tensor", count: int, size: BatchSize) -> np.ndarray:
        """The features of the first `count` of some images."""
        import torch

        model: Any = self.model
        try:
            found: np.ndarray = model.features(crops)[:count].cpu().numpy()
            return found
        except torch.OutOfMemoryError as error:
            if count == 1:
                raise ModelError(
                    "the device has too little memory for one image", hint="choose `device=cpu`"
                ) from error
        size.too_large(count)
        torch.cuda.empty_cache()
        half = (count + 1) // 2
        parts = (crops[:half], crops[half:count])
        return np.concatenate([self._by_pytorch(part, len(part), size) for part in parts])

    def close(self) -> None:
        if self.model.store is not None:
            self.model.store.flush()
