"""The vision baselines: what one linear head's outputs mean, how they are trained, how scores come out.

Every method reads the same logits z of a facet with tags 1..n. What differs is how the outputs are grouped
and normalised, what the targets inside a group are, and how a tag's score is put together:

====================  =======================  ====================================  =====================
method                groups                   target                                score of a tag
====================  =======================  ====================================  =====================
multilabel            each tag alone           every true tag                        sigmoid
asl                   each tag alone           every true tag, asymmetric focus      sigmoid
multilabel-coherent   each tag alone           closed under ancestors                largest sigmoid below it
softmax               one                      uniform over the true tags            softmax
softmax-wce           one                      as softmax, rare tags weigh more      softmax
hsoftmax-levels       the tags of one depth    uniform over a depth's true tags      product along the path
hsoftmax-nodes        the children of one tag  uniform over a tag's true children    product along the path
====================  =======================  ====================================  =====================

All of it is computed in log space, in float32 at least, whatever the precision of the logits. The loss of an
image in a facet is the mean over its groups; an image without true tags has no loss and no gradient.

Inside, arrays are laid out outputs x batch: sums over groups then add whole rows, which is several times
faster than adding single elements, and needs no loop over groups.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eufcc_cli.core.errors import ModelError
from eufcc_cli.core.model.tag_tree import Tree
from eufcc_cli.core.taxonomy.vocabulary import FacetVocabulary


class FacetMethod(nn.Module, ABC):
    """One method on the head of one facet: index buffers that follow the device, no parameters.

    The buffers come from the vocabulary, so that a saved model does not hold them.
    """

    outputs: int
    """How many logits the head has to give: one for each tag, and what the method needs besides."""

    @abstractmethod
    def loss(self, logits: Tensor, truth: Tensor) -> Tensor:
        """The loss [B] of each image from its logits [B, outputs] and true tags bool [B, n].

        Rows without a true tag (the facet is not annotated) have a loss and a gradient of exactly 0.
        """

    @abstractmethod
    def log_scores(self, logits: Tensor) -> Tensor:
        """Logarithms [B, n], float32, of the tags' scores in [0, 1], from logits [B, outputs].

        They rank tags whose scores themselves round to 0.
        """

    @abstractmethod
    def prior_bias(self, counts: np.ndarray, images: int) -> Tensor:
        """Biases [outputs] with which a head gives every tag its share of the training images.

        counts int [n]: the images with each tag; images: the images annotated in the facet.
        """


class Independent(FacetMethod):
    """Every tag is a question of its own: sigmoid and binary cross-entropy, the mean over the tags."""

    def __init__(self, vocabulary: FacetVocabulary, counts: np.ndarray | None) -> None:
        super().__init__()
        self.outputs = len(vocabulary)

    def loss(self, logits: Tensor, truth: Tensor) -> Tensor:
        return self.tag_losses(full_precision(logits), truth).mean(-1) * truth.any(-1)

    def tag_losses(self, z: Tensor, truth: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(z, truth.to(z.dtype), reduction="none")

    def log_scores(self, logits: Tensor) -> Tensor:
        return F.logsigmoid(logits.float())

    def prior_bias(self, counts: np.ndarray, images: int) -> Tensor:
        share = (counts + 0.5) / (images + 1.0)
        return torch.from_numpy(np.log(share) - np.log1p(-share)).float()


class Asymmetric(Independent):
    """Asymmetric loss (Ridnik et al. 2021, equations 4 to 7), the mean over the tags.

    L+ = -(1-p)^gamma_pos log p, L- = -q^gamma_neg log(1-q), where q = max(p - clip, 0).
    """

    def __init__(
        self,
        vocabulary: FacetVocabulary,
        counts: np.ndarray | None,
        *,
        gamma_pos: float,
        gamma_neg: float,
        clip: float,
    ) -> None:
        super().__init__(vocabulary, counts)
        if min(gamma_pos, gamma_neg) < 0 or not 0 <= clip < 1:
            raise ModelError(
                f"asl: gamma_pos={gamma_pos}, gamma_neg={gamma_neg}, clip={clip} make no loss",
                hint="the gammas have to be 0 or more, clip has to be in [0, 1)",
            )
        self.gamma_pos, self.gamma_neg, self.clip = gamma_pos, gamma_neg, clip

    def tag_losses(self, z: Tensor, truth: Tensor) -> Tensor:
        log_p, log_not_p = F.logsigmoid(z), F.logsigmoid(-z)
        positive = log_p * (self.gamma_pos * log_not_p).exp()
        if self.clip:
            # Not below the smallest number: the gradient of 0 ** gamma would be infinite for gamma < 1.
            q = (log_p.exp() - self.clip).clamp_min(torch.finfo(z.dtype).tiny)
            negative = torch.log1p(-q) * q**self.gamma_neg
        else:
            negative = log_not_p * (self.gamma_neg * log_p).exp()
        return -torch.where(truth, positive, negative)


class Coherent(Independent):
    """No tag scores above its ancestors: C-HMCNN (Giunchiglia and Lukasiewicz, NeurIPS 2020).

    The score of t is the largest sigmoid of t and its descendants. Their max-constraint loss (equation 3)
    takes, for a true tag, the largest among its true descendants only. The maxima climb the tree from
    the deepest tags, depth by depth; the sigmoid grows with z, so that they are taken of the logits.
    """

    def __init__(self, vocabulary: FacetVocabulary, counts: np.ndarray | None) -> None:
        super().__init__(vocabulary, counts)
        self.tree = Tree(vocabulary)

    def loss(self, logits: Tensor, truth: Tensor) -> Tensor:
        z, closed = full_precision(logits).T.contiguous(), self.tree.closed(truth.T.contiguous())
        # Below a tag that is not true there is none that is: one climb gives both maxima.
        return self.tag_losses(self.tree.largest_below(z, closed), closed).mean(0) * truth.any(-1)

    def log_scores(self, logits: Tensor) -> Tensor:
        return F.logsigmoid(self.tree.largest_below(logits.float().T.contiguous())).T


class Grouped(FacetMethod):
    """Softmax inside groups of outputs; the target inside a group is uniform over its true outputs.

    group int [outputs] numbers the group of each output. Groups without a true output give no loss. For the
    target shared between several true tags: Mahajan et al. 2018, section 2.
    """

    group: Tensor

    def __init__(self, group: np.ndarray) -> None:
        super().__init__()
        self.outputs, self.groups = len(group), int(group.max()) + 1
        self.register_buffer("group", torch.from_numpy(group), persistent=False)

    def true_outputs(self, truth: Tensor) -> Tensor:
        """Which outputs bool [outputs, B] are true, from the true tags bool [n, B]."""
        return truth

    def log_probabilities(self, z: Tensor) -> Tensor:
        """The log-softmax of z [outputs, B] inside each group."""
        size = (self.groups, z.shape[1])
        where = self.group[:, None].expand_as(z)
        # The largest logit of a group cancels out, so that no gradient has to go through it.
        largest = z.new_zeros(size).scatter_reduce(0, where, z.detach(), "amax", include_self=False)
        z = z - largest.index_select(0, self.group)
        total = z.new_zeros(size).index_add(0, self.group, z.exp())
        return z - total.log().index_select(0, self.group)

    def targets(self, truth: Tensor, dtype: torch.dtype) -> Tensor:
        """What each output [outputs, B] has to be: true outputs share their group, groups share 1."""
        true = self.true_outputs(truth).to(dtype)
        in_group = true.new_zeros(self.groups, true.shape[1]).index_add(0, self.group, true)
        groups = (in_group > 0).sum(0).clamp_min(1)
        return true * (in_group * groups).clamp_min(1).reciprocal().index_select(0, self.group)

    def loss(self, logits: Tensor, truth: Tensor) -> Tensor:
        z = full_precision(logits).T.contiguous()
        return -(self.targets(truth.T.contiguous(), z.dtype) * self.log_probabilities(z)).sum(0)

    def log_scores(self, logits: Tensor) -> Tensor:
        return self.log_probabilities(logits.float().T.contiguous()).T

    def prior_bias(self, counts: np.ndarray, images: int) -> Tensor:
        return torch.from_numpy(np.log(counts + 0.5)).float()


class Softmax(Grouped):
    """One softmax over all tags of the facet."""

    def __init__(self, vocabulary: FacetVocabulary, counts: np.ndarray | None) -> None:
        super().__init__(np.zeros(len(vocabulary), np.int64))


class WeightedSoftmax(Softmax):
    """Softmax whose terms weigh in proportion to 1 / (images with the tag), 1 on average."""

    weights: Tensor | None

    def __init__(self, vocabulary: FacetVocabulary, counts: np.ndarray | None) -> None:
        super().__init__(vocabulary, counts)
        weights = None
        if counts is not None:
            # A tag without training images never is a target: it gets a weight, but has no say in the mean.
            rarity = 1.0 / np.maximum(counts, 1)
            mean = rarity[counts > 0].mean() if (counts > 0).any() else 1.0
            weights = torch.from_numpy(rarity / mean).float()[:, None]
        self.register_buffer("weights", weights, persistent=False)

    def targets(self, truth: Tensor, dtype: torch.dtype) -> Tensor:
        if self.weights is None:
            raise ModelError("softmax-wce: cannot be trained without the number of images of each tag")
        return super().targets(truth, dtype) * self.weights


class Hierarchical(Grouped):
    """Softmax inside groups along a tree; a tag's score is the product over it and its ancestors."""

    def __init__(self, vocabulary: FacetVocabulary, group: np.ndarray) -> None:
        super().__init__(group)
        self.tree = Tree(vocabulary)

    def true_outputs(self, truth: Tensor) -> Tensor:
        return self.tree.closed(truth)

    def log_scores(self, logits: Tensor) -> Tensor:
        return self.tree.sum_above(self.log_probabilities(logits.float().T.contiguous())[: self.tree.tags]).T


