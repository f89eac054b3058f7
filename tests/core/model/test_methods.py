import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from timm.loss import AsymmetricLossMultiLabel

from eufcc_cli.core.errors import ModelError
from eufcc_cli.core.metrics.ranking import rank_metrics
from eufcc_cli.core.model.methods import METHODS
from eufcc_cli.core.taxonomy.vocabulary import FacetVocabulary
from tests.oracles import STOP, method_loss, method_scores, path_of

VISION = [name for name, method in METHODS.items() if not method.reads_texts]
VARIANTS = [(name, {}) for name in VISION] + [
    ("hsoftmax-nodes", {"stop": True}),
    ("asl", {"gamma_pos": 1.0, "gamma_neg": 4.0, "asl_clip": 0.0}),
    ("multilabel", {"deeper_unknown": True}),
    ("multilabel-coherent", {"deeper_unknown": True}),
    ("asl", {"deeper_unknown": True}),
    ("asl", {"gamma_pos": 0.5, "gamma_neg": 0.5, "asl_clip": 0.2}),
]
every_variant = pytest.mark.parametrize(("name", "options"), VARIANTS, ids=lambda value: str(value))
CLOSED = [name for name in VISION if name.startswith("hsoftmax") or name == "multilabel-coherent"]

#        0
#   1    2    5         an only child (1 under 0 has none; 3 under 2; 4 under 3), siblings 6 and 7
PARENTS = (-1, 0, 0, 2, 3, -1, 5, 5)


def facet(parents=PARENTS):
    return FacetVocabulary(tuple(f"tag {i}" for i in range(len(parents))), tuple(parents))


def build(name, options, parents=PARENTS, counts=None):
    counts = np.arange(len(parents)) % 4 if counts is None else np.asarray(counts)
    return METHODS[name].for_facet(facet(parents), counts, **options)


def stop_outputs(method, parents):
    """The stop outputs in the documented order: after the tags, one for each inner tag."""
    inner = sorted({parent for parent in parents if parent >= 0})
    return [(STOP, parent) for parent in inner][: method.outputs - len(parents)]


trees = st.one_of(
    st.integers(1, 8).flatmap(lambda n: st.tuples(*(st.integers(-1, i - 1) for i in range(n)))),
    st.integers(1, 12).map(lambda n: tuple(range(-1, n - 1))),  # one chain of only children
    st.just((-1,)),
)


@st.composite
def images(draw, parents):
    """Logits and true tags of a few images; annotated to any depth, closed under ancestors or not."""
    rows = draw(st.integers(1, 4))
    truth = draw(st.lists(st.lists(st.booleans(), min_size=len(parents), max_size=len(parents)),
                          min_size=rows, max_size=rows))  # fmt: skip
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return torch.tensor(truth), rng


@every_variant
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_losses_and_scores_are_those_of_the_definition(name, options, data):
    parents = data.draw(trees)
    truth, rng = data.draw(images(parents))
    counts = rng.integers(0, 5, len(parents))
    method = build(name, options, parents, counts)
    z = torch.from_numpy(rng.normal(scale=3, size=(len(truth), method.outputs)))

    losses = method.loss(z, truth).tolist()
    scores = method.log_scores(z).exp().tolist()

    assert method.log_scores(z).dtype == torch.float32
    outputs = [*range(len(parents)), *stop_outputs(method, parents)]
    stop = {"stop": options.get("stop", False)}
    for row in range(len(truth)):
        by_output = dict(zip(outputs, z[row].tolist(), strict=True))
        true = set(np.flatnonzero(truth[row].numpy()).tolist())
        expected = method_loss(name, parents, by_output, true, counts.tolist(), **{**stop, **options})
        assert losses[row] == pytest.approx(expected, rel=1e-6, abs=1e-9)
        assert scores[row] == pytest.approx(
            method_scores(name, parents, by_output, **stop), rel=1e-4, abs=1e-9
        )


