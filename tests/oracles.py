"""Slow, independent references for metrics, methods and builders: loops and dictionaries, no vectorising."""

import itertools
import math
import random
from fractions import Fraction

from anytree import Node, RenderTree

# --- metrics -----------------------------------------------------------------------------------------


def rank_metrics_by_orders(scores, true, ks):
    """The four figures of one image as means over all orders of the tags that respect the scores.

    Exact fractions; factorial in the size of the tied groups, so only for a handful of tags.
    """
    tags = range(len(scores))
    groups = [[tag for tag in tags if scores[tag] == score] for score in sorted(set(scores), reverse=True)]
    sums = dict.fromkeys(["r_precision", *(f"acc@{k}" for k in ks), "avg_rp"], Fraction(0))
    orders = 0
    for parts in itertools.product(*(list(itertools.permutations(group)) for group in groups)):
        order = [tag for part in parts for tag in part]
        orders += 1
        sums["r_precision"] += Fraction(sum(tag in true for tag in order[: len(true)]), len(true))
        for k in ks:
            sums[f"acc@{k}"] += any(tag in true for tag in order[:k])
        sums["avg_rp"] += Fraction(sum(order.index(tag) + 1 for tag in true), len(true))
    return {name: float(value / orders) for name, value in sums.items()}


def rank_metrics_by_loops(scores, true, ks):
    """The same by counting tied groups with exact fractions and binomial coefficients: any number of tags."""
    n, r = len(scores), len(true)

    def found(cut):  # expected number of true tags among the `cut` best, and the chance that there is none
        expected, none, place = Fraction(0), Fraction(1), 0
        for score in sorted(set(scores), reverse=True):
            group = [tag for tag in range(n) if scores[tag] == score]
            hits = len(true.intersection(group))
            drawn = max(0, min(len(group), cut - place))
            expected += Fraction(hits * drawn, len(group))
            none *= Fraction(math.comb(len(group) - hits, drawn), math.comb(len(group), drawn))
            place += len(group)
        return expected, none

    ranks = [
        1 + sum(s > scores[tag] for s in scores) + Fraction(sum(s == scores[tag] for s in scores) - 1, 2)
        for tag in true
    ]
    return {
        "r_precision": float(found(r)[0] / r),
        **{f"acc@{k}": float(1 - found(k)[1]) for k in ks},
        "avg_rp": float(sum(ranks) / r),
    }


def ancestors_of(tag, parents):
    """The tag and all that stand above it."""
    chain = []
    while tag >= 0:
        chain.append(tag)
        tag = parents[tag]
    return chain


def average_precision(scores, true):
    """Area under the precision-recall steps, one threshold per distinct score."""
    area, recall = Fraction(0), Fraction(0)
    for threshold in sorted(set(scores), reverse=True):
        chosen = [t for s, t in zip(scores, true, strict=True) if s >= threshold]
        new_recall = Fraction(sum(chosen), sum(true))
        area += (new_recall - recall) * Fraction(sum(chosen), len(chosen))
        recall = new_recall
    return float(area)


def decision_metrics(probabilities, truth, parents, threshold, bins=15):
    """All figures of `Decisions.metrics` by loops over images and tags."""
    images, tags = range(len(truth)), range(len(parents))
    sets = [
        ({t for t in tags if probabilities[i][t] >= threshold}, {t for t in tags if truth[i][t]})
        for i in images
    ]

    def closed(some):
        return {a for t in some for a in ancestors_of(t, parents)}

    def f1(pairs):
        correct = sum(len(p & t) for p, t in pairs)
        size = sum(len(p) + len(t) for p, t in pairs)
        return 2 * correct / size if size else float("nan")

    def ratio(a, b):
        return a / b if b else float("nan")

    both = [(closed(p), closed(t)) for p, t in sets]
    correct = sum(len(p & t) for p, t in both)
    supported = [t for t in tags if any(t in true for _, true in sets)]
    per_tag = [f1([(p & {tag}, t & {tag}) for p, t in sets]) for tag in supported]
    violations = [
        any(probabilities[i][t] > probabilities[i][a] for a in ancestors_of(t, parents)[1:])
        for i in images
        for t in tags
        if parents[t] >= 0
    ]
    groups = {}
    for i in images:
        for t in tags:
            place = max(0, next(b for b in range(bins) if probabilities[i][t] <= (b + 1) / bins))
            groups.setdefault(place, []).append((probabilities[i][t], truth[i][t]))
    ece = sum(abs(sum(p for p, _ in g) - sum(t for _, t in g)) for g in groups.values())
    return {
        "f1_micro": f1(sets),
        "f1_macro": ratio(sum(per_tag), len(per_tag)),
        "h_precision": ratio(correct, sum(len(p) for p, _ in both)),
        "h_recall": ratio(correct, sum(len(t) for _, t in both)),
        "h_f1": f1(both),
        "deepest": sum(max((len(ancestors_of(tag, parents)) for tag in p & t), default=0) for p, t in sets)
        / len(sets),
        "incoherent": ratio(sum(violations), len(violations)),
        "ece": ece / (len(truth) * len(parents)),
    }


