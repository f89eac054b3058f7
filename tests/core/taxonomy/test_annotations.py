"""Annotation tables: what is read, what is refused and how it is told, and what comes back written."""

import csv
import io
import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eufcc_cli.core.errors import DataError
from eufcc_cli.core.taxonomy.tables import csv_blocks
from eufcc_cli.core.taxonomy.tables.annotation_files import read_table, write_parts, write_table
from eufcc_cli.core.taxonomy.tables.annotations import (
    DATABASE,
    FACETS,
    ID,
    IMAGE_URL,
    PROVIDER,
    canonical,
    check_facets,
    distinct,
    names,
    paths,
)
from tests.core.taxonomy.tables import CELLS, HEADER, table, written

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


def test_any_column_order_extra_columns_and_windows_line_ends(tmp_path: Path) -> None:
    text = "\ufeffnotes,materials.hierarchy,idInSource\r\nkeep me,metall | or,007\r\n,,1e5\r\n"
    frame = read_table(written(tmp_path / "t.csv", text))
    assert frame.to_dict("list") == {
        "notes": ["keep me", ""],
        "materials.hierarchy": ["metall | or", ""],
        "idInSource": ["007", "1e5"],
    }


def test_quoted_commas_quotes_and_newlines(tmp_path: Path) -> None:
    frame = read_table(
        written(tmp_path / "t.csv", HEADER + '1,"vas, ""gran""","or\n | plata",http://x/1\n2,,or,\n')
    )
    assert frame["objectTypes.hierarchy"].tolist() == ['vas, "gran"', ""]
    assert paths(frame["materials.hierarchy"][0]) == [("or", "plata")]
    assert frame[IMAGE_URL].tolist() == ["http://x/1", ""]


def test_words_that_look_missing_or_numeric_stay_text(tmp_path: Path) -> None:
    rows = ["NA", "null", "None", "nan", "1.0", "-1", "true"]
    frame = read_table(
        written(tmp_path / "t.csv", HEADER + "".join(f"{text},{text},{text},\n" for text in rows))
    )
    assert frame[ID].tolist() == frame["materials.hierarchy"].tolist() == rows


def test_chosen_columns_come_in_their_order_and_optional_ones_are_filled(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", HEADER + "1,vas,or,http://x/1\n")
    frame = read_table(path, [IMAGE_URL, PROVIDER, DATABASE, "subjects.hierarchy", ID])
    assert list(frame) == [IMAGE_URL, PROVIDER, DATABASE, "subjects.hierarchy", ID]
    assert frame.iloc[0].tolist() == ["http://x/1", "", "", "", "1"]
    assert len(frame.dtypes.unique()) == 1


def refused(path: Path, *parts: str, **options: object) -> None:
    """Reading fails with one line that names the file and holds these parts, and there is a hint."""
    with pytest.raises(DataError) as caught:
        read_table(path, **options)  # type: ignore[arg-type]
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message
    for part in parts:
        assert part in message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ["empty"]),
        ("\n", ["empty"]),
        (HEADER, ["no rows"]),
        ("materials.hierarchy,url\nor,x\n", [ID, "missing"]),
        (f"{ID},url\n1,x\n", ["no facet column", "materials.hierarchy"]),
        (f"{ID},materials.hierarchy,{ID}\n1,or,2\n", [ID, "twice"]),
        (f"{ID};materials.hierarchy\n1;or\n", ["';'"]),
        (HEADER + "1,vas,or,u\n2,vas\n3,vas,or,u\n4,a,b,c,d\n", ["line 3 has 2", "line 5 has 5", "header 4"]),
        (HEADER + '1,"a\nb",or,u\n2,vas\n', ["line 4 has 2"]),
        (HEADER + '1,vas,or,u\n2,"vas,or,u\n3,vas,or,u\n', ["below that of line 2"]),
        (HEADER + "1,vas,or,u\n,vas,or,u\n \t,vas,or,u\n", [ID, "line 3, line 4"]),
        (HEADER + '1,"a\nb",or,u\n\n,vas,or,u\n', [ID, "line 5"]),
    ],
)
def test_bad_tables_are_refused_by_file_and_line(tmp_path: Path, text: str, parts: list[str]) -> None:
    refused(written(tmp_path / "t.csv", text), *parts)