@every_variant
def test_gradients_are_those_of_the_loss(name, options):
    method = build(name, options)
    torch.manual_seed(0)
    z = torch.randn(6, method.outputs, dtype=torch.float64, requires_grad=True)
    truth = torch.rand(6, len(PARENTS)) < 0.4
    truth[0] = False
    assert torch.autograd.gradcheck(lambda z: method.loss(z, truth), z)


@every_variant
def test_an_image_without_annotation_has_neither_loss_nor_gradient(name, options):
    method = build(name, options)
    torch.manual_seed(0)
    z = (5 * torch.randn(3, method.outputs)).requires_grad_()
    truth = torch.zeros(3, len(PARENTS), dtype=torch.bool)
    truth[1, [0, 2]] = True
    losses = method.loss(z, truth)
    losses.sum().backward()
    assert losses[[0, 2]].tolist() == [0, 0]
    assert z.grad[[0, 2]].abs().max() == 0
    assert losses[1] > 0 and z.grad[1].abs().max() > 0


@every_variant
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_extreme_logits_stay_finite(name, options, dtype):
    method = build(name, options)
    torch.manual_seed(0)
    signs = torch.randint(0, 2, (64, method.outputs)) * 2.0 - 1
    z = torch.cat([1e4 * signs, torch.zeros(1, method.outputs), 1e4 * torch.ones(1, method.outputs)])
    z = z.to(dtype).requires_grad_()
    losses = method.loss(z, torch.rand(66, len(PARENTS)) < 0.5)
    losses.sum().backward()
    scores = method.log_scores(z)
    assert losses.isfinite().all() and losses.min() >= 0
    assert z.grad.isfinite().all()
    assert scores.isfinite().all() and scores.max() <= 0


@every_variant
def test_bf16_logits_are_computed_in_float32(name, options):
    method = build(name, options)
    torch.manual_seed(0)
    z = (5 * torch.randn(16, method.outputs)).bfloat16()
    truth = torch.rand(16, len(PARENTS)) < 0.4
    with torch.autocast("cpu", torch.bfloat16):
        loss, scores = method.loss(z, truth), method.log_scores(z)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, method.loss(z.float(), truth))
    assert torch.equal(scores, method.log_scores(z.float()))


@every_variant
def test_a_compiled_loss_is_one_graph_and_the_same(name, options):
    method = build(name, options)
    torch.manual_seed(0)
    z, truth = torch.randn(4, method.outputs), torch.rand(4, len(PARENTS)) < 0.4
    compiled = torch.compile(method.loss, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(z, truth), method.loss(z, truth))


@pytest.mark.parametrize("name", CLOSED)
def test_ancestors_of_true_tags_are_true_in_hierarchical_methods(name):
    method = build(name, {})
    torch.manual_seed(0)
    z = torch.randn(1, method.outputs)
    leaf, path = (
        torch.zeros(1, len(PARENTS), dtype=torch.bool),
        torch.zeros(1, len(PARENTS), dtype=torch.bool),
    )
    leaf[0, 4] = True
    path[0, path_of(4, PARENTS)] = True
    assert torch.equal(method.loss(z, leaf), method.loss(z, path))


def test_groups_sum_to_one():
    torch.manual_seed(0)
    z = 3 * torch.randn(5, 8)
    one = torch.ones(5)
    torch.testing.assert_close(build("softmax", {}).log_scores(z).exp().sum(-1), one)

    scores = build("hsoftmax-nodes", {}).log_scores(z).exp()
    torch.testing.assert_close(scores[:, [0, 5]].sum(-1), one)
    for parent, children in {0: [1, 2], 2: [3], 3: [4], 5: [6, 7]}.items():
        torch.testing.assert_close(scores[:, children].sum(-1), scores[:, parent])

    scores = build("hsoftmax-levels", {}).log_scores(z).exp()
    own = scores.clone()
    for tag, parent in enumerate(PARENTS):
        if parent >= 0:
            own[:, tag] = scores[:, tag] / scores[:, parent]
    for level in ([0, 5], [1, 2, 6, 7], [3], [4]):
        torch.testing.assert_close(own[:, level].sum(-1), one)


