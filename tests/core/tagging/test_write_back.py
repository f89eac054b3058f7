"""Accepted terms written into a museum's own table: everything else stays as it came."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eufcc_cli.core.dataset.museum.export_file import read_export, write_export
from eufcc_cli.core.dataset.museum.profile import Profile, profile_file
from eufcc_cli.core.dataset.museum.readers.export import Dialect, text_frame
from eufcc_cli.core.dataset.museum.terms_file import write_terms
from eufcc_cli.core.errors import DataError
from eufcc_cli.core.files import Root
from eufcc_cli.core.tagging.own_table import OwnTable
from eufcc_cli.core.tagging.write_back import Addition, from_decisions, write_back
from eufcc_cli.core.taxonomy.decisions import Decision, Decisions
from eufcc_cli.core.taxonomy.matching.assignment import TermRow

HEADER = ["Inv.-Nr.", "Titel", "Objekt", "Material ", "Notiz"]
CELLS = [
    ["1913.5", "=SUMME(A1:A9)", "Vase", "Bronze; Gold", "-5"],
    ["1913.6", "Größe “unbekannt”", "", "", "@later"],
    ["1913.7", "'quoted'", "Münze", "Metall", "a;b\nc"],
    ["1913.8", " padded ", "Münze", "", ""],
]
FACETS = {"objectTypes": ("Objekt",), "materials": ("Material",)}
FORMATS = [
    ("semicolons.csv", Dialect("csv", encoding="cp1252", separator=";", newline="\r\n")),
    ("excel.csv", Dialect("csv", encoding="utf-16-le", bom=True, separator="\t", sep_line=True)),
    ("plain.csv", Dialect("csv", quote_all=True)),
    ("book.xlsx", Dialect("xlsx", sheet="Tabelle1")),
    ("book.ods", Dialect("ods", sheet="Tabelle1")),
    ("lines.jsonl", Dialect("jsonl")),
]
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=6)
BRONZE = ("Metall", "Nichteisenmetall", "Kupferlegierung", "Bronze")
SILVER = ("Metall", "Nichteisenmetall", "Silber")
COIN = ("Münze",)


def make(
    folder: Path,
    cells: list[list[str]],
    name: str = "export.csv",
    dialect: Dialect = FORMATS[0][1],
    **profile: object,
) -> OwnTable:
    """A museum's table in a root with a profile."""
    root = Root(folder)
    root.data.mkdir(parents=True, exist_ok=True)
    frame = text_frame(["id", "title", "object", "material", "note"], list(zip(*cells, strict=True)))
    write_export(frame, folder / name, dialect, HEADER)
    known = Profile(id="Inv.-Nr.", facets=FACETS, language="de")
    replace(known, **profile).write(profile_file(root))  # type: ignore[arg-type]
    return OwnTable.read(folder / name, root)