class Levels(Hierarchical):
    """H-Softmax over levels: one group for each depth of the tree."""

    def __init__(self, vocabulary: FacetVocabulary, counts: np.ndarray | None) -> None:
        super().__init__(vocabulary, vocabulary.depths - 1)


class Nodes(Hierarchical):
    """H-Softmax over nodes: one group for the children of each tag, and one for the top level.

    With `stop`, each group below the top has one more output, "none of these", true where the annotation
    ends at the parent: an only child then scores below its parent, and annotations that end at inner tags
    are learnt. The stop outputs come after the tags', in the order of the inner tags.
    """

    inner: Tensor

    def __init__(self, vocabulary: FacetVocabulary, counts: np.ndarray | None, *, stop: bool) -> None:
        parents = np.asarray(vocabulary.parents, np.int64)
        # Group 0 holds the top-level tags, group k the children of the k-th inner tag.
        inner = np.unique(parents[parents >= 0])
        group = np.where(parents < 0, 0, 1 + np.searchsorted(inner, parents))
        self.stop = stop
        super().__init__(vocabulary, np.append(group, 1 + np.arange(len(inner))) if stop else group)
        self.register_buffer("inner", torch.from_numpy(inner), persistent=False)

    def true_outputs(self, truth: Tensor) -> Tensor:
        closed = super().true_outputs(truth)
        if not self.stop:
            return closed
        children = closed.new_zeros(self.groups, closed.shape[1], dtype=torch.float32)
        children = children.index_add(0, self.group[: self.tree.tags], closed.float())
        return torch.cat([closed, closed.index_select(0, self.inner) & (children[1:] == 0)])

    def prior_bias(self, counts: np.ndarray, images: int) -> Tensor:
        if self.stop:
            below = np.zeros(self.groups)
            np.add.at(below, self.group[: len(counts)].cpu().numpy(), counts)
            # Images with several children of one parent are counted more than once: stops are estimates.
            counts = np.append(counts, np.maximum(counts[self.inner.cpu().numpy()] - below[1:], 0))
        return super().prior_bias(counts, images)


