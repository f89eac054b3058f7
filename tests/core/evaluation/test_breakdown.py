import math

import pytest

from eufcc_cli.core.evaluation.breakdown import groups, per_provider, per_tag
from eufcc_cli.core.evaluation.results import Measures, measure
from eufcc_cli.core.evaluation.scores.eval_split import read_split
from tests import oracles
from tests.core.evaluation.tiny import random_source


@pytest.fixture(scope="module")
def source(root):
    return random_source(root, "a", decimals=4)  # no ties: a tag is among the R best, or it is not


@pytest.fixture(scope="module")
def result(root, source):
    split = read_split(root, "test_id")
    return measure(source, split, source.scores(split), Measures(details=True))


@pytest.fixture(scope="module")
def counts(root, result):
    targets = read_split(root, "train").targets(result.vocabulary)
    return {facet: found.dense(slice(None)).sum(0) for facet, found in targets.items()}


def images(result, source, facet):
    """Of every image with true tags: the true ones, and all tags by their rank."""
    targets = result.split.targets(result.vocabulary)[facet]
    for row in range(len(result.split)):
        true = set(targets.row(row).tolist())
        scores = source.tables["test_id"][facet][row].tolist()
        if true:
            yield row, true, sorted(range(len(scores)), key=lambda tag, s=scores: -s[tag]), scores


def test_per_tag_equals_loops(result, source, counts):
    rows = {(row["facet"], row["tag"]): row for row in per_tag(result, counts)}
    assert len(rows) == sum(len(tags) for tags in result.vocabulary.facets.values())
    for facet, tags in result.vocabulary.facets.items():
        seen = list(images(result, source, facet))
        for number, tag in enumerate(tags.tags):
            row = rows[facet, tag]
            with_tag = [(true, order) for _, true, order, _ in seen if number in true]
            assert row["support"] == len(with_tag)
            assert row["path"] == " | ".join(tags.path(number))
            assert row["depth"] == len(tags.path(number))
            if not with_tag:
                assert math.isnan(row["average_precision"])
                assert math.isnan(row["r_precision"])
                continue
            found = [number in order[: len(true)] for true, order in with_tag]
            assert row["r_precision"] == pytest.approx(sum(found) / len(found))
            ranks = [order.index(number) + 1 for _, order in with_tag]
            assert row["avg_rp"] == pytest.approx(sum(ranks) / len(ranks))
            expected = oracles.average_precision(
                [scores[number] for *_, scores in seen], [number in true for _, true, *_ in seen]
            )
            assert row["average_precision"] == pytest.approx(expected)
            wrong = [
                other
                for (true, order), hit in zip(with_tag, found, strict=True)
                if not hit
                for other in order[: len(true)]
                if other not in true
            ]
            most = max((wrong.count(other) for other in wrong), default=0)
            assert row["confusions"] == most
            if most:
                assert wrong.count(tags.index[row["confused_with"]]) == most
            else:
                assert row["confused_with"] == ""


def test_per_provider_parts_add_up_to_the_whole(result):
    rows = list(per_provider(result))
    assert sorted(row["provider"] for row in rows) == sorted(set(result.split.providers))
    overall = result.figures["overall"]
    assert sum(row["pairs"] for row in rows) == overall["pairs"]
    assert sum(row["images"] for row in rows) == result.images
    assert [row["pairs"] for row in rows] == sorted((row["pairs"] for row in rows), reverse=True)
    for metric in ("r_precision", "acc@1", "acc@10", "avg_rp"):
        total = sum(row[metric] * row["pairs"] for row in rows)
        assert total / overall["pairs"] == pytest.approx(overall[metric])


def test_groups_divide_the_true_tags_by_depth_and_by_frequency(result, source, counts):
    rows = {row["group"].split(":")[0]: row for row in groups(result, counts, "train")}
    assert list(rows) == ["depth 1", "depth 2", "depth 3", "head", "middle", "tail"]
    expected = {name: [] for name in rows}
    for facet, tags in result.vocabulary.facets.items():
        for _, true, order, _ in images(result, source, facet):
            for tag in true:
                place = (tag in order[: len(true)], order.index(tag) + 1, (facet, tag))
                seen = int(counts[facet][tag])
                band = "head" if seen > 100 else "tail" if seen < 20 else "middle"
                expected[band].append(place)
                expected[f"depth {len(tags.path(tag))}"].append(place)
    assert expected["middle"] and expected["tail"]
    for name, places in expected.items():
        assert rows[name]["support"] == len(places)
        assert rows[name]["tags"] == len({tag for *_, tag in places})
        if places:
            assert rows[name]["r_precision"] == pytest.approx(sum(hit for hit, *_ in places) / len(places))
            assert rows[name]["avg_rp"] == pytest.approx(sum(rank for _, rank, _ in places) / len(places))
