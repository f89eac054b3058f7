"""Exports in every format: the cells as they came, the same after writing, and a clear error for the rest."""

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import openpyxl
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eufcc_cli.core.dataset.museum.export_file import Dialect, read_export, write_export
from eufcc_cli.core.dataset.museum.readers.export import text_frame, unique_names
from eufcc_cli.core.errors import DataError

DIALECTS = {
    "comma": Dialect("csv"),
    "excel in Europe": Dialect("csv", "cp1252", False, ";", "\r\n"),
    "utf-8 with a mark": Dialect("csv", "utf-8", True, ";", "\r\n", True),
    "sep line": Dialect("csv", "utf-8", True, "|", "\r\n", False, True),
    "unicode text": Dialect("csv", "utf-16-le", True, "\t", "\r\n"),
    "big endian": Dialect("csv", "utf-16-be", True, ",", "\n"),
    "xlsx": Dialect("xlsx", sheet="Objects"),
    "ods": Dialect("ods", sheet="Objects"),
    "jsonl": Dialect("jsonl"),
}
ENDINGS = {"xlsx": ".xlsx", "ods": ".ods", "jsonl": ".jsonl"}
HEADER = ("ID", "Medium", "Period, place")

letters = "aäß€;,|\t\"'\n\r =+-@._x000D_ 0159<&"
cell = st.text(st.sampled_from(letters), max_size=8)


def path_for(folder: Path, dialect: Dialect) -> Path:
    return folder / f"table{ENDINGS.get(dialect.format, '.csv')}"


@pytest.mark.parametrize("name", DIALECTS)
@settings(max_examples=20)
@given(rows=st.lists(st.tuples(cell, cell, cell), min_size=1, max_size=5))
def test_what_is_written_is_read_again(name: str, rows: list[tuple[str, str, str]], tmp_path: Path) -> None:
    dialect = DIALECTS[name]
    # A table begins below its header and ends with a record.
    rows = [("1", "weiß", ""), *rows, ("2", "", "Roman")]
    frame = text_frame(HEADER, list(zip(*rows, strict=True)))
    path = path_for(tmp_path, dialect)
    write_export(frame, path, dialect, HEADER)
    export = read_export(path)
    assert export.frame.equals(frame)
    assert export.header == HEADER
    if dialect.format == "csv" and '"' not in "".join(map("".join, rows)):
        assert replace(export.dialect, quote_all=dialect.quote_all) == dialect
    before = path.read_bytes()
    write_export(export.frame, path, export.dialect, export.header)
    assert read_export(path).frame.equals(frame)
    if dialect.format in ("csv", "jsonl"):
        assert path.read_bytes() == before


def test_a_table_as_excel_writes_it_in_europe(tmp_path: Path) -> None:
    path = tmp_path / "Objekte.csv"
    path.write_bytes(
        'sep=;\r\nInventar-Nr.;"Material;\r\nTechnik"\r\n"A;1";"Öl auf ""Leinwand"""\r\n2;€\r\n'.encode(
            "cp1252"
        )
    )
    export = read_export(path)
    assert export.dialect == Dialect("csv", "cp1252", False, ";", "\r\n", False, True)
    assert export.columns == ["Inventar-Nr.", "Material; Technik"]
    assert export.frame.to_numpy().tolist() == [["A;1", 'Öl auf "Leinwand"'], ["2", "€"]]
    assert export.place(1).endswith("Objekte.csv, row 4")
    before = path.read_bytes()
    write_export(export.frame, path, export.dialect, export.header)
    assert path.read_bytes() == before


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_found_among_texts_that_hold_the_others(tmp_path: Path, separator: str) -> None:
    others = [c for c in ",;|" if c != separator]
    rows = [["id", "Medium", "Title"]] + [
        [str(i), f"gold{others[i % len(others)]} silver", "a, b; c" if separator not in ",;" else "x"]
        for i in range(20)
    ]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(separator.join(row) for row in rows), encoding="utf-8")
    export = read_export(path)
    assert export.dialect.separator == separator
    assert export.frame.to_numpy().tolist() == rows[1:]


