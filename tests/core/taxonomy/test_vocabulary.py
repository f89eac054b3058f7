"""Vocabularies: order, digest, JSON, and targets against dictionaries and sets."""

import copy
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eufcc_cli.core.errors import DataError
from eufcc_cli.core.taxonomy.hierarchy import build_trees, read_trees
from eufcc_cli.core.taxonomy.tables.annotation_files import read_table
from eufcc_cli.core.taxonomy.tables.annotations import FACETS, facet_column
from eufcc_cli.core.taxonomy.vocabulary import Vocabulary
from tests import oracles
from tests.core.taxonomy.tables import CELLS, table


def vocabulary_of(**cells: list[str]) -> Vocabulary:
    return Vocabulary.from_trees(build_trees([table(**cells)]))


@given(CELLS)
def test_tags_stand_in_the_order_of_the_drawing_with_parent_and_depth(cells: list[str]) -> None:
    facets = vocabulary_of(materials=cells).facets
    nodes = oracles.tree_of(cells)
    if len(nodes) == 1:
        assert facets == {}
        return
    vocabulary = facets["materials"]
    assert vocabulary.tags == tuple(node.name for node in nodes[None].descendants)
    for i, name in enumerate(vocabulary.tags):
        chain = [node.name for node in reversed(nodes[name].path[1:])]
        assert vocabulary.index[name] == i
        assert [vocabulary.tags[j] for j in vocabulary.ancestors[i] if j >= 0] == chain
        assert (vocabulary.ancestors[i][len(chain) :] == -1).all()
        assert vocabulary.path(i) == tuple(reversed(chain)) and vocabulary.depths[i] == len(chain)
        assert vocabulary.parents[i] == (vocabulary.index[chain[1]] if len(chain) > 1 else -1)
    assert vocabulary.ancestors.dtype == np.int64


@given(CELLS, CELLS)
def test_targets_equal_sets_taken_row_by_row(known: list[str], cells: list[str]) -> None:
    vocabulary = vocabulary_of(materials=[*known, "x | y"])
    tags = vocabulary.facets["materials"]
    targets = vocabulary.encode(table(materials=cells))["materials"]
    wanted = [{name for name in oracles.tags_of(cell) if name in tags.index} for cell in cells]
    assert len(targets) == len(cells) == len(targets.indptr) - 1
    assert targets.annotated.tolist() == [bool(names) for names in wanted]
    for i, names in enumerate(wanted):
        assert targets.row(i).tolist() == sorted(tags.index[name] for name in names)
    outside = Counter(name for cell in cells for name in oracles.tags_of(cell) if name not in tags.index)
    assert targets.unknown == outside
    assert targets.counts().tolist() == [sum(name in names for names in wanted) for name in tags.tags]

    nodes = oracles.tree_of([*known, "x | y"])
    closed = targets.closed(tags)
    for i, names in enumerate(wanted):
        above = {node.name for name in names for node in nodes[name].path[1:]}
        assert closed.row(i).tolist() == sorted(tags.index[name] for name in above)
    assert closed.annotated.tolist() == targets.annotated.tolist() and closed.unknown == outside


@given(CELLS, st.data())
def test_dense_targets_are_the_sparse_ones(cells: list[str], data: st.DataObject) -> None:
    vocabulary = vocabulary_of(materials=["a | b | c $ è", "*"])
    targets = vocabulary.encode(table(materials=cells))["materials"]
    rows = np.array(
        data.draw(st.lists(st.integers(0, len(cells) - 1), max_size=8)) if cells else [], dtype=int
    )
    for chosen, numbers in [(rows, rows.tolist()), (slice(1, 4), range(len(cells))[1:4])]:
        dense = targets.dense(chosen)
        assert dense.dtype == bool and dense.shape == (len(numbers), 5)
        assert [np.flatnonzero(line).tolist() for line in dense] == [targets.row(i).tolist() for i in numbers]


def test_a_facet_without_a_column_is_unannotated() -> None:
    vocabulary = vocabulary_of(materials=["a"], subjects=["b"])
    targets = vocabulary.encode(table(materials=["a", "c"]))
    assert targets["materials"].annotated.tolist() == [True, False] and targets["materials"].unknown == {
        "c": 1
    }
    assert targets["subjects"].annotated.tolist() == [False, False] and not targets["subjects"].unknown
    assert targets["subjects"].dense(slice(None)).shape == (2, 1)


