"""Label trees against a slow construction row by row, and label files byte for byte."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given

from eufcc_cli.core.errors import DataError
from eufcc_cli.core.taxonomy.hierarchy import MAX_DEPTH, Hierarchy, build_trees, read_trees
from eufcc_cli.core.taxonomy.tables.annotation_files import read_table
from eufcc_cli.core.taxonomy.tables.annotations import FACETS, facet_column
from tests import oracles
from tests.core.taxonomy.tables import CELLS, table, written


def tree_of(cells: list[str]) -> Hierarchy:
    return build_trees([table(materials=cells)], ["materials"])["materials"]


@given(CELLS)
def test_trees_equal_those_built_row_by_row(cells: list[str]) -> None:
    tree = tree_of(cells)
    assert tree.render() == oracles.drawing_of(cells)
    nodes = oracles.tree_of(cells)
    assert len(tree) == len(nodes) - 1
    for name, node in nodes.items():
        if name is None:
            continue
        above = [ancestor.name for ancestor in node.ancestors[1:]]
        assert tree.path(name) == (*above, name) and tree.ancestors(name) == tuple(above)
        assert tree.depth(name) == node.depth == len(above) + 1
        assert tree.parent(name) == (above[-1] if above else None)
        assert tree.children(name) == tuple(child.name for child in node.children)
        assert tree.descendants(name) == tuple(below.name for below in node.descendants)
        assert tree.leaves(name) == tuple(leaf.name for leaf in node.leaves)
    assert set(tree.leaves()) == {name for name in tree if not tree.children(name)}


@given(CELLS)
def test_counts_equal_those_taken_row_by_row(cells: list[str]) -> None:
    tree = tree_of(cells)
    counts = tree.counts
    assert dict(counts.images) == {name: len(rows) for name, rows in oracles.images_of(cells).items()}
    assert counts.named == Counter(name for cell in cells for name in oracles.tags_of(cell))
    assert counts.annotated == sum(map(bool, cells)) and not counts.unknown
    ways = [tag.split(" | ") for cell in cells if cell for tag in cell.split(" $ ")]
    assert counts.ends == Counter(way[-1] for way in ways)
    edges = Counter((name, parent) for way in ways for parent, name in zip([None, *way], way, strict=False))
    found = {(name, parent): n for name, parents in counts.parents.items() for parent, n in parents.items()}
    assert found == dict(edges)
    # The first parent met is the one the tag stands under, unless the tag was met at the end of a cycle.
    assert all(next(iter(parents)) == tree.parent(name) for name, parents in counts.parents.items())


@given(CELLS, CELLS)
def test_several_tables_are_their_union_in_order(first: list[str], second: list[str]) -> None:
    tables = [table(subjects=cells) for cells in (first, second)]
    together = build_trees(iter(tables), ["subjects", "materials"])
    assert together["subjects"].render() == oracles.drawing_of(first + second)
    assert together["subjects"].counts == tree_of(first + second).counts
    assert together["materials"].render() == "Root"


@given(CELLS)
def test_pruned_trees_stay_connected_and_say_what_went(cells: list[str]) -> None:
    tree = tree_of(cells)
    for minimum in (0, 1, 2, 4):
        kept, gone = tree.prune(minimum)
        assert {name: kept.parent(name) for name in kept} == oracles.pruned_parents_of(cells, minimum)
        assert [name for name in tree if name in kept] == list(kept)
        assert gone == {name: tree.counts.named[name] for name in tree if name not in kept}
        assert kept.counts == tree.counts


def test_subtree_and_cut() -> None:
    tree = tree_of(["a | b | c $ a | d", "e", "a | b | f"])
    assert tree.cut(2).render() == "Root\n├── a\n│   ├── b\n│   └── d\n└── e"
    assert tree.cut(2).counts.images["b"] == 2 and len(tree) == 6


def test_a_name_that_is_not_there_is_told_with_near_ones() -> None:
    tree = tree_of(["metall | bronze"])
    with pytest.raises(DataError, match="materials has no tag 'bronce'") as caught:
        tree.path("bronce")
    assert caught.value.hint == "did you mean bronze?"


def test_a_hostile_depth_is_refused(tmp_path: Path) -> None:
    deep = " | ".join(f"t{i}" for i in range(MAX_DEPTH + 1))
    assert len(tree_of([deep.rpartition(" | ")[0]])) == MAX_DEPTH
    with pytest.raises(DataError, match=f"materials: 't{MAX_DEPTH}' lies deeper than {MAX_DEPTH} levels"):
        tree_of([deep])
    lines = ["Root", *("    " * i + f"└── t{i}" for i in range(MAX_DEPTH + 1))]
    with pytest.raises(DataError, match="deeper"):
        Hierarchy.read(written(tmp_path / "l.txt", "\n".join(lines)), "materials")


@given(CELLS)
def test_label_files_read_and_written_again_are_the_same(tmp_path: Path, cells: list[str]) -> None:
    tree = tree_of(cells)
    path = tmp_path / "materials.txt"
    tree.write(path)
    assert path.read_bytes() == oracles.drawing_of(cells).encode()
    again = Hierarchy.read(path, "materials")
    assert again.render() == tree.render() and list(again) == list(tree)


def test_label_files_may_have_a_byte_order_mark_windows_line_ends_and_a_last_newline(tmp_path: Path) -> None:
    path = written(tmp_path / "l.txt", "\ufeffRoot\r\n├── metall\r\n│   └── or\r\n└── ├── x\r\n")
    assert list(Hierarchy.read(path, "materials")) == ["metall", "or", "├── x"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1 is not 'Root'"),
        ("├── a\n", "line 1 is not 'Root'"),
        ("Root\na\n", "line 2: 'a' is not a line of a label tree"),
        ("Root\n├── \n", "line 2"),
        ("Root\n├── a\n│       └── b", "line 3: 'b' has no parent"),
        ("Root\n├── a\n│   └── b\n└── b", "line 4: 'b' is already at a | b"),
    ],
)
def test_bad_label_files_are_refused_by_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path / "materials.txt", text)
    with pytest.raises(DataError) as caught:
        Hierarchy.read(path, "materials")
    assert str(caught.value).startswith(f"{path}: ") and message in str(caught.value) and caught.value.hint


def test_label_files_that_are_none(tmp_path: Path) -> None:
    for path, message in [
        (tmp_path / "materials.txt", "no such file"),
        (written(tmp_path / "subjects.txt", "Root\nbodegó", "latin-1"), "UTF-8"),
        (written(tmp_path / "colours.txt", "Root"), "no facet is called 'colours'"),
    ]:
        with pytest.raises(DataError, match=message):
            read_trees([path])


def test_published_label_files_come_back_byte_for_byte(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "eufcc-340k" / "labels"
    trees = read_trees(sorted(folder.glob("*.txt")))
    assert list(trees) == list(FACETS)
    for facet, size in zip(FACETS, (894, 269, 33, 7), strict=True):
        trees[facet].write(tmp_path / f"{facet}.txt")
        assert (tmp_path / f"{facet}.txt").read_bytes() == (folder / f"{facet}.txt").read_bytes()
        assert len(trees[facet]) == size


def test_real_trees_equal_those_built_row_by_row(shared_data: Path) -> None:
    real = read_table(shared_data / "eufcc-340k" / "test_id.csv")
    trees = build_trees([real])
    labels = read_trees((shared_data / "eufcc-340k" / "labels").glob("*.txt"))
    for facet in FACETS:
        cells = real[facet_column(facet)].tolist()
        assert trees[facet].render() == oracles.drawing_of(cells)
        assert trees[facet].counts.images == {
            name: len(rows) for name, rows in oracles.images_of(cells).items()
        }
    several = {f: sum(len(parents) > 1 for parents in trees[f].counts.parents.values()) for f in FACETS}
    assert several == {"objectTypes": 28, "materials": 7, "classifications": 13, "subjects": 0}
    outside = {f: sum(name not in labels[f] for name in trees[f]) for f in FACETS}
    assert outside == {"objectTypes": 95, "materials": 17, "classifications": 2, "subjects": 1}
