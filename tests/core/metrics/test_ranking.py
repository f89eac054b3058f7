import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from eufcc_cli.core.errors import ModelError
from eufcc_cli.core.metrics.ranking import RankMeans, rank_metrics
from tests import oracles

KS = (1, 2, 3)


@st.composite
def batches(draw, most_tags=6):
    """Scores full of ties, and at least one true tag in every row."""
    tags = draw(st.integers(1, most_tags))
    rows = draw(st.integers(1, 4))
    value = st.sampled_from([-math.inf, -2.5, -1.0, -0.5, 0.0])
    scores = [draw(st.lists(value, min_size=tags, max_size=tags)) for _ in range(rows)]
    true = [draw(st.sets(st.integers(0, tags - 1), min_size=1)) for _ in range(rows)]
    truth = [[tag in row for tag in range(tags)] for row in true]
    return torch.tensor(scores), torch.tensor(truth)


def random_batch(rows=200, tags=60, seed=0):
    random = torch.Generator().manual_seed(seed)
    scores = torch.randn(rows, tags, generator=random)
    truth = torch.rand(rows, tags, generator=random) < 0.08
    truth[:, 7] |= ~truth.any(1)
    return scores, truth


@given(batches())
def test_equals_the_mean_over_all_orders_of_tied_tags(batch):
    scores, truth = batch
    found = rank_metrics(scores, truth, ks=KS)
    for row in range(len(scores)):
        true = {tag for tag in range(truth.shape[1]) if truth[row, tag]}
        expected = oracles.rank_metrics_by_orders(scores[row].tolist(), true, KS)
        assert {name: value[row].item() for name, value in found.items()} == pytest.approx(
            expected, abs=1e-12
        )


def test_equals_torchmetrics_without_ties():
    from torchmetrics.functional.retrieval import retrieval_r_precision  # slow to import

    scores, truth = random_batch()
    found = rank_metrics(scores, truth)["r_precision"]
    expected = [retrieval_r_precision(row, true).item() for row, true in zip(scores, truth, strict=True)]
    assert found.tolist() == pytest.approx(expected, abs=1e-6)


def test_known_extremes():
    truth = torch.tensor([[True, True, False, False, False]])
    best = rank_metrics(torch.tensor([[5.0, 4, 3, 2, 1]]), truth, ks=KS)
    assert {name: value.item() for name, value in best.items()} == {
        "r_precision": 1, "acc@1": 1, "acc@2": 1, "acc@3": 1, "avg_rp": 1.5,
    }  # fmt: skip
    worst = rank_metrics(torch.tensor([[1.0, 2, 3, 4, 5]]), truth, ks=KS)
    assert {name: value.item() for name, value in worst.items()} == {
        "r_precision": 0, "acc@1": 0, "acc@2": 0, "acc@3": 0, "avg_rp": 4.5,
    }  # fmt: skip
    # All equal: R-Precision is R / n, Acc@k the hypergeometric chance, the average rank the middle.
    tied = rank_metrics(torch.zeros(1, 5), truth, ks=KS)
    assert {name: value.item() for name, value in tied.items()} == pytest.approx(
        {"r_precision": 0.4, "acc@1": 0.4, "acc@2": 0.7, "acc@3": 0.9, "avg_rp": 3}
    )
    assert rank_metrics(torch.zeros(1, 5), torch.ones(1, 5, dtype=torch.bool))["acc@10"].item() == 1


@given(batches(), st.randoms())
def test_neither_order_nor_increasing_transforms_change_a_digit(batch, random):
    scores, truth = batch
    found = rank_metrics(scores, truth, ks=KS)
    images = random.sample(range(len(scores)), len(scores))
    tags = random.sample(range(scores.shape[1]), scores.shape[1])
    for name, value in rank_metrics(scores[images][:, tags], truth[images][:, tags], ks=KS).items():
        assert torch.equal(value, found[name][images])
    for name, value in rank_metrics(torch.exp(scores) * 3 + 1, truth, ks=KS).items():
        assert torch.equal(value, found[name])


def test_means_are_the_same_to_the_last_digit_however_the_images_are_batched():
    scores, truth = random_batch()
    scores = scores.round(decimals=1)  # ties, so that values are fractions
    whole = RankMeans()
    whole.update("materials", rank_metrics(scores[:150], truth[:150]))
    whole.update("subjects", rank_metrics(scores[150:], truth[150:]))
    shards = [RankMeans(), RankMeans()]
    for start in reversed(range(0, 150, 7)):
        end = min(start + 7, 150)
        shards[start % 2].update("materials", rank_metrics(scores[start:end], truth[start:end]))
    shards[1].update("subjects", rank_metrics(scores[150:], truth[150:]))
    merged = RankMeans().merge(shards).compute()
    expected = whole.compute()
    assert merged == expected
    assert expected["overall"]["pairs"] == 200
    assert expected["macro"]["acc@1"] == pytest.approx(
        (expected["facets"]["materials"]["acc@1"] + expected["facets"]["subjects"]["acc@1"]) / 2
    )
    assert math.isnan(RankMeans().compute()["overall"].get("acc@1", math.nan))


def test_blocks_do_not_show(monkeypatch):
    scores, truth = random_batch()
    found = rank_metrics(scores, truth)
    monkeypatch.setattr("eufcc_cli.core.metrics.ranking._CPU_BLOCK", 100)
    for name, value in rank_metrics(scores, truth).items():
        assert torch.equal(value, found[name])


def test_refuses_what_has_no_answer():
    scores, truth = random_batch(rows=3)
    scores[1, 4] = math.nan
    with pytest.raises(ModelError, match=r"image 1 .*NaN"):
        rank_metrics(scores, truth)
    with pytest.raises(ValueError, match="at least one true tag"):
        rank_metrics(torch.zeros(2, 3), torch.tensor([[True, False, False], [False] * 3]))
    with pytest.raises(ValueError, match="must be one"):
        rank_metrics(torch.zeros(2, 3), torch.zeros(2, 4, dtype=torch.bool))
    with pytest.raises(ValueError, match="at least 1"):
        rank_metrics(torch.zeros(1, 1), torch.ones(1, 1, dtype=torch.bool), ks=[0])


def test_an_empty_batch_has_empty_figures():
    found = rank_metrics(torch.zeros(0, 4), torch.zeros(0, 4, dtype=torch.bool))
    assert {name: value.shape for name, value in found.items()} == dict.fromkeys(
        ["r_precision", "acc@1", "acc@10", "avg_rp"], torch.Size([0])
    )


def test_means_keep_float64():
    means = RankMeans()
    means.update("materials", {"acc@1": np.full(10, 0.1)})
    assert means.compute()["facets"]["materials"]["acc@1"] == 0.1
