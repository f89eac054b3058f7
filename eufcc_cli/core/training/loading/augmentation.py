"""Random variations of training images.

`light` works on whole batches on the network's device, in one resampling and one colour matrix per
image: on a GPU it costs next to nothing, on a CPU a few per cent of a small network's step. `strong`
adds timm's RandAugment (in the decoding processes) and random erasing.
"""

import random
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from eufcc_cli.core.model.preprocessing import Preprocessing

_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Augmentation:
    """The strength of the variations: half-widths of uniform distributions."""

    scale: float = 0.15
    aspect: float = 0.08
    turn: float = 0.12
    """Radians."""
    shift: float = 0.08
    """Shares of half the side."""
    brightness: float = 0.15
    contrast: float = 0.2
    saturation: float = 0.25
    tint: float = 0.05
    erase: float = 0.0
    """Probability that a rectangle of an image is erased."""

    def apply(self, images: Tensor, preprocessing: Preprocessing, draws: Tensor) -> Tensor:
        """uint8 [B, 3, stored, stored] -> float32 [B, 3, size, size], varied and normalised.

        By given uniform numbers [B, 12], so that a share of a batch varies as in the whole.
        """
        device = images.device
        signed = (draws.to(device) * 2 - 1).unbind(1)
        zoom = preprocessing.size / preprocessing.stored * torch.exp(signed[0] * self.scale)
        stretch = torch.exp(signed[1] * self.aspect)
        angle = signed[2] * self.turn
        flip = torch.sign(signed[3])
        cos, sin = torch.cos(angle), torch.sin(angle)
        rows = [
            torch.stack([zoom * stretch * cos * flip, -zoom * stretch * sin, signed[4] * self.shift], 1),
            torch.stack([zoom / stretch * sin * flip, zoom / stretch * cos, signed[5] * self.shift], 1),
        ]
        theta = torch.stack(rows, 1)
        side = preprocessing.size
        grid = functional.affine_grid(theta, [len(images), 3, side, side], align_corners=False)
        floats = images.float()
        varied = functional.grid_sample(floats, grid, padding_mode="reflection", align_corners=False)
        return self._erased(self._coloured(varied, floats, signed, preprocessing), draws)

    def _coloured(
        self, varied: Tensor, floats: Tensor, signed: tuple[Tensor, ...], preprocessing: Preprocessing
    ) -> Tensor:
        # Saturation, contrast, brightness, tint and the backbone's normalisation are one affine map of
        # colours: y = A x + b, computed per image and applied in one product.
        device = varied.device
        luma = torch.tensor(_LUMA, device=device)
        eye = torch.eye(3, device=device)
        saturation = torch.exp(signed[6] * self.saturation).view(-1, 1, 1)
        matrix = saturation * eye + (1 - saturation) * luma.expand(3, 3)
        contrast = torch.exp(signed[7] * self.contrast)
        gain = contrast * torch.exp(signed[8] * self.brightness)
        tint = torch.exp(torch.stack(signed[9:12], 1) * self.tint)
        mean_light = (floats.mean((2, 3)) * luma).sum(1)
        offset = (mean_light * (1 - contrast) * gain / contrast).view(-1, 1).expand(-1, 3)
        matrix = matrix * (gain.view(-1, 1) * tint).unsqueeze(2)
        mean = torch.tensor(preprocessing.mean, device=device) * 255
        std = torch.tensor(preprocessing.std, device=device) * 255
        matrix = matrix / std.view(1, 3, 1)
        offset = (offset * tint - mean) / std
        batch, _, height, width = varied.shape
        flat = torch.baddbmm(offset.unsqueeze(2), matrix, varied.reshape(batch, 3, height * width))
        return flat.view(batch, 3, height, width)

    def _erased(self, images: Tensor, draws: Tensor) -> Tensor:
        if not self.erase:
            return images
        # A rectangle of up to half the side, where the image's own draws put it (Zhong et al. 2020).
        side = images.shape[-1]
        place = torch.arange(side, device=images.device)
        fraction = (draws * 997.0).frac().to(images.device)  # further uniform numbers from the same draws
        height, width = (0.1 + 0.4 * fraction[:, 0]) * side, (0.1 + 0.4 * fraction[:, 1]) * side
        top, left = fraction[:, 2] * (side - height), fraction[:, 3] * (side - width)
        in_rows = (place >= top[:, None]) & (place < (top + height)[:, None])
        in_columns = (place >= left[:, None]) & (place < (left + width)[:, None])
        hit = (fraction[:, 4] < self.erase)[:, None, None] & in_rows[:, :, None] & in_columns[:, None, :]
        return images.masked_fill(hit.unsqueeze(1), 0.0)


AUGMENTATIONS: dict[str, Augmentation | None] = {
    "none": None,
    "light": Augmentation(),
    "strong": Augmentation(erase=0.25),
}


def randaugment(square: np.ndarray, preprocessing: Preprocessing, seed: tuple[int, ...]) -> np.ndarray:
    """timm's RandAugment (magnitude up to 9, two operations) of one stored square, repeatable by its seed."""
    from timm.data.auto_augment import rand_augment_transform

    mean = tuple(round(255 * value) for value in preprocessing.mean)
    # Magnitudes vary around 9, none above: at 10 timm would keep 0 bits of a colour, which Pillow rejects.
    recipe = "rand-m9-mmax9-n2-mstd0.5-inc1"
    transform = rand_augment_transform(recipe, {"translate_const": 10, "img_mean": mean})
    digest = int(np.random.SeedSequence(seed).generate_state(1)[0])
    # timm draws from the global generators, which only this decoding process uses.
    random.seed(digest)
    np.random.seed(digest)
    return np.asarray(transform(Image.fromarray(square)))
