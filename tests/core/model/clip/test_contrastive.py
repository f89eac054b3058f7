import numpy as np
import open_clip
import pytest
import torch
import torch.multiprocessing
from torch import nn

from eufcc_cli.core.model.clip.contrastive import cached_gradients, contrastive_loss
from tests.core.model.clip.one_of_two import features, one_of_two
from tests.oracles import contrastive_loss_of


@pytest.mark.parametrize("keys", [[0, 1, 2, 3, 4], [7, 7, 7, 7, 7], [3, -1, 3, 2**62, -1], [0]])
def test_equal_captions_are_positives_of_each_other(keys):
    images, captions = features(len(keys))
    loss = contrastive_loss(images, captions, torch.tensor(7.0), torch.tensor(keys))
    expected = contrastive_loss_of(images.tolist(), captions.tolist(), 7.0, keys)
    assert loss.item() == pytest.approx(expected, rel=1e-9)


def test_different_captions_give_the_loss_of_open_clip():
    images, captions = features(12)
    loss = contrastive_loss(images, captions, torch.tensor(9.0), torch.arange(12))
    peer = open_clip.ClipLoss()(images, captions, torch.tensor(9.0))
    torch.testing.assert_close(loss / 12, peer)


def test_images_of_one_caption_do_not_push_each_other_away():
    images = nn.functional.normalize(torch.tensor([[1.0, 0.1], [1.0, -0.1], [-1.0, 0.0]]), dim=-1)
    captions = torch.tensor([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    alone, equal = (
        contrastive_loss(images, captions, torch.tensor(50.0), torch.tensor(keys)).item()
        for keys in ([0, 1, 2], [0, 0, 2])
    )
    assert equal == pytest.approx(0, abs=1e-6) and alone == pytest.approx(2 * np.log(2), rel=0.1)


def test_a_batch_of_one_caption_has_nothing_to_learn():
    images, captions = (rows.requires_grad_() for rows in features(4))
    loss = contrastive_loss(images, captions, torch.tensor(5.0), torch.zeros(4, dtype=torch.long))
    loss.backward()
    assert loss == 0 and images.grad.abs().max() == captions.grad.abs().max() == 0


def test_gradients_are_those_of_the_loss():
    images, captions = (rows.requires_grad_() for rows in features(6))
    scale, keys = torch.tensor(3.0, dtype=torch.float64, requires_grad=True), torch.tensor([0, 1, 0, 2, 3, 0])
    assert torch.autograd.gradcheck(lambda *x: contrastive_loss(*x, keys), (images, captions, scale))


class Towers(nn.Module):
    """Two small towers with dropout, and the factor of their cosines."""

    def __init__(self):
        super().__init__()
        self.image = nn.Sequential(nn.Linear(6, 20), nn.Tanh(), nn.Dropout(0.3), nn.Linear(20, 5))
        self.caption = nn.Sequential(nn.Linear(4, 20), nn.Tanh(), nn.Dropout(0.3), nn.Linear(20, 5))
        self.log_scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, images, captions):
        rows = self.image(images), self.caption(captions)
        return *(nn.functional.normalize(x, dim=-1) for x in rows), self.log_scale.exp()


def gradients(model):
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("parts", [1, 3, 7])
def test_gradients_in_parts_are_those_of_the_whole_batch(parts):
    torch.manual_seed(0)
    model, keys = Towers(), torch.tensor([0, 1, 2, 0, 3, 4, 1])
    images, captions = torch.randn(7, 6), torch.randn(7, 4)
    shares = np.array_split(np.arange(7), parts)
    torch.manual_seed(5)
    # The whole batch, with the dropout that its parts draw one after the other.
    rows = [model(images[share], captions[share]) for share in shares]
    image_rows, caption_rows = (torch.cat([row[side] for row in rows]) for side in (0, 1))
    whole = contrastive_loss(image_rows, caption_rows, rows[0][2], keys)
    whole.backward()
    expected, drawn = gradients(model), torch.get_rng_state()
    model.zero_grad()

    torch.manual_seed(5)
    loss = cached_gradients(
        lambda part: model(images[shares[part]], captions[shares[part]]),
        parts,
        lambda *x: contrastive_loss(*x, keys),
        torch.Tensor.backward,
        torch.device("cpu"),
    )
    assert loss.item() == pytest.approx(whole.item(), rel=1e-6)
    for name, gradient in gradients(model).items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-5, atol=1e-6)
    assert torch.equal(torch.get_rng_state(), drawn)


def test_two_processes_compare_all_pairs(tmp_path):
    torch.multiprocessing.spawn(one_of_two, (str(tmp_path / "store"), str(tmp_path / "found")), nprocs=2)
    first, second = (torch.load(tmp_path / f"found.{rank}") for rank in range(2))
    images, captions = (rows.requires_grad_() for rows in features(7))
    scale = torch.tensor(4.0, requires_grad=True)
    loss = contrastive_loss(images, captions, scale, torch.tensor([0, 1, 0, 2, 3, 0, 2]))
    loss.backward()
    torch.testing.assert_close(first[0] + second[0], loss.detach())
    torch.testing.assert_close(first[3] + second[3], scale.grad)
    for part, whole in ((1, images.grad), (2, captions.grad)):
        torch.testing.assert_close(first[part], whole[0::2])
        torch.testing.assert_close(second[part], whole[1::2])