# --- methods -----------------------------------------------------------------------------------------

STOP = "stop"  # stands for "none of these" among a parent's children


def method_groups(method, parents, stop):
    """The groups of an H-Softmax: {name: [outputs]}, where a stop output is (STOP, parent)."""
    groups = {}
    for tag, parent in enumerate(parents):
        name = len(path_of(tag, parents)) if method == "hsoftmax-levels" else parent
        groups.setdefault(name, []).append(tag)
    if method == "hsoftmax-nodes" and stop:
        for parent, outputs in groups.items():
            if parent != -1:
                outputs.append((STOP, parent))
    return groups


def path_of(tag, parents):
    """The tag and its ancestors, from the tag up."""
    path = []
    while tag != -1:
        path.append(tag)
        tag = parents[tag]
    return path


def descendants_of(tag, parents):
    """The tag and everything below it."""
    return [other for other in range(len(parents)) if tag in path_of(other, parents)]


def log_softmax_of(output, outputs, z):
    """One output's log-probability among some, by the definition."""
    return math.log(math.exp(z[output]) / sum(math.exp(z[other]) for other in outputs))


def sigmoid_of(x):
    return 1 / (1 + math.exp(-x))


def method_scores(method, parents, z, stop=False):
    """The probability of each tag; z is {tag: logit}, with (STOP, parent) for the stop outputs."""
    tags = range(len(parents))
    if method in ("multilabel", "asl"):
        return [sigmoid_of(z[tag]) for tag in tags]
    if method == "multilabel-coherent":
        return [max(sigmoid_of(z[below]) for below in descendants_of(tag, parents)) for tag in tags]
    if method in ("softmax", "softmax-wce"):
        return [math.exp(log_softmax_of(tag, tags, z)) for tag in tags]
    groups = method_groups(method, parents, stop)
    own = {
        tag: math.exp(log_softmax_of(tag, outputs, z))
        for outputs in groups.values()
        for tag in outputs
        if not isinstance(tag, tuple)
    }
    return [math.prod(own[above] for above in path_of(tag, parents)) for tag in tags]


def method_loss(
    method,
    parents,
    z,
    true,
    counts=None,
    stop=False,
    gamma_pos=0.0,
    gamma_neg=2.0,
    asl_clip=0.05,
    deeper_unknown=False,
):
    """The loss of one image in one facet; `true` is its set of true tags."""
    tags = range(len(parents))
    if not true:
        return 0.0
    if method.startswith("hsoftmax") or method == "multilabel-coherent":
        true = {above for tag in true for above in path_of(tag, parents)}
    if deeper_unknown:
        all_true = {above for tag in true for above in path_of(tag, parents)}
        ends = {tag for tag in all_true if not any(parents[other] == tag for other in all_true)}
        unknown = {below for tag in ends for below in descendants_of(tag, parents)} - ends
        tags = [tag for tag in tags if tag not in unknown]

    if method == "multilabel":
        terms = [-math.log(sigmoid_of(z[tag] if tag in true else -z[tag])) for tag in tags]
    elif method == "asl":
        terms = []
        for tag in tags:
            p = sigmoid_of(z[tag])
            q = max(p - asl_clip, 0)
            positive = (1 - p) ** gamma_pos * math.log(p)
            terms.append(-positive if tag in true else -(q**gamma_neg) * math.log(1 - q))
    elif method == "multilabel-coherent":
        terms = []
        for tag in tags:
            below = descendants_of(tag, parents)
            if tag in true:
                terms.append(-math.log(max(sigmoid_of(z[other]) for other in below if other in true)))
            else:
                terms.append(-math.log(1 - max(sigmoid_of(z[other]) for other in below)))
    elif method in ("softmax", "softmax-wce"):
        weights = dict.fromkeys(tags, 1.0)
        if method == "softmax-wce":
            seen = [1 / counts[tag] for tag in tags if counts[tag]]
            mean = sum(seen) / len(seen) if seen else 1.0
            weights = {tag: 1 / max(counts[tag], 1) / mean for tag in tags}
        terms = [-sum(weights[tag] * log_softmax_of(tag, tags, z) for tag in true) / len(true)]
    else:
        terms = []
        for name, outputs in method_groups(method, parents, stop).items():
            hits = [output for output in outputs if output in true]
            if not hits and (STOP, name) in outputs and name in true:
                hits = [(STOP, name)]
            if hits:
                terms.append(-sum(log_softmax_of(hit, outputs, z) for hit in hits) / len(hits))
    return sum(terms) / len(terms)


# --- taxonomy ----------------------------------------------------------------------------------------