def test_other_encodings_are_refused(tmp_path: Path) -> None:
    refused(written(tmp_path / "t.csv", HEADER + "1,vas,or,u\n2,bodegó,or,u\n", "latin-1"), "line 3", "UTF-8")
    refused(written(tmp_path / "u.csv", HEADER + "1,vas,or,u\n", "utf-16"), "UTF-16")
    refused(written(tmp_path / "h.csv", "idInSource,matèries\n1,2\n", "latin-1"), "line 1", "UTF-8")


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "missing.csv", "no such file")
    refused(tmp_path, "no such file")
    refused(written(tmp_path / "t.parquet", "not parquet"), "Parquet")
    refused(written(tmp_path / "t.csv", f"{ID},materials.hierarchy\n1,or\n"), IMAGE_URL, columns=[IMAGE_URL])


def test_missing_ids_are_kept_where_they_are_to_be_reported(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", HEADER + ",vas,or,u\n")
    assert read_table(path, need_ids=False)[ID].tolist() == [""]


@given(
    rows=st.lists(st.tuples(TEXT.filter(str.strip), TEXT, TEXT), min_size=1, max_size=6),
    extra=TEXT.filter(lambda name: name.isprintable() and name not in ("", ID, "materials.hierarchy")),
    ending=st.sampled_from(["csv", "parquet"]),
)
def test_read_and_written_again_it_is_the_same_table(
    tmp_path: Path, rows: list[tuple[str, str, str]], extra: str, ending: str
) -> None:
    frame = pd.DataFrame(rows, columns=[ID, "materials.hierarchy", extra], dtype="str")
    first, second = tmp_path / f"first.{ending}", tmp_path / f"second.{ending}"
    write_table(frame, first)
    once = read_table(first)
    pd.testing.assert_frame_equal(once, frame)
    write_table(once, second)
    assert second.read_bytes() == first.read_bytes()


@given(rows=st.lists(st.tuples(TEXT.filter(str.strip), TEXT, TEXT), min_size=1, max_size=6))
def test_reading_agrees_with_pythons_own_reader(tmp_path: Path, rows: list[tuple[str, str, str]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerows([(ID, "materials.hierarchy", "more"), *rows])
    frame = read_table(written(tmp_path / "t.csv", text.getvalue()))
    assert list(frame.itertuples(index=False, name=None)) == rows


@settings(max_examples=25)
@given(st.data())
def test_parts_of_a_table_are_written_as_tables_of_their_own(tmp_path: Path, data: st.DataObject) -> None:
    rows = st.lists(
        st.tuples(TEXT.filter(str.strip), st.none() | TEXT, st.integers(-1, 1)), min_size=1, max_size=6
    )
    *cells, part = zip(*data.draw(rows), strict=True)
    frame = pd.DataFrame(dict(zip((ID, "materials.hierarchy"), cells, strict=True)), dtype="str")
    if data.draw(st.booleans()):
        frame["year"] = 1900
    parts = {tmp_path / f"{i}.csv": np.flatnonzero(np.array(part) == i) for i in range(2)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_blocks, "_ROWS", data.draw(st.integers(1, 8)))
        write_parts(frame, parts)
    for path, numbers in parts.items():
        write_table(frame.iloc[numbers], tmp_path / "alone.csv")
        assert path.read_bytes() == (tmp_path / "alone.csv").read_bytes()


def test_lists_in_an_annotation_column_of_parquet_are_named(tmp_path: Path) -> None:
    frame = pd.DataFrame({"idInSource": ["a"], "materials.hierarchy": [["metal | bronze", "wood"]]})
    frame.to_parquet(tmp_path / "t.parquet")
    refused(tmp_path / "t.parquet", "column 'materials.hierarchy' is of the type list")


def test_parquet_keeps_the_types_of_extra_columns(tmp_path: Path) -> None:
    frame = pd.DataFrame({ID: [7, 8], "materials.hierarchy": ["or", None], "year": [1900, 1950]})
    write_table(frame, tmp_path / "t.parquet")
    once = read_table(tmp_path / "t.parquet")
    assert once[ID].tolist() == ["7", "8"] and once["materials.hierarchy"].tolist() == ["or", ""]
    assert once["year"].tolist() == [1900, 1950] and once["year"].dtype == "int64"


def test_real_table_comes_back_byte_for_byte(shared_data: Path, tmp_path: Path) -> None:
    real = shared_data / "eufcc-340k" / "test_id.csv"
    frame = read_table(real)
    assert len(frame) == 2633
    write_table(frame, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_bytes() == real.read_bytes()


@given(st.text(st.sampled_from("aè\u0300 \t\n|$/\x1b\u00a0")))
def test_paths_are_clean_whatever_the_annotation(annotation: str) -> None:
    found = paths(annotation)
    assert all(found)
    for path in found:
        for name in path:
            assert name == canonical(name) and name == unicodedata.normalize("NFC", name)
            assert name and name.isprintable() and not set("|$") & set(name)
    tidy = " $ ".join(" | ".join(path) for path in found)
    assert paths(tidy) == found and names(tidy) == names(annotation)


@given(CELLS, CELLS)
def test_distinct_counts_rows_in_reading_order(first: list[str], second: list[str]) -> None:
    tables = [table(materials=cells) for cells in (first, second)]
    expected: dict[str, int] = {}
    for cell in filter(None, first + second):
        expected[cell] = expected.get(cell, 0) + 1
    counted = distinct(tables, ["materials", "subjects"])
    assert list(counted["materials"].items()) == list(expected.items())
    assert counted["subjects"] == {}


def test_facet_names_are_checked() -> None:
    assert check_facets([]) == FACETS
    assert check_facets(["subjects", "materials", "subjects"]) == ("materials", "subjects")
    with pytest.raises(DataError, match="unknown facet 'colours'") as caught:
        check_facets(["materials", "colours"])
    assert caught.value.hint and all(facet in caught.value.hint for facet in FACETS)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\xef\xbb\xbf\xef\xbb\xbfidInSource,materials.hierarchy\n1,or\n", r"there is '\\ufeffidInSource'"),
        ("idInSource\u00a0,materials.hierarchy\n1,or\n".encode(), r"there is 'idInSource\\xa0'"),
        ("\u200bidInSource,materials.hierarchy\n1,or\n".encode(), r"there is '\\u200bidInSource'"),
        (b" idInSource ,materials.hierarchy\n1,or\n", "there is ' idInSource '"),
        (b"IDINSOURCE,materials.hierarchy\n1,or\n", "there is 'IDINSOURCE'"),
        (b"sep=,\nidInSource,materials.hierarchy\n1,or\n", "its first line is 'sep=,'"),
        (b"Export 2024,\n,\nidInSource,materials.hierarchy\n1,or\n", "'Export 2024', the header is line 3"),
        (b"PK\x03\x04\x14\x00\x06\x00\n", "a workbook"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0", "Excel before 2007"),
        (b"\x1f\x8b\x08\0\0\0", "compressed by gzip"),
        (b"PAR1\x15\x04", "a Parquet file"),
        (b"%PDF-1.4\n", "a PDF document"),
        (b"<html><table>\n", "HTML or XML"),
        (b'{"idInSource": "1"}\n', "JSON"),
        ("idInSource,materials.hierarchy\n1,or\n".encode("utf-16-le"), "UTF-16"),
        ("\uff49\uff44InSource,materials.hierarchy\n1,or\n".encode(), "with other characters in it"),
        (b"inventory,title\n1,or\n", "there are 'inventory', 'title'"),
        (b"idInSource|materials.hierarchy\n1|or\n", "separated by '\\|'"),
    ],
)
def test_a_header_that_is_odd_is_quoted(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(DataError, match=told):
        read_table(tmp_path / "a.csv")
