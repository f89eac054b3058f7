"""The features of images for a model's heads: stored ones first, then an engine, else PyTorch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eufcc_cli.core.errors import ImageError, ModelError
from eufcc_cli.core.files import sha256 as sha256_of_file
from eufcc_cli.core.images.decode import open_pixels
from eufcc_cli.core.model.batching import BatchSize
from eufcc_cli.core.model.features import rounded
from eufcc_cli.core.model.preprocessing import Preprocessing, as_images

if TYPE_CHECKING:
    from eufcc_cli.core.model.converted_model import ConvertedModel
    from eufcc_cli.core.model.tagging_model import TaggingModel

Source = Path | Callable[[], Path | bytes]
"""An image file, or a function that gets one (its bytes, say) and raises ImageError where it cannot."""


@dataclass(frozen=True, slots=True)
class ReadImage:
    """An image as it was read: its SHA-256 where a store needs it, and each model's input."""

    digest: bytes
    kept: list[np.ndarray | None]
    """For each model the features that its store has, float16 [views, width]."""
    seen: dict[Preprocessing, np.ndarray]
    """uint8 [squares, size, size, 3] for the models without stored features."""


def read_image(models: Sequence["FeatureSource"], source: Source) -> ReadImage | str:
    """Read an image for the models that have no features of it; the reason where it cannot be read."""
    try:
        file = source() if callable(source) else source
        digest = b""
        if any(one.model.store is not None for one in models):
            digest = sha256(file).digest() if isinstance(file, bytes) else _digest(file)
        kept = [one.kept(digest) for one in models]
        wanted = {one.model.preprocessing for one, has in zip(models, kept, strict=True) if has is None}
        if not wanted:
            return ReadImage(digest, kept, {})
        pixels = [(p, open_pixels(file, short_side=p.stored)) for p in wanted]
        return ReadImage(digest, kept, {p: p.seen(image) for p, image in pixels})
    except ImageError as error:
        return str(error)
    except MemoryError:
        return "too many pixels for this machine's memory"


def _digest(file: Path) -> bytes:
    try:
        return bytes.fromhex(sha256_of_file(file))
    except OSError as error:
        raise ImageError(f"cannot read: {error.strerror or error}") from error


class FeatureSource:
    """A model's features of images: from its store if they are there, else by an engine or PyTorch."""

    def __init__(self, model: "TaggingModel | ConvertedModel") -> None:
        self.model = model
        self.engine = model.engine()

    def kept(self, digest: bytes) -> np.ndarray | None:
        store = self.model.store
        return None if store is None else store.get(digest)

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
        squares = as_images(np.concatenate(filled)).unflatten(0, (len(filled), -1))
        if model.device.type == "cuda":
            squares = squares.pin_memory()
        try:
            found: np.ndarray = model.features(squares)[: len(images)].cpu().numpy()
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