def test_missing_values_and_decomposed_accents_are_understood() -> None:
    vocabulary = vocabulary_of(materials=["bodegó"])
    frame = pd.DataFrame({"materials.hierarchy": ["bodego\u0301", None, float("nan")]})
    assert vocabulary.encode(frame)["materials"].annotated.tolist() == [True, False, False]


def test_facets_come_in_their_order_and_empty_ones_have_no_vocabulary() -> None:
    vocabulary = vocabulary_of(subjects=["nu"], objectTypes=["vas"], materials=[""])
    assert list(vocabulary.facets) == ["objectTypes", "subjects"]
    assert list(vocabulary.subset(["subjects"]).facets) == ["subjects"]
    assert list(vocabulary.subset(["subjects", "objectTypes"]).facets) == ["objectTypes", "subjects"]
    with pytest.raises(DataError, match="facet 'materials' is not in the vocabulary") as caught:
        vocabulary.subset(["materials"])
    assert caught.value.hint == "it has objectTypes, subjects"


@given(CELLS, CELLS)
def test_the_digest_changes_exactly_with_order_names_and_parents(one: list[str], other: list[str]) -> None:
    first, second = vocabulary_of(materials=one), vocabulary_of(materials=other)
    assert (first.digest == second.digest) == (oracles.drawing_of(one) == oracles.drawing_of(other))


def test_the_digest_tells_facets_and_their_order_apart() -> None:
    here, there = vocabulary_of(materials=["a"]), vocabulary_of(subjects=["a"])
    both = Vocabulary({**here.facets, **there.facets})
    turned = Vocabulary({**there.facets, **here.facets})
    assert len({v.digest for v in (here, there, both, turned)}) == 4


@given(CELLS, CELLS)
def test_json_keeps_everything(materials: list[str], subjects: list[str]) -> None:
    vocabulary = vocabulary_of(materials=materials, subjects=subjects)
    again = Vocabulary.from_json(json.loads(json.dumps(vocabulary.to_json())))
    assert again == vocabulary and list(again.facets) == list(vocabulary.facets)
    assert again.digest == vocabulary.digest


def _rename(content: Any) -> None:
    content["facets"]["materials"]["tags"][0] = "other"


def _swap(content: Any) -> None:
    content["facets"]["materials"]["tags"].reverse()


def _move(content: Any) -> None:
    content["facets"]["materials"]["parents"][1] = -1


def _cycle(content: Any) -> None:
    content["facets"]["materials"]["parents"] = [1, 0]


def _twice(content: Any) -> None:
    content["facets"]["materials"]["tags"] = ["a", "a"]


def _short(content: Any) -> None:
    content["facets"]["materials"]["parents"].pop()


def _numbers(content: Any) -> None:
    content["facets"]["materials"]["tags"] = [1, 2]


def _no_digest(content: Any) -> None:
    del content["digest"]


def _list(content: Any) -> None:
    content["facets"] = []


@pytest.mark.parametrize(
    "damage", [_rename, _swap, _move, _cycle, _twice, _short, _numbers, _no_digest, _list]
)
def test_a_damaged_vocabulary_is_refused(damage: Callable[[Any], None]) -> None:
    content = copy.deepcopy(vocabulary_of(materials=["a | b"]).to_json())
    damage(content)
    with pytest.raises(DataError) as caught:
        Vocabulary.from_json(content)
    assert caught.value.hint


def test_real_rows_against_the_published_labels(shared_data: Path) -> None:
    real = read_table(shared_data / "eufcc-340k" / "test_id.csv")
    vocabulary = Vocabulary.from_trees(read_trees((shared_data / "eufcc-340k" / "labels").glob("*.txt")))
    targets = vocabulary.encode(real)
    for facet in FACETS:
        tags = vocabulary.facets[facet]
        cells = real[facet_column(facet)].tolist()
        outside = Counter(name for cell in cells for name in oracles.tags_of(cell) if name not in tags.index)
        assert targets[facet].unknown == outside and outside
        for i in range(0, len(cells), 7):
            names = {tags.tags[j] for j in targets[facet].row(i)}
            assert names == oracles.tags_of(cells[i]) & set(tags.tags)
