import numpy as np
import pytest
import torch

from eufcc_cli.core.model.preprocessing import Preprocessing
from eufcc_cli.core.training.loading.augmentation import AUGMENTATIONS, Augmentation, randaugment

PREPROCESSING = Preprocessing(size=32, crop_pct=0.8)
NOTHING = Augmentation(scale=0, aspect=0, turn=0, shift=0, brightness=0, contrast=0, saturation=0, tint=0)


def images(count: int = 6) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    small = torch.rand(count, 3, 8, 8, generator=generator) * 255
    return torch.nn.functional.interpolate(small, 40, mode="bilinear").to(torch.uint8)


def test_no_variation_is_the_evaluation_view() -> None:
    draws = torch.rand(6, 12)
    draws[:, 3] = 0.9  # not mirrored
    found = NOTHING.apply(images(), PREPROCESSING, draws)
    expected = PREPROCESSING.normalise(PREPROCESSING.middle(images()))
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)


def test_mirroring_mirrors() -> None:
    draws = torch.rand(6, 12)
    draws[:, 3] = 0.1
    found = NOTHING.apply(images(), PREPROCESSING, draws)
    expected = PREPROCESSING.normalise(PREPROCESSING.middle(images())).flip(3)
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize("name", ["light", "strong"])
def test_a_share_of_a_batch_varies_as_in_the_whole(name: str) -> None:
    augmentation = AUGMENTATIONS[name]
    assert augmentation is not None
    draws = torch.rand(6, 12, generator=torch.Generator().manual_seed(5))
    whole = augmentation.apply(images(), PREPROCESSING, draws)
    share = augmentation.apply(images()[1::2], PREPROCESSING, draws[1::2])
    torch.testing.assert_close(share, whole[1::2])
    assert whole.shape == (6, 3, 32, 32)
    assert torch.isfinite(whole).all()
    assert (whole - PREPROCESSING.normalise(PREPROCESSING.middle(images()))).abs().mean() > 0.05


def test_colours_follow_the_formula_of_one_image() -> None:
    augmentation = Augmentation(scale=0, aspect=0, turn=0, shift=0)
    draws = torch.rand(6, 12, generator=torch.Generator().manual_seed(8))
    draws[:, 3] = 0.9
    found = augmentation.apply(images(), PREPROCESSING, draws)
    signed = draws * 2 - 1
    pixels = PREPROCESSING.middle(images()).float()
    for i in range(6):
        saturation, contrast, light = (
            np.exp(float(signed[i, 6]) * augmentation.saturation),
            np.exp(float(signed[i, 7]) * augmentation.contrast),
            np.exp(float(signed[i, 8]) * augmentation.brightness),
        )
        luma = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
        grey = (pixels[i] * luma).sum(0, keepdim=True)
        mean = (images()[i].float().mean((1, 2)) * luma.flatten()).sum()
        expected = grey + saturation * (pixels[i] - grey)
        expected = (mean + contrast * (expected - mean)) * light
        expected *= torch.exp(signed[i, 9:12] * augmentation.tint).view(3, 1, 1)
        torch.testing.assert_close(found[i], PREPROCESSING.normalise(expected), atol=2e-2, rtol=0)


def test_randaugment_is_repeatable_by_its_seed() -> None:
    square = images(1)[0].permute(1, 2, 0).numpy()
    first, again = (randaugment(square, PREPROCESSING, (1, 2)) for _ in range(2))
    assert np.array_equal(first, again)
    others = [randaugment(square, PREPROCESSING, (1, n)) for n in range(3, 2000)]  # none of them fails
    assert any(not np.array_equal(first, other) for other in others)