def test_a_stop_output_takes_its_share_of_the_parent():
    method = build("hsoftmax-nodes", {"stop": True})
    assert method.outputs == 8 + 4  # inner tags 0, 2, 3, 5
    torch.manual_seed(0)
    z = 3 * torch.randn(50, method.outputs)
    scores = method.log_scores(z)
    for tag, parent in enumerate(PARENTS):
        if parent >= 0:
            assert (scores[:, tag] < scores[:, parent]).all()
    # The share of "none of these" under 3, whose only child is 4: a sigmoid of the two logits.
    torch.testing.assert_close(
        scores[:, 4] - scores[:, 3], torch.nn.functional.logsigmoid(z[:, 4] - z[:, 10])
    )


@settings(max_examples=60, deadline=None)
@given(parents=trees, seed=st.integers(0, 2**32), scale=st.sampled_from([1.0, 30.0, 1e4]))
def test_no_tag_scores_above_its_ancestors(parents, seed, scale):
    for name in CLOSED:
        method = build(name, {}, parents)
        z = torch.randn(4, method.outputs, generator=torch.Generator().manual_seed(seed)) * scale
        scores = method.log_scores(z)
        for tag, parent in enumerate(parents):
            if parent >= 0:
                assert (scores[:, tag] <= scores[:, parent]).all()


@pytest.mark.parametrize(
    "options",
    [options for name, options in VARIANTS if name == "asl" and "deeper_unknown" not in options]
    + [{"asl_clip": 0.1}],
)
def test_asymmetric_loss_is_that_of_timm(options):
    method = build("asl", options)
    given_options = {"gamma_pos": 0.0, "gamma_neg": 2.0, "asl_clip": 0.05, **options}
    given_options["clip"] = given_options.pop("asl_clip")
    peer = AsymmetricLossMultiLabel(**given_options, reduction="none")
    torch.manual_seed(0)
    z, truth = torch.randn(20, 8), torch.rand(20, 8) < 0.3
    truth[:, 0] = True
    torch.testing.assert_close(method.loss(z, truth), peer(z, truth.float()).mean(-1))


@every_variant
def test_sixteen_images_are_learnt_by_heart(name, options):
    rng = np.random.default_rng(0)
    # Three top-level tags, a binary tree below each. Without a stop output (and at depths that nothing
    # trains), what lies below the end of an annotation is not learned: those variants see leaves.
    parents = [-1] * 3 + [i // 2 for i in range(18)]
    method = build(name, options, parents, rng.integers(1, 9, len(parents)))
    inner_ends = name != "hsoftmax-levels" and options.get("stop", False)
    truth = torch.zeros(16, len(parents), dtype=torch.bool)
    for row in truth:
        for tag in rng.choice(np.arange(0 if inner_ends else 9, len(parents)), size=1 + rng.integers(2)):
            row[path_of(int(tag), parents)] = True

    torch.manual_seed(0)
    features, head = torch.randn(16, 32), torch.nn.Linear(32, method.outputs)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.1)
    for _ in range(150):
        optimizer.zero_grad()
        method.loss(head(features), truth).mean().backward()
        optimizer.step()
    assert rank_metrics(method.log_scores(head(features)), truth)["r_precision"].tolist() == [1.0] * 16


@pytest.mark.parametrize("name", ["multilabel", "asl", "multilabel-coherent"])
def test_prior_biases_of_independent_tags_are_their_shares(name):
    counts = np.array([50, 20, 10, 0, 0, 99, 1, 5])
    bias = build(name, {}, counts=counts).prior_bias(counts, 100)
    assert bias.dtype == torch.float32
    np.testing.assert_allclose(bias.sigmoid(), (counts + 0.5) / 101, rtol=1e-5)