def tree_of(cells):
    """A facet's cells, row by row -> (tag -> its node): anytree, first parent wins; the root is None's."""
    nodes = {None: Node("Root")}
    for cell in cells:
        for tag in cell.split(" $ ") if cell else []:
            parent = None
            for name in tag.split(" | "):
                if name not in nodes:
                    nodes[name] = Node(name, parent=nodes[parent])
                parent = name
    return nodes


def drawing_of(cells):
    """The published drawing of a facet's cells."""
    return "\n".join(f"{pre}{node.name}" for pre, _, node in RenderTree(tree_of(cells)[None]))


def tags_of(cell):
    """All the names on a cell's paths."""
    return {name for tag in cell.split(" $ ") for name in tag.split(" | ")} if cell else set()


def images_of(cells):
    """Tag -> the rows that have it or one of its descendants in the tree."""
    nodes = tree_of(cells)
    rows = {name: set() for name in nodes if name is not None}
    for row, cell in enumerate(cells):
        for name in tags_of(cell):
            rows[name].add(row)
            for ancestor in nodes[name].ancestors[1:]:
                rows[ancestor.name].add(row)
    return rows


def pruned_parents_of(cells, minimum):
    """Tag that `minimum` rows name -> its nearest ancestor that as many name, None: at the top."""
    nodes = tree_of(cells)
    named = {name: sum(name in tags_of(cell) for cell in cells) for name in nodes}
    kept = {name for name in nodes if name is not None and named[name] >= minimum}
    return {
        name: next((a.name for a in reversed(nodes[name].ancestors[1:]) if a.name in kept), None)
        for name in kept
    }


# --- suggestions -------------------------------------------------------------------------------------


def coherent_by_loops(scores, parents):
    """Each tag's largest score among itself and its descendants."""
    best = list(scores)
    for tag, score in enumerate(scores):
        while tag >= 0:
            best[tag] = max(best[tag], score)
            tag = parents[tag]
    return best


def coverage_threshold_by_loops(scores, truth, alpha):
    """The largest threshold, among the true tags' scores, that conformal risk control allows; else -inf."""
    images = [
        (row, [i for i, true in enumerate(tags) if true]) for row, tags in zip(scores, truth, strict=True)
    ]
    images = [(row, tags) for row, tags in images if tags]
    m, best = len(images), -math.inf
    for threshold in {row[tag] for row, tags in images for tag in tags}:
        risk = sum(Fraction(sum(row[tag] < threshold for tag in tags), len(tags)) for row, tags in images)
        if (risk + 1) / (m + 1) <= Fraction(str(alpha)):
            best = max(best, threshold)
    return best


# --- splits ------------------------------------------------------------------------------------------


def iterative_stratification(labels, shares, seed):
    """Algorithm 1 of Sechidis et al. (2011) as the paper states it: one image and one label at a time."""
    rng = random.Random(seed)
    images, tags = range(len(labels)), range(len(labels[0]))
    room = [share * len(labels) for share in shares]
    wanted = [[share * sum(row[tag] for row in labels) for tag in tags] for share in shares]
    fold = [None] * len(labels)
    while True:
        left = {tag: [i for i in images if fold[i] is None and labels[i][tag]] for tag in tags}
        left = {tag: those for tag, those in left.items() if those}
        if not left:
            break
        fewest = min(len(those) for those in left.values())
        tag = rng.choice([tag for tag, those in left.items() if len(those) == fewest])
        for image in left[tag]:
            most = max(wanted[f][tag] for f in range(len(shares)))
            best = [f for f in range(len(shares)) if wanted[f][tag] == most]
            most = max(room[f] for f in best)
            fold[image] = rng.choice([f for f in best if room[f] == most])
            room[fold[image]] -= 1
            for other in tags:
                wanted[fold[image]][other] -= labels[image][other]
    for image in images:
        if fold[image] is None:
            fold[image] = max(range(len(shares)), key=lambda f: room[f])
            room[fold[image]] -= 1
    return fold


# --- CLIP --------------------------------------------------------------------------------------------


def contrastive_loss_of(images, captions, scale, keys):
    """Half of both cross-entropies of each pair, each positive against the negatives alone."""
    pairs = range(len(images))

    def exp_logit(image, caption):
        return math.exp(scale * sum(a * b for a, b in zip(images[image], captions[caption], strict=True)))

    total = 0.0
    for own in pairs:
        positives = [other for other in pairs if keys[other] == keys[own]]
        negatives = [other for other in pairs if keys[other] != keys[own]]
        other_captions = sum(exp_logit(own, other) for other in negatives)
        other_images = sum(exp_logit(other, own) for other in negatives)
        for positive in positives:
            share = 1 / len(positives)
            to_caption, to_image = exp_logit(own, positive), exp_logit(positive, own)
            total -= share * math.log(to_caption / (to_caption + other_captions)) / 2
            total -= share * math.log(to_image / (to_image + other_images)) / 2
    return total