def written(path: Path) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a file."""
    export = read_export(path)
    return list(export.header), export.frame.to_numpy().tolist()


@pytest.mark.parametrize(("name", "dialect"), FORMATS, ids=[name for name, _ in FORMATS])
def test_suggestions_stand_beside_the_cells(tmp_path: Path, name: str, dialect: Dialect) -> None:
    table = make(tmp_path, CELLS, name, dialect)
    out = tmp_path / f"out{Path(name).suffix}"
    additions = {
        1: [Addition("materials", BRONZE, 0.934, "m"), Addition("materials", BRONZE[:1], 0.99, "m")],
        3: [Addition("materials", SILVER, 0.7, "m"), Addition("materials", BRONZE, None, "curator")],
    }
    done = write_back(table, additions, out)
    assert (done.terms, done.records) == (3, 2)
    header, rows = written(out)
    beside = [
        f"{column} ({kind})" for column in ("Material",) for kind in ("suggested", "probability", "model")
    ]
    objects = [f"Objekt ({kind})" for kind in ("suggested", "probability", "model")]
    assert header == [*HEADER[:3], *objects, HEADER[3], *beside, HEADER[4]]
    assert [[*row[:3], row[6], row[10]] for row in rows] == CELLS
    assert [row[3:6] for row in rows] == [["", "", ""]] * 4
    assert [row[7:10] for row in rows] == [
        ["", "", ""],
        ["Bronze", "0.93", "m"],
        ["", "", ""],
        ["Bronze; Silber", "; 0.7", "curator; m"],
    ]
    if dialect.format == "csv":
        assert read_export(out).dialect == dialect
        text = out.read_bytes().decode("utf-16" if dialect.bom else dialect.encoding)
        assert not re.search(r'(?:^|[;\t,])"?[=@]', text, re.MULTILINE), "a spreadsheet would evaluate it"


@pytest.mark.parametrize(("name", "dialect"), FORMATS, ids=[name for name, _ in FORMATS])
def test_merged_terms_come_behind_what_is_there(tmp_path: Path, name: str, dialect: Dialect) -> None:
    table = make(tmp_path, CELLS, name, dialect)
    out = tmp_path / f"out{Path(name).suffix}"
    everywhere = [Addition("materials", BRONZE, 0.9, "m"), Addition("materials", SILVER, 0.8, "m")]
    write_back(table, dict.fromkeys(range(4), everywhere), out, merge=True)
    header, rows = written(out)
    assert header == HEADER
    assert [row[3] for row in rows] == [
        "Bronze; Gold; Silber",  # bronze is there already
        "Bronze; Silber",
        "Metall; Bronze; Silber",
        "Bronze; Silber",
    ]
    assert [[*row[:3], row[4]] for row in rows] == [[*row[:3], row[4]] for row in CELLS]


@settings(max_examples=60)
@given(
    st.lists(
        st.lists(
            st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=6),
            min_size=4,
            max_size=4,
        ),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from(FORMATS),
)
def test_a_table_without_additions_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, texts: list[list[str]], form: tuple[str, Dialect]
) -> None:
    name, dialect = form
    dialect = replace(dialect, encoding="utf-8") if dialect.encoding == "cp1252" else dialect
    cells = [[f"id{row}", *some] for row, some in enumerate(texts)]
    folder = tmp_path_factory.mktemp("table")
    table = make(folder, cells, name, dialect)
    assert table.export.frame.to_numpy().tolist() == cells
    for merge in (True, False):
        out = folder / f"out{merge}{Path(name).suffix}"
        write_back(table, {}, out, merge=merge)
        header, rows = written(out)
        kept = [i for i, column in enumerate(header) if "(" not in column]
        assert [[row[i] for i in kept] for row in rows] == cells


@pytest.mark.parametrize("only_empty", [False, True])
def test_a_cell_that_says_unknown_counts_as_empty(tmp_path: Path, only_empty: bool) -> None:
    cells = [[str(i), "", "", text, ""] for i, text in enumerate(["unbekannt", "k. A.", "-", "Holz"])]
    table = make(tmp_path, cells)
    added = {row: [Addition("materials", SILVER, 0.9, "m")] for row in range(4)}
    write_back(table, added, tmp_path / "out.csv", merge=True, only_empty=only_empty)
    merged = ["Silber"] * 3 + ["Holz" if only_empty else "Holz; Silber"]
    assert [row[3] for row in written(tmp_path / "out.csv")[1]] == merged


def test_only_empty_cells(tmp_path: Path) -> None:
    table = make(tmp_path, CELLS)
    everywhere = {row: [Addition("materials", SILVER, 0.8, "m")] for row in range(4)}
    for merge in (True, False):
        done = write_back(table, everywhere, tmp_path / "out.csv", merge=merge, only_empty=True)
        assert (done.terms, done.held_back) == (2, 2)
        column = 3 if merge else 7
        assert [row[column] for row in written(tmp_path / "out.csv")[1]][1::2] == ["Silber", "Silber"]
    write_back(table, everywhere, tmp_path / "out.csv", merge=True, only_empty=True)
    assert [row[3] for row in written(tmp_path / "out.csv")[1]][::2] == ["Bronze; Gold", "Metall"]


@pytest.mark.parametrize("shown", [True, False])
def test_a_facet_with_one_value_never_gets_a_second(tmp_path: Path, shown: bool) -> None:
    """Whether the cells show it, or the profile says it."""
    cells = [[f"{i}", "", "Münze" if i % 3 else "", "", ""] for i in range(60)] if shown else CELLS
    table = make(tmp_path, cells, **({} if shown else {"single": ("objectTypes",)}))
    assert "objectTypes" in table.single
    two = [Addition("objectTypes", ("Vase",), 0.6, "m"), Addition("objectTypes", ("Amphore",), 0.8, "m")]
    done = write_back(table, dict.fromkeys(range(len(cells)), two), tmp_path / "out.csv", merge=True)
    after = [row[2] for row in written(tmp_path / "out.csv")[1]]
    assert after == [row[2] or "Amphore" for row in cells]
    assert done.terms == sum(not row[2] for row in cells)
    assert done.held_back == 2 * len(cells) - done.terms - (not shown)  # a vase is a vase already


def test_the_museums_own_words(tmp_path: Path) -> None:
    make(tmp_path, CELLS)
    path = " | ".join(BRONZE)
    write_terms(
        Root(tmp_path).terms,
        [
            TermRow("materials", "Glockenspeise", 1, path, "edited", ""),
            TermRow("materials", "Kupferlegierung", 1, path, "edited", "Metall"),
        ],
    )
    cells = [
        *CELLS,
        ["1", "", "", "Glockenspeise", ""],
        ["2", "", "", "Glockenspeise", ""],
        ["3", "", "", "", ""],
    ]
    table = make(tmp_path, [row for row in cells if row[3] != "Bronze; Gold"])
    write_back(table, {5: [Addition("materials", BRONZE, 0.9, "m")]}, tmp_path / "out.csv", merge=True)
    assert written(tmp_path / "out.csv")[1][5][3] == "Glockenspeise"


def test_a_term_of_the_museums_own_is_not_written_twice(tmp_path: Path) -> None:
    """A term that many records of the whole export had, and few of this one have."""
    make(tmp_path, CELLS)
    write_terms(
        Root(tmp_path).terms, [TermRow("materials", "Zauberstoff", 9, "Zauberstoff", "own", "Zauberstoff")]
    )
    cells = [
        ["1", "", "", "Zauberstoff", ""],
        ["2", "", "", "blauer Zauberstoff", ""],
        ["3", "", "", "Wundergut", ""],
    ]
    table = make(tmp_path, cells)
    assert [table.annotation("materials", record) for record in range(3)] == [
        "Zauberstoff",
        "Zauberstoff",
        "",
    ]
    own = [Addition("materials", (term,), 0.9, "m") for term in ("Zauberstoff", "Wundergut")]
    write_back(table, dict.fromkeys(range(3), own), tmp_path / "out.csv", merge=True)
    assert [row[3] for row in written(tmp_path / "out.csv")[1]] == [
        "Zauberstoff; Wundergut",
        "blauer Zauberstoff; Wundergut",
        "Wundergut; Zauberstoff",
    ]


def test_terms_of_a_model_with_the_published_tags(tmp_path: Path) -> None:
    """The vocabulary of EUFCC-340K is in Catalan, the table in German."""
    table = make(tmp_path, CELLS)
    bronze = ("metall", "metall no fèrric", "aliatge de coure", "bronze")
    silver = ("metall", "metall no fèrric", "argent")
    added = {0: [Addition("materials", bronze, 0.9, "m"), Addition("materials", silver, 0.8, "m")]}
    write_back(table, added, tmp_path / "out.csv", merge=True)
    assert written(tmp_path / "out.csv")[1][0][3] == "Bronze; Gold; Silber"


def test_a_table_in_the_published_format(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(
        'idInSource,#portraitMedia.original,materials.hierarchy\na,,metall | metall no fèrric | or\nb,,""\n',
        encoding="utf-8",
    )
    table = OwnTable.read(path, Root(tmp_path))
    silver = ("metall", "metall no fèrric", "argent")
    write_back(table, {0: [Addition("materials", silver, 0.9, "m")]}, tmp_path / "out.csv", merge=True)
    both = "metall | metall no fèrric | or $ metall | metall no fèrric | argent"
    assert written(tmp_path / "out.csv")[1][0][2] == both


def test_decisions_of_people(tmp_path: Path) -> None:
    table = make(tmp_path, CELLS)
    decisions = Decisions()
    for image_id, image, tag, verdict, score in [
        ("1913.6", "x.jpg", "Bronze", "accepted", 0.9),
        ("1913.6", "x.jpg", "Metall", "accepted", 0.95),
        ("1913.6", "x.jpg", "Silber", "rejected", 0.8),
        (None, "scans/1913.8.tif", "Gold", "added", None),
        (None, "scans/nothing.tif", "Gold", "added", None),
    ]:
        decisions.add(
            Decision(
                time="2026-11-26T10:11:12Z",
                reviewer="curator",
                image=image,
                id=image_id,
                facet="materials",
                tag=tag,
                verdict=verdict,
                score=score,
                model=None if score is None else "m",
            )
        )
    additions, elsewhere = from_decisions(table, decisions)
    assert [decision.image for decision in elsewhere] == ["scans/nothing.tif"]
    write_back(table, additions, tmp_path / "out.csv")
    rows = written(tmp_path / "out.csv")[1]
    assert [row[7:10] for row in rows] == [
        ["", "", ""],
        ["Bronze", "0.9", "m"],
        ["", "", ""],
        ["Gold", "", "curator"],
    ]


def test_what_cannot_be_written(tmp_path: Path) -> None:
    table = make(tmp_path, CELLS)
    with pytest.raises(DataError, match="names no format"):
        write_back(table, {}, tmp_path / "out.pdf")
    with pytest.raises(DataError, match="cp1252"):  # nothing is left behind
        write_back(table, {0: [Addition("materials", ("дерево",), 0.9, "m")]}, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()
    write_back(table, {}, tmp_path / "again.csv")
    again = OwnTable.read(tmp_path / "again.csv", Root(tmp_path))
    with pytest.raises(DataError, match=r"has a column 'Objekt \(suggested\)' already"):
        write_back(again, {}, tmp_path / "out.csv")
