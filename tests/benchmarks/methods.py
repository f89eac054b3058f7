"""What the heads and the loss of EUFCC-340K's 1,203 tags cost beside the backbone, for every method.

The floor is a training step of a bare convnext_atto (forward, backward, AdamW) on images in memory; the peer
is H-Softmax over nodes as it is usually written, with a loop over the parents. The trees are grown at random
in the published sizes and with their skew: an eighth of the tags at the top, most inner tags with few
children, some with dozens.
"""

import statistics
import time
from collections.abc import Callable

import numpy as np
import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eufcc_cli.core.model.methods import METHODS, Method
from eufcc_cli.core.taxonomy.vocabulary import FacetVocabulary

TAGS = {"objectTypes": 894, "materials": 269, "classifications": 33, "subjects": 7}
BATCH = 64


def grow(tags: int, rng: np.random.Generator) -> FacetVocabulary:
    """A random tree with the shape of a published one."""
    # Squaring prefers the first tags as parents: a few of them get very many children.
    top = max(3, tags // 8)
    parents = (-1 if tag < top else int(tag * rng.random() ** 2) for tag in range(tags))
    return FacetVocabulary(tuple(map(str, range(tags))), tuple(parents))


class LoopedNodes:
    """The peer: H-Softmax over nodes without stop outputs, one log-softmax for each parent."""

    def __init__(self, vocabulary: FacetVocabulary) -> None:
        self.outputs = len(vocabulary.tags)
        children: dict[int, list[int]] = {}
        for tag, parent in enumerate(vocabulary.parents):
            children.setdefault(parent, []).append(tag)
        self.children = [torch.tensor(tags) for tags in children.values()]

    def loss(self, logits: Tensor, truth: Tensor) -> Tensor:
        losses, groups = logits.new_zeros(len(logits)), logits.new_zeros(len(logits))
        for tags in self.children:
            true = truth[:, tags].float()
            count = true.sum(-1)
            losses = losses - (F.log_softmax(logits[:, tags], -1) * true).sum(-1) / count.clamp_min(1)
            groups = groups + (count > 0)
        return losses / groups.clamp_min(1)


class Heads(nn.Module):
    """One linear head and one method for each facet, from features to the loss of a batch."""

    def __init__(self, features: int, methods: list[Method | LoopedNodes]) -> None:
        super().__init__()
        self.methods = methods
        self.heads = nn.ModuleList(nn.Linear(features, method.outputs) for method in methods)

    def forward(self, features: Tensor, truths: list[Tensor]) -> Tensor:
        pairs = zip(self.heads, self.methods, truths, strict=True)
        return torch.cat([method.loss(head(features), truth) for head, method, truth in pairs]).mean()


def seconds(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The median time of each run, taken in turns so that a disturbance meets them all."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds + 2):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if turn >= 2:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(taken) for name, taken in times.items()}


def main(rounds: int = 15) -> None:
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    vocabularies = [grow(tags, rng) for tags in TAGS.values()]
    counts = [rng.geometric(0.01, tags) for tags in TAGS.values()]
    truths = [torch.from_numpy(rng.random((BATCH, tags)) < 3 / tags) for tags in TAGS.values()]

    kinds: dict[str, list[Method | LoopedNodes]] = {
        name: [
            method.for_facet(vocabulary, count)
            for vocabulary, count in zip(vocabularies, counts, strict=True)
        ]
        for name, method in METHODS.items()
        if not method.reads_texts
    }
    kinds["loop over parents"] = [LoopedNodes(vocabulary) for vocabulary in vocabularies]

    print(f"convnext_atto, batch {BATCH}, {sum(TAGS.values()):,} tags in {len(TAGS)} facets, ", end="")
    print(f"{torch.get_num_threads()} CPU threads, float32")
    for size in (64, 224):
        # A backbone of its own for every method would only measure memory: one serves them all.
        backbone = timm.create_model("convnext_atto", num_classes=0)
        images = torch.randn(BATCH, 3, size, size)
        heads = {name: Heads(backbone.num_features, methods) for name, methods in kinds.items()}

        def head_step(model: Heads, features: Tensor) -> Callable[[], object]:
            def run() -> None:
                model.zero_grad(set_to_none=True)
                features.grad = None
                model(features, truths).backward()

            return run

        def step(model: Heads, backbone: nn.Module, images: Tensor) -> Callable[[], object]:
            optimizer = torch.optim.AdamW([*backbone.parameters(), *model.parameters()], lr=1e-5)

            def run() -> None:
                optimizer.zero_grad()
                model(backbone(images), truths).backward()
                optimizer.step()

            return run

        features = torch.randn(BATCH, backbone.num_features, requires_grad=True)
        alone = seconds({name: head_step(model, features) for name, model in heads.items()}, 4 * rounds)
        steps = {name: step(heads[name], backbone, images) for name in ("multilabel", "hsoftmax-nodes")}
        whole = seconds(steps, rounds if size == 64 else max(2, rounds // 5))

        floor = whole["multilabel"] - alone["multilabel"]
        print(f"\n{size} px: a step without heads and loss takes {floor * 1e3:.0f} ms")
        print(f"{'method':22}{'heads+loss ms':>14}{'share of step':>15}{'step vs multilabel':>20}")
        for name, taken in alone.items():
            share, ratio = taken / (floor + taken), (floor + taken) / (floor + alone["multilabel"])
            print(f"{name:22}{taken * 1e3:14.2f}{share:15.1%}{ratio:20.3f}")
        measured = whole["hsoftmax-nodes"] / whole["multilabel"]
        print(f"hsoftmax-nodes / multilabel, whole steps in turns: {measured:.3f} (wanted: at most 1.1)")


if __name__ == "__main__":
    main()
