"""data/terms.csv: written, edited in a spreadsheet, read again."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eufcc_cli.core.dataset.museum.terms_file import read_terms, write_terms
from eufcc_cli.core.errors import DataError
from eufcc_cli.core.taxonomy.matching.assignment import TermRow
from eufcc_cli.core.taxonomy.tables.annotations import FACETS, canonical

TEXT = st.text(min_size=1, max_size=12).map(canonical).filter(bool)
ROWS = st.builds(
    TermRow,
    facet=st.sampled_from(FACETS),
    text=st.one_of(TEXT, TEXT.map("={}".format), TEXT.map("'@{}".format)).map(canonical).filter(bool),
    count=st.integers(0, 10**6),
    term=TEXT,
    how=st.sampled_from(["exact", "word", "none", "edited"]),
    automatic=TEXT,
)


@given(st.lists(ROWS, min_size=1, max_size=8, unique_by=lambda row: row.key))
def test_rows_come_back_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[TermRow]
) -> None:
    path = tmp_path_factory.mktemp("terms") / "terms.csv"
    write_terms(path, rows)
    assert read_terms(path) == rows


def test_no_file_no_rows(tmp_path: Path) -> None:
    assert read_terms(tmp_path / "terms.csv") == []


ROW = TermRow("materials", "bronze", 3, "metal | bronze", "exact", "metal | bronze")


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1252", "facet;text;count;term;how;automatic\r\nmaterials;boxwood (“buis”);4;wood;edited;\r\n"),
        (
            "utf-16",
            "facet\ttext\tcount\tterm\thow\tautomatic\nmaterials\tboxwood (“buis”)\t4\twood\tedited\t\n",
        ),
        ("utf-8-sig", "Text,Facet,Term\nboxwood (“buis”),materials,wood\n"),
    ],
)
def test_as_spreadsheets_save_it(tmp_path: Path, encoding: str, text: str) -> None:
    path = tmp_path / "terms.csv"
    path.write_bytes(text.encode(encoding))
    [row] = read_terms(path)
    assert (row.text, row.term, row.edited) == ("boxwood (“buis”)", "wood", True)
    write_terms(path, [row, ROW])
    assert read_terms(path) == [row, ROW]
    first = path.read_bytes().decode(encoding).splitlines()[0]
    assert any(separator in first for separator in (text[5], ",")), "the separator stays"


def test_what_the_encoding_lacks_is_written_as_utf8(tmp_path: Path) -> None:
    path = tmp_path / "terms.csv"
    path.write_bytes("facet;text;term\nmaterials;café;wood\n".encode("cp1252"))
    rows = [ROW, TermRow("materials", "дерево", 1, "wood", "edited", "")]
    write_terms(path, rows)
    assert read_terms(path) == rows


def test_a_row_typed_below_counts(tmp_path: Path) -> None:
    path = tmp_path / "terms.csv"
    write_terms(path, [ROW])
    with path.open("a", encoding="utf-8") as file:
        file.write("materials,Bronze,,metal | bell metal,,\n,,,,,\n")
    [row] = read_terms(path)
    assert row.term == "metal | bell metal"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("facet,word\nmaterials,a\n", "column 'text' is missing"),
        ("facet,text,term\nmaterial,a,b\n", "row 2: unknown facet 'material'"),
        ("facet,text,term\nmaterials,a,b\nmaterials,A,c\n", "row 3: 'A' becomes 'c' here and 'b' further up"),
    ],
)
def test_errors_name_the_row(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "terms.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_terms(path)