@pytest.mark.parametrize("name", ["softmax", "hsoftmax-levels", "hsoftmax-nodes"])
def test_prior_biases_of_groups_are_the_shares_inside_them(name):
    # Images that end at 0, 1, 3, 4 and 6: one path each, so that the counts tell the ends.
    ends = {0: 300, 1: 200, 3: 100, 4: 300, 6: 100}
    counts = np.zeros(8)
    for end, images in ends.items():
        counts[path_of(end, PARENTS)] += images
    method = build(name, {"stop": True} if name == "hsoftmax-nodes" else {}, counts=counts)
    bias = method.prior_bias(counts, 1000)
    assert bias.dtype == torch.float32
    scores = method.log_scores(bias[None]).exp()[0].numpy()
    share = {
        "softmax": counts / counts.sum(),
        # The levels hold 1000, 700, 400 and 300 of the images.
        "hsoftmax-levels": [0.9, 0.9 * 2 / 7, 0.9 * 4 / 7, 0.9 * 4 / 7, 0.9 * 4 / 7, 0.1, 0.1 / 7, 0],
        "hsoftmax-nodes": counts / 1000,
    }[name]
    np.testing.assert_allclose(scores, share, atol=0.002)


@every_variant
def test_methods_follow_a_device(name, options):
    method = build(name, options).to("meta")
    z = torch.zeros(2, method.outputs, device="meta")
    truth = torch.zeros(2, len(PARENTS), dtype=torch.bool, device="meta")
    assert method.loss(z, truth).shape == (2,)
    assert method.log_scores(z).shape == (2, len(PARENTS))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("softmax", {"stop": True}, "softmax: no setting stop"),
        ("asl", {"gamma": 1}, "asl: no setting gamma"),
        ("asl", {"gamma_neg": -1.0}, "`gamma_neg` -1.0"),
        ("asl", {"asl_clip": 1.0}, "`asl_clip` 1.0"),
    ],
)
def test_options_that_make_no_sense_are_refused(name, options, message):
    with pytest.raises(ModelError, match=message):
        build(name, options)


def test_a_facet_without_tags_is_refused():
    with pytest.raises(ModelError, match="without tags"):
        METHODS["softmax"].for_facet(FacetVocabulary((), ()))


def test_weighted_softmax_scores_but_does_not_train_without_counts():
    method = METHODS["softmax-wce"].for_facet(facet())
    assert method.log_scores(torch.zeros(1, 8)).exp().sum().item() == pytest.approx(1)
    with pytest.raises(ModelError, match="number of images"):
        method.loss(torch.zeros(1, 8), torch.ones(1, 8, dtype=torch.bool))


LEARNS = [(name, options) for name, options in VARIANTS if METHODS[name].learns_rejections]


@pytest.mark.parametrize(("name", "options"), LEARNS, ids=lambda value: str(value))
def test_unknown_tags_are_left_out_of_the_loss(name, options):
    """With everything known the loss is the same; what is unknown has no gradient."""
    method = build(name, options)
    torch.manual_seed(0)
    z = torch.randn(5, method.outputs, dtype=torch.float64, requires_grad=True)
    truth = torch.rand(5, len(PARENTS)) < 0.3
    truth[:, 0] = True
    torch.testing.assert_close(method.loss(z, truth, torch.ones_like(truth)), method.loss(z, truth))
    known = torch.zeros_like(truth)
    known[1:, [5, 6]] = True
    truth[:] = False
    truth[2:, 5] = True
    losses = method.loss(z, truth, known)
    assert losses[0] == 0
    single = torch.stack([method.tag_losses(z, truth)[:, i] for i in (5, 6)]).mean(0)
    if name != "multilabel-coherent":
        torch.testing.assert_close(losses[1:], single[1:])
    losses.sum().backward()
    assert z.grad[0].abs().max() == 0
    assert z.grad[1:, :5].abs().max() == 0
    assert torch.autograd.gradcheck(lambda z: method.loss(z, truth, known), z)


@pytest.mark.parametrize("name", [name for name in VISION if not METHODS[name].learns_rejections])
def test_a_softmax_takes_the_true_tags_alone(name):
    method = build(name, {})
    z = torch.randn(3, method.outputs)
    truth = torch.zeros(3, len(PARENTS), dtype=torch.bool)
    truth[0, [0, 2]] = True
    assert torch.equal(method.loss(z, truth, ~truth), method.loss(z, truth))
