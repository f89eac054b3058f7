"""Problems of tables: found in one pass, each with file, line and column."""

from pathlib import Path

import pytest
from hypothesis import given

from eufcc_cli.core.taxonomy.tables.annotation_files import read_table, write_table
from eufcc_cli.core.taxonomy.tables.annotations import FACET_COLUMNS
from eufcc_cli.core.taxonomy.tables.table_checks import annotation_problems, repeats, validate
from tests.core.taxonomy.tables import CELLS, HEADER, written


def test_all_problems_of_several_tables_in_one_pass(tmp_path: Path) -> None:
    train = written(
        tmp_path / "train.csv",
        HEADER
        + "1,vas,or,https://x/1\n"
        + ",vas | ,or,https://x/2\n"  # line 3
        + '3,"vas\n | gran",or $ ,ftp://x/3\n'  # lines 4 and 5
        + "1,vas,or\x1b,HTTP://x/4\n"  # line 6
        + "\n"
        + "5, vas |gran,or / plata,\n"  # line 8
        + "6,vas,   ,javascript:alert(1)\n",  # line 9
    )
    test = written(tmp_path / "test_id.csv", HEADER + "7,vas,or,https://x/7\n3,vas,or,https://x/8\n")
    tables = {path: read_table(path, need_ids=False) for path in (train, test)}
    found = [(at.path.name, at.place, at.column, at.kind, at.severity) for at in validate(tables)]
    objects, materials, url, id_ = (
        "objectTypes.hierarchy",
        "materials.hierarchy",
        "#portraitMedia.original",
        "idInSource",
    )
    assert found == [
        ("train.csv", "line 3", id_, "missing-id", "error"),
        ("train.csv", "line 3", objects, "empty-segment", "error"),
        ("train.csv", "line 4", url, "bad-url", "error"),
        ("train.csv", "line 4", objects, "control-character", "error"),
        ("train.csv", "line 4", materials, "empty-tag", "error"),
        ("train.csv", "line 6", materials, "control-character", "error"),
        ("train.csv", "line 6", id_, "duplicate-id", "error"),
        ("train.csv", "line 8", url, "missing-url", "warning"),
        ("train.csv", "line 8", objects, "stray-space", "warning"),
        ("train.csv", "line 8", materials, "slash", "warning"),
        ("train.csv", "line 9", url, "bad-url", "error"),
        ("train.csv", "line 9", materials, "stray-space", "warning"),
        ("test_id.csv", "line 3", id_, "shared-id", "error"),
    ]
    shared = str(validate(tables)[-1])
    assert shared == f"{test}: line 3, {id_}: '3' is also the id of {train}, line 4"


def test_parquet_tables_are_told_by_row(tmp_path: Path) -> None:
    frame = read_table(written(tmp_path / "t.csv", HEADER + "1,vas,or,https://x\n2,a |  | b,or,https://y\n"))
    write_table(frame, tmp_path / "t.parquet")
    [problem] = validate({tmp_path / "t.parquet": read_table(tmp_path / "t.parquet")})
    assert (problem.place, problem.column, problem.kind) == ("row 2", FACET_COLUMNS[0], "empty-segment")


@given(CELLS)
def test_tidy_annotations_have_no_problems(cells: list[str]) -> None:
    assert [annotation_problems(cell) for cell in cells] == [[]] * len(cells)


@pytest.mark.parametrize(
    ("annotation", "kinds"),
    [
        ("a |  | b", ["empty-segment"]),
        ("a | ", ["empty-segment"]),
        (" | ", ["empty-segment"]),
        ("a $ ", ["empty-tag"]),
        ("$", ["empty-tag"]),
        ("a $ \x00 $ b", ["empty-tag", "control-character"]),
        ("a\tb", ["control-character"]),
        ("a  b", ["stray-space"]),
        ("a|b", ["stray-space"]),
        ("a$b", ["stray-space"]),
        (" a", ["stray-space"]),
        ("a\u00a0b", ["stray-space"]),
        ("a / b | c", ["slash"]),
        ("a/b", ["slash"]),
        ("roba | blanc/negre", []),
    ],
)
def test_kinds_of_annotation_problems(annotation: str, kinds: list[str]) -> None:
    assert [kind for kind, _, _ in annotation_problems(annotation)] == kinds


def test_repeats_name_every_place(tmp_path: Path) -> None:
    one = read_table(written(tmp_path / "1.csv", HEADER + "1,a,,u\n2,a,,v\n3,a,,u\n"))
    two = read_table(written(tmp_path / "2.csv", HEADER + "4,a,,\n5,a,,u\n6,a,,\n"))
    found = list(repeats({Path("1.csv"): one, Path("2.csv"): two}, "#portraitMedia.original"))
    assert found == [([(Path("1.csv"), 0), (Path("1.csv"), 2), (Path("2.csv"), 1)], "u")]


def test_real_rows_have_no_problems(shared_data: Path) -> None:
    real = shared_data / "eufcc-340k" / "test_id.csv"
    assert validate({real: read_table(real, need_ids=False)}) == []