def full_precision(logits: Tensor) -> Tensor:
    """Logits in float32, or in float64 where they are so already."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


@dataclass(frozen=True)
class Method:
    """A method by its name: what it is, and the options it takes with their defaults."""

    name: str
    summary: str
    module: type[FacetMethod]
    options: Mapping[str, float] = field(default_factory=dict)

    def for_facet(
        self, vocabulary: FacetVocabulary, tag_counts: np.ndarray | None = None, **options: Any
    ) -> FacetMethod:
        """Build the method for one facet's tags.

        tag_counts int [n]: the training images with each tag, which softmax-wce needs to be trained, not to
        score. Raises ModelError for an option that the method does not have, or a value it cannot use.
        """
        unknown = sorted(set(options) - set(self.options))
        if unknown:
            has = ", ".join(self.options) or "none"
            raise ModelError(f"{self.name}: no option {unknown[0]}", hint=f"options of this method: {has}")
        if not vocabulary.tags:
            raise ModelError(f"{self.name}: a facet without tags cannot be learnt")
        return self.module(vocabulary, tag_counts, **{**self.options, **options})


METHODS: Mapping[str, Method] = MappingProxyType(
    {
        method.name: method
        for method in (
            Method("multilabel", "every tag is a yes or no of its own", Independent),
            Method("softmax", "one softmax over a facet's tags", Softmax),
            Method("softmax-wce", "softmax, rare tags weigh more", WeightedSoftmax),
            Method("hsoftmax-levels", "a softmax for each depth of the tree", Levels),
            Method("hsoftmax-nodes", "a softmax for the children of each tag", Nodes, {"stop": False}),
            Method(
                "asl",
                "multilabel with asymmetric focus on rare positives",
                Asymmetric,
                {"gamma_pos": 0.0, "gamma_neg": 2.0, "clip": 0.05},
            ),
            Method("multilabel-coherent", "multilabel, no tag above its ancestors", Coherent),
        )
    }
)
"""All vision methods by name, those of the paper first."""
