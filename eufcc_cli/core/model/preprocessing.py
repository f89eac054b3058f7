"""From an image file to the square of pixels a network sees, the same way in training and tagging."""

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from eufcc_cli.core.errors import ModelError
from eufcc_cli.core.images.decode import open_pixels
from eufcc_cli.core.images.resize import Filter, resize, to_rgb
from eufcc_cli.core.model.views import VIEWS

if TYPE_CHECKING:  # tagging by an engine needs no PyTorch
    import torch
    from torch import Tensor

_FILTERS = get_args(Filter)
_CROP_MODES = ("center", "squash", "border")
_VIEWS_ALONE = ("second_crop", "second_pct", "mirror")
_CLOSER = 0.75  # of the picture's short side: what the middle shows beside the whole picture


@dataclass(frozen=True)
class Preprocessing:
    """How a backbone wants its images (timm's data configuration, or open_clip's)."""

    size: int
    """Side of the square the network sees, in pixels."""
    crop_pct: float = 1.0
    """The square is the middle `crop_pct` of the image scaled to `stored` pixels."""
    crop_mode: str = "center"
    """center: the middle of the image is kept; squash: all of it, distorted; border: all, with bars."""
    interpolation: Filter = "bicubic"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    second_crop: str | None = None
    """The crop mode of a second square of every image: its scores are the mean over both."""
    second_pct: float | None = None
    """The second square's `crop_pct`, 1 by default."""
    mirror: bool = False
    """Every square is scored as it is and mirrored, too: an image's scores are the mean."""

    def __post_init__(self) -> None:
        crops = {self.crop_mode, self.second_crop or self.crop_mode}
        if self.interpolation not in _FILTERS or not crops <= set(_CROP_MODES):
            raise ModelError(
                f"preprocessing: interpolation {self.interpolation}, crop mode {self.crop_mode} unknown",
                hint=f"known: {', '.join(_FILTERS)}; {', '.join(_CROP_MODES)}",
            )
        shares = (self.crop_pct, 1.0 if self.second_pct is None else self.second_pct)
        if not 1 <= self.size <= 4096 or not all(0 < share <= 1 for share in shares):
            raise ModelError(f"preprocessing: size {self.size}, crop {self.crop_pct} make no sense")

    def __hash__(self) -> int:
        return hash(self.size)  # of all fields it would take longer, several times for each image

    @property
    def stored(self) -> int:
        """Side in pixels of the square that is decoded; training crops from it, tagging takes its middle."""
        return math.floor(self.size / self.crop_pct)

    @property
    def _crops(self) -> "list[Preprocessing]":
        """The preprocessing of every crop."""
        if self.second_crop is None:
            return [self]
        pct = self.second_pct or 1.0
        second = dataclasses.replace(
            self, crop_mode=self.second_crop, crop_pct=pct, second_crop=None, second_pct=None
        )
        return [self, second]

    @property
    def decoded(self) -> int:
        """The short side in pixels that an image has to be decoded at for all its crops."""
        return max(crop.stored for crop in self._crops)

    @property
    def crop_count(self) -> int:
        """How many crops of an image the network sees, without mirror images."""
        return 1 if self.second_crop is None else 2

    @property
    def views(self) -> int:
        """How many pictures of an image the network sees."""
        return self.crop_count * (2 if self.mirror else 1)

    def with_views(self, views: str) -> "Preprocessing":
        """The same with other views of an image, one of VIEWS.

        >>> Preprocessing(224, crop_pct=0.875).with_views("whole+mirror").views
        2
        """
        parts = views.split("+")
        if views not in VIEWS:
            raise ModelError(f"`views` {views}: no such choice", hint="choose " + ", ".join(VIEWS))
        second: dict[str, Any] = {"second_crop": None, "second_pct": None}
        if {"whole", "center"} <= set(parts):
            second = {"second_crop": "center", "second_pct": _CLOSER}
        whole: dict[str, Any] = {"crop_mode": "border", "crop_pct": 1.0} if "whole" in parts else {}
        return dataclasses.replace(self, **whole, **second, mirror="mirror" in parts)

    @classmethod
    def of_backbone(cls, backbone: "torch.nn.Module", image_size: int | None) -> "Preprocessing":
        """timm's data configuration of a backbone, at another image size if one is asked for."""
        from timm.data import resolve_data_config

        config = resolve_data_config(model=backbone)
        interpolation: Filter = config["interpolation"] if config["interpolation"] in _FILTERS else "bicubic"
        crop_mode = config["crop_mode"] if config["crop_mode"] in _CROP_MODES else "center"
        return cls(
            size=image_size or config["input_size"][-1],
            crop_pct=config["crop_pct"],
            crop_mode=crop_mode,
            interpolation=interpolation,
            mean=tuple(config["mean"]),
            std=tuple(config["std"]),
        )

    def to_json(self) -> dict[str, Any]:
        """As config.json holds it; without what is only there where an image has several views."""
        values = dataclasses.asdict(self)
        return {name: value for name, value in values.items() if name not in _VIEWS_ALONE or value}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Preprocessing":
        try:
            return cls(**{**values, "mean": tuple(values["mean"]), "std": tuple(values["std"])})
        except (KeyError, TypeError) as error:
            raise ModelError(f"preprocessing in config.json: {error}") from error

    def load(self, path: Path) -> np.ndarray:
        """The stored square of an image file: uint8 [stored, stored, 3], RGB.

        Raises ImageError with the reason where the file is not a usable image.
        """
        return self.square(open_pixels(path, short_side=self.stored))

    def square(self, pixels: np.ndarray) -> np.ndarray:
        """The stored square of an image that `open_pixels` read: uint8 [stored, stored, 3]."""
        side = self.stored
        height, width = pixels.shape[:2]
        if self.crop_mode == "squash":
            box = (0.0, 0.0, float(width), float(height))
        elif self.crop_mode == "border":
            scale = side / max(width, height)
            width, height = (max(1, round(length * scale)) for length in (width, height))
            left, top = (side - width) // 2, (side - height) // 2
            canvas = np.full((side, side, 3), [round(255 * value) for value in self.mean], np.uint8)
            small = resize(pixels, (width, height), self.interpolation)
            canvas[top : top + height, left : left + width] = to_rgb(small)
            return canvas
        else:
            shortest = min(width, height)
            left, top = (width - shortest) / 2, (height - shortest) / 2
            box = (left, top, left + shortest, top + shortest)
        # Cropping and resizing in one call: nothing outside the box is computed.
        return to_rgb(resize(pixels, (side, side), self.interpolation, box))

    def seen(self, pixels: np.ndarray) -> np.ndarray:
        """What the network sees of an image that `open_pixels` read: uint8 [crops, size, size, 3]."""
        cut = []
        for crop in self._crops:
            start = (crop.stored - self.size) // 2
            part = slice(start, start + self.size)
            cut.append(crop.square(pixels)[part, part])
        return np.stack(cut) if len(cut) > 1 else cut[0][None]

    def middle(self, images: "Tensor") -> "Tensor":
        """The crops the network sees in evaluation: [B, 3, stored, stored] -> [B, 3, size, size]."""
        start = (self.stored - self.size) // 2
        return images[..., start : start + self.size, start : start + self.size]

    def normalise(self, images: "Tensor") -> "Tensor":
        """Images in 0..255, uint8 or float -> float32 with the backbone's mean and deviation."""
        import torch

        mean = torch.tensor(self.mean, device=images.device).mul_(255).view(3, 1, 1)
        scale = torch.tensor(self.std, device=images.device).mul_(255).reciprocal_().view(3, 1, 1)
        return (images.float() - mean) * scale


def as_images(crops: np.ndarray) -> "Tensor":
    """uint8 [B, S, S, 3] -> the same memory as [B, 3, S, S], channels last."""
    import torch

    return torch.from_numpy(crops).permute(0, 3, 1, 2)