def test_umlauts_late_in_a_file_decide_its_encoding(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    lines = "id,Medium\n" + "".join(f"{i},wood\n" for i in range(60_000))
    path.write_bytes(lines.encode() + "x,Öl\n".encode("cp1252"))
    export = read_export(path)
    assert export.dialect.encoding == "cp1252" and export.frame["Medium"].iloc[-1] == "Öl"


@pytest.mark.parametrize(
    "text",
    [
        "[{0},\n {1}]",
        '{{"total": 2,\n "records": [{0}, {1}]}}',
        "{0}\n{1}\n",
        '{{"data":[{0},{1}],"info":{{}}}}',
    ],
)
def test_records_in_json(tmp_path: Path, text: str) -> None:
    path = tmp_path / "t.json"
    path.write_text(text.format('{"id": 7, "material": ["gold", "silver"]}', '{"id": "07"}'))
    export = read_export(path)
    assert export.frame.to_numpy().tolist() == [["7", "gold | silver"], ["07", ""]]


def test_cells_that_nothing_changes_keep_their_spaces(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(before := b"ID,Medium\r\n1,bronze \r\n 2,gold\r\n")
    export = read_export(path)
    write_export(export.frame, path, export.dialect, export.header)
    assert path.read_bytes() == before


def test_columns_without_a_name_or_of_one_name(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("ID,Notes,Notes,\n1,a,b,c\n")
    export = read_export(path)
    assert export.columns == unique_names(export.header) == ["ID", "Notes", "Notes (2)", "column 4"]
    write_export(export.frame, path, export.dialect, export.header)
    assert path.read_text() == "ID,Notes,Notes,\n1,a,b,c\n"


def test_a_workbook_shows_its_numbers_as_a_spreadsheet_does(tmp_path: Path) -> None:
    import datetime as dt

    book = openpyxl.Workbook()
    page = book.active
    page.append(["id", "n", "when", "formula"])
    page.append([7, 1913.5, dt.date(2024, 3, 1), "=1+1"])
    page["A2"].number_format, page["B2"].number_format = "00000", "0.00"
    page.append([8, 12.0, True, None])
    book.save(tmp_path / "t.xlsx")
    export = read_export(tmp_path / "t.xlsx")
    # Nothing is computed: a formula that no spreadsheet has computed yet is an empty cell.
    assert export.frame.to_numpy().tolist() == [
        ["00007", "1913.50", "2024-03-01", ""],
        ["8", "12", "TRUE", ""],
    ]
    assert export.formulas == {"formula": 0}


def test_several_files_are_one_table(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("ID,Medium\n1,gold\n2,\n")
    (tmp_path / "b.csv").write_text("Medium;ID\nwood;3\n")
    export = read_export([tmp_path / "a.csv", tmp_path / "b.csv"])
    assert export.frame.to_numpy().tolist() == [["1", "gold"], ["2", ""], ["3", "wood"]]
    assert export.place(2).endswith("b.csv, row 2")
    (tmp_path / "c.csv").write_text("ID,Material\n1,gold\n")
    with pytest.raises(DataError, match=r"c\.csv: its columns are not those of .*a\.csv: Material, Medium"):
        read_export([tmp_path / "a.csv", tmp_path / "c.csv"])


def test_json_lines_with_lists(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"id": 7, "medium": ["gold", "silver"]}\n\n{"id": "8", "medium": null, "x": {"a": 1}}\n')
    export = read_export(path)
    assert export.frame.to_numpy().tolist() == [["7", "gold | silver", ""], ["8", "", '{"a": 1}']]
    write_export(export.frame, path, export.dialect, export.header)
    assert json.loads(path.read_text().splitlines()[0])["medium"] == ["gold", "silver"]


LIDO = """<?xml version="1.0"?>
<lido:lidoWrap xmlns:lido="http://www.lido-schema.org">{records}</lido:lidoWrap>"""
RECORD = """<lido:lido><lido:lidoRecID lido:type="local">x/{id}</lido:lidoRecID>
<lido:descriptiveMetadata xml:lang="de"><lido:objectClassificationWrap><lido:objectWorkTypeWrap>
<lido:objectWorkType><lido:conceptID lido:type="URI">http://vocab.getty.edu/aat/300033618</lido:conceptID>
<lido:term xml:lang="de">Gemälde</lido:term>
<lido:term xml:lang="en">painting</lido:term></lido:objectWorkType>
</lido:objectWorkTypeWrap></lido:objectClassificationWrap>
<lido:objectIdentificationWrap><lido:titleWrap><lido:titleSet>
<lido:appellationValue>Bild  {id}</lido:appellationValue>
</lido:titleSet></lido:titleWrap><lido:repositoryWrap><lido:repositorySet>
<lido:repositoryName><lido:legalBodyName><lido:appellationValue>Museum</lido:appellationValue></lido:legalBodyName>
</lido:repositoryName><lido:workID>{id}</lido:workID></lido:repositorySet></lido:repositoryWrap>
<lido:objectMaterialsTechWrap><lido:objectMaterialsTechSet><lido:materialsTech>
<lido:termMaterialsTech lido:type="material"><lido:term>Öl</lido:term></lido:termMaterialsTech>
<lido:termMaterialsTech lido:type="material"><lido:term>Holz|Eiche</lido:term></lido:termMaterialsTech>
<lido:termMaterialsTech lido:type="technique"><lido:term>gemalt</lido:term></lido:termMaterialsTech>
</lido:materialsTech></lido:objectMaterialsTechSet></lido:objectMaterialsTechWrap>
</lido:objectIdentificationWrap></lido:descriptiveMetadata></lido:lido>"""


def test_lido(tmp_path: Path) -> None:
    path = tmp_path / "objects.xml"
    path.write_text(LIDO.format(records="".join(RECORD.format(id=f"A {i}") for i in range(3))))
    export = read_export(path)
    row = export.frame.iloc[2].to_dict()
    assert row["workID"] == "A 2" and row["title"] == "Bild A 2" and row["repository"] == "Museum"
    assert row["objectWorkType"] == "Gemälde"
    assert row[export.uris["objectWorkType"]] == "http://vocab.getty.edu/aat/300033618"
    assert row["termMaterialsTech"] == "Öl | Holz｜Eiche"
    assert read_export(path, language="en").frame["objectWorkType"].tolist() == ["painting"] * 3


def test_lido_with_materials_in_words_only(tmp_path: Path) -> None:
    start, end = "<lido:materialsTech>", "</lido:materialsTech>"
    before, rest = RECORD.format(id="A").split(start)
    words = "".join(
        f'<lido:displayMaterialsTech xml:lang="{code}">{text}</lido:displayMaterialsTech>'
        for code, text in (("de", "Öl auf Holz"), ("en", "oil on wood"))
    )
    path = tmp_path / "objects.xml"
    path.write_text(LIDO.format(records=before + words + rest.split(end)[1]), encoding="utf-8")
    assert read_export(path).frame["termMaterialsTech"].tolist() == ["Öl auf Holz"]
    assert read_export(path, language="en").frame["termMaterialsTech"].tolist() == ["oil on wood"]


EDM = """<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:edm="http://www.europeana.eu/schemas/edm/"
 xmlns:ore="http://www.openarchives.org/ore/terms/" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:dcterms="http://purl.org/dc/terms/" xmlns:skos="http://www.w3.org/2004/02/skos/core#">
<edm:ProvidedCHO rdf:about="urn:1"><dc:title>Krug</dc:title><dc:identifier>K 1</dc:identifier>
<dc:type rdf:resource="http://vocab.getty.edu/aat/300198841"/><dc:type>Krug</dc:type>
<dcterms:medium xml:lang="de">Ton</dcterms:medium></edm:ProvidedCHO>
<ore:Aggregation rdf:about="urn:1a"><edm:aggregatedCHO rdf:resource="urn:1"/>
<edm:dataProvider>Museum</edm:dataProvider>
<edm:isShownBy rdf:resource="https://museum.example/1.jpg"/>
<edm:rights rdf:resource="http://creativecommons.org/publicdomain/mark/1.0/"/></ore:Aggregation>
<skos:Concept rdf:about="http://vocab.getty.edu/aat/300198841">
<skos:prefLabel xml:lang="de">Kanne</skos:prefLabel>
<skos:prefLabel xml:lang="en">jug</skos:prefLabel></skos:Concept></rdf:RDF>"""


def test_edm(tmp_path: Path) -> None:
    path = tmp_path / "edm.xml"
    path.write_text(EDM)
    [row] = read_export(path, language="en").frame.to_dict("records")
    assert row["dc:type"] == "jug | Krug" and row["dcterms:medium"] == "Ton"
    assert row["dc:type URI"].split(" | ")[0] == "http://vocab.getty.edu/aat/300198841"
    assert row["edm:isShownBy"] == "https://museum.example/1.jpg" and row["edm:dataProvider"] == "Museum"


def _workbook(path: Path, sheets: int = 1, rows: int = 2) -> Path:
    book = openpyxl.Workbook()
    for i in range(sheets):
        page = book.active if i == 0 else book.create_sheet()
        page.title = f"Sheet {i + 1}"
        for row in range(rows):
            page.append([f"{row}", "x"])
    book.save(path)
    return path


def test_workbooks_that_cannot_be_read(tmp_path: Path) -> None:
    two = _workbook(tmp_path / "two.xlsx", sheets=2)
    with pytest.raises(DataError, match=r"has 2 sheets \(Sheet 1, Sheet 2\)"):
        read_export(two)
    assert len(read_export(two, sheet="Sheet 2")) == 1
    book = openpyxl.load_workbook(two)
    book["Sheet 1"].sheet_state = "hidden"
    book.save(two)
    assert read_export(two).dialect.sheet == "Sheet 2"
    with pytest.raises(DataError, match="has no sheet 'Sheet 3'"):
        read_export(two, sheet="Sheet 3")
    with pytest.raises(DataError, match="is empty"):
        read_export(_workbook(tmp_path / "empty.xlsx", rows=0))
    with pytest.raises(DataError, match="no rows below the header"):
        read_export(_workbook(tmp_path / "header.xlsx", rows=1))
    whole = _workbook(tmp_path / "whole.xlsx").read_bytes()
    for part in (whole[:-200], whole[: len(whole) // 2]):
        (tmp_path / "cut.xlsx").write_bytes(part)
        with pytest.raises(DataError, match=r"cut\.xlsx: a damaged workbook"):
            read_export(tmp_path / "cut.xlsx")
    named_csv = tmp_path / "really.csv"
    named_csv.write_bytes(whole)
    assert read_export(named_csv).dialect.format == "xlsx"


def test_workbooks_with_a_password(tmp_path: Path) -> None:
    msoffcrypto = pytest.importorskip("msoffcrypto.format.ooxml")
    whole = _workbook(tmp_path / "whole.xlsx")
    with whole.open("rb") as plain, (tmp_path / "secret.xlsx").open("wb") as secret:
        msoffcrypto.OOXMLFile(plain).encrypt("secret", secret)
    with pytest.raises(DataError, match=r"secret\.xlsx: is protected with a password") as error:
        read_export(tmp_path / "secret.xlsx")
    assert error.value.hint
    ods = tmp_path / "secret.ods"
    with zipfile.ZipFile(ods, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("META-INF/manifest.xml", "<manifest:encryption-data/>")
        archive.writestr("content.xml", b"\x01\x02\x03")
    with pytest.raises(DataError, match="is protected with a password"):
        read_export(ods)


BOMB = """<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>"""


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        (
            "bomb.xml",
            BOMB + LIDO.split("?>")[1].format(records="<lido:lido>&c;</lido:lido>"),
            "declares XML entities",
        ),
        (
            "file.xml",
            '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>' + EDM.replace("Krug", "&f;"),
            "declares XML entities",
        ),
        ("broken.xml", LIDO.format(records="<lido:lido>"), "not well-formed XML"),
        ("other.xml", "<html><body/></html>", "neither LIDO nor EDM"),
        ("none.xml", LIDO.format(records=""), "holds no LIDO record"),
        ("empty.csv", "", "the file is empty"),
        ("blank.csv", "\n\n", "the file is empty"),
        ("header.csv", "ID,Medium\n", "no rows below the header"),
        (
            "ragged.csv",
            "ID,Medium\n1,gold, silver\n2,x\n",
            "the row that ends in line 2 has 3 cells, the header 2",
        ),
        ("quote.csv", 'ID,Medium\n1,"gold\n2,x\n', "quote|end of data"),
        ("photo.csv", b"\xff\xd8\xff\xe0 JFIF", "not a table"),
        ("binary.csv", b"a,b\n1,2\n" + bytes(5), "binary data"),
        ("bytes.csv", b"a,b\n1,\x81\n", "neither UTF-8 nor UTF-16 nor Windows-1252"),
        ("no.jsonl", '{"id": 1}\n[2]\n', "line 2: not an object"),
        ("torn.jsonl", '{"id": 1}\n{"id"', "line 2: not JSON"),
        ("table.json", "[]", "no records in it"),
        ("torn.json", '[{"id": 1}, {"id"', "not JSON"),
        ("number.json", "[{}, 2]", "record 2: not an object"),
        ("archive.zip", b"PK\x05\x06" + bytes(18), "a ZIP file, but not a workbook"),
    ],
)
def test_what_cannot_be_read_is_named_and_left_alone(
    tmp_path: Path, name: str, content: str | bytes, reason: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=reason) as error:
        read_export(path)
    assert name in str(error.value) and error.value.hint
    assert [each.name for each in tmp_path.iterdir()] == [name]


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_export(tmp_path / "none.csv")
    with pytest.raises(DataError, match="cannot read"):
        read_export(tmp_path)


def test_what_a_format_cannot_hold_is_not_written(tmp_path: Path) -> None:
    frame = pd.DataFrame({"ID": ["1"], "Medium": ["ū"]}, dtype="str")
    with pytest.raises(DataError, match="'ū' cannot be written in cp1252"):
        write_export(frame, tmp_path / "t.csv", Dialect("csv", "cp1252"))
    for dialect in (Dialect("xlsx"), Dialect("ods")):
        with pytest.raises(DataError, match=r"cannot hold the character '\\x01'"):
            write_export(frame.replace("ū", "\x01"), tmp_path / "t", dialect)
    with pytest.raises(DataError, match="LIDO files are read but not written"):
        write_export(frame, tmp_path / "t.xml", Dialect("lido"))
    assert not list(tmp_path.iterdir())


def test_formulas_are_escaped_and_come_back(tmp_path: Path) -> None:
    cells = ["=1+1", "-5", "+49 30", "@x", "'=1", "'tis", "-", "- 3", "\t=1"]
    frame = pd.DataFrame({"ID": cells}, dtype="str")
    write_export(frame, tmp_path / "t.csv", Dialect("csv"))
    for line in (tmp_path / "t.csv").read_text().splitlines()[1:]:
        assert line.strip('"').lstrip()[:1] not in ("=", "@") and not line.startswith(("+", "- "))
    assert read_export(tmp_path / "t.csv").frame["ID"].tolist() == cells


def test_pandas_reads_what_is_written(tmp_path: Path) -> None:
    frame = pd.DataFrame({"ID": ["1", "2"], "Medium": ["öl\n, x", 'a "b"']}, dtype="str")
    write_export(frame, tmp_path / "t.csv", DIALECTS["excel in Europe"])
    write_export(frame, tmp_path / "t.xlsx", Dialect("xlsx"))
    write_export(frame, tmp_path / "t.ods", Dialect("ods"))
    assert pd.read_csv(tmp_path / "t.csv", sep=";", encoding="cp1252", dtype=str).equals(frame)
    assert pd.read_excel(tmp_path / "t.xlsx", dtype=str).equals(frame)
    assert pd.read_excel(tmp_path / "t.ods", dtype=str, engine="odf").equals(frame)
    stream = io.BytesIO()
    frame.to_excel(stream, index=False, engine="odf")
    (tmp_path / "theirs.ods").write_bytes(stream.getvalue())
    assert read_export(tmp_path / "theirs.ods").frame.equals(frame)
