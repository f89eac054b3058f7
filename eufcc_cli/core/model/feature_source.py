"""The features of images for a model's heads: stored ones first, then an engine, else PyTorch."""

from typing import TYPE_CHECKING, Any

import numpy as np

from eufcc_cli.core.errors import ModelError
from eufcc_cli.core.model.batching import BatchSize
from eufcc_cli.core.model.decoding.read_images import ReadImage
from eufcc_cli.core.model.features import rounded

if TYPE_CHECKING:
    from eufcc_cli.core.model.converted_model import ConvertedModel
    from eufcc_cli.core.model.tagging_model import TaggingModel


class FeatureSource:
    """A model's features of images: from its store if they are there, else by an engine or PyTorch."""

    def __init__(self, model: "TaggingModel | ConvertedModel") -> None:
        self.model = model
        self.engine = model.engine()

    def scores(
        self, number: int, images: list[ReadImage], size: BatchSize, smallest: int
    ) -> dict[str, np.ndarray]:
        """Log-scores {facet: [B, tags]} of some images; in parts where the device has too little memory.

        number: this model's place among those that score together.
        """
        model = self.model
        features = self.features(number, images, size, smallest)
        filler = max(0, smallest - len(features))
        filled = np.concatenate([features, np.repeat(features[:1], filler, 0)]) if filler else features
        return {facet: table[: len(images)] for facet, table in model.scores_of_arrays(filled).items()}

    def features(self, number: int, images: list[ReadImage], size: BatchSize, smallest: int) -> np.ndarray:
        """The features of some images, float32 [B, views, width]; new ones are stored."""
        store, new = self.model.store, [image for image in images if image.kept[number] is None]
        fresh = self._compute(new, size, smallest) if new else np.empty(0, np.float32)
        if store is None:
            return fresh
        for image, found in zip(new, fresh, strict=True):
            store.add(image.digest, found)
        # As they will be when they come from the store, so that scores are the same then.
        features = np.empty((len(images), store.views, store.width), np.float32)
        new_rows = iter(rounded(fresh))
        for row, image in enumerate(images):
            kept = image.kept[number]
            features[row] = next(new_rows) if kept is None else kept
        return features

    def _compute(self, images: list[ReadImage], size: BatchSize, smallest: int) -> np.ndarray:
        pictures = [image.seen[self.model.preprocessing] for image in images]
        if self.engine is not None:
            return self.engine.features(pictures)
        return self._by_pytorch(pictures, images, size, smallest)

    def _by_pytorch(
        self, pictures: list[np.ndarray], images: list[ReadImage], size: BatchSize, smallest: int
    ) -> np.ndarray:
        import torch

        model: Any = self.model
        filled = [*pictures, *[pictures[0]] * (smallest - len(pictures))]
        pinned = model.device.type == "cuda"  # from where the GPU gets it while the processor goes on
        squares = torch.empty((len(filled), *pictures[0].shape), dtype=torch.uint8, pin_memory=pinned)
        np.stack(filled, out=squares.numpy())
        try:
            found: np.ndarray = model.features(squares.movedim(-1, 2))[: len(images)].cpu().numpy()
            return found
        except torch.OutOfMemoryError as error:
            if len(images) == 1:
                raise ModelError(
                    "the device has too little memory for one image", hint="choose `device=cpu`"
                ) from error
        size.too_large(len(images))
        torch.cuda.empty_cache()
        half = (len(images) + 1) // 2
        parts = (images[:half], images[half:])
        return np.concatenate([self._compute(part, size, smallest) for part in parts])

    def close(self) -> None:
        if self.model.store is not None:
            self.model.store.flush()
