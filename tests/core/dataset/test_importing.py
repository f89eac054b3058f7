"""A museum's own export becomes a collection: the same from every format, and nothing changed by an error."""

import itertools
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from eufcc_cli.core.dataset.museum.columns import complete
from eufcc_cli.core.dataset.museum.export_file import Dialect, Export, read_export, write_export
from eufcc_cli.core.dataset.museum.export_records import read_records
from eufcc_cli.core.dataset.museum.importing import Imported, import_table
from eufcc_cli.core.dataset.museum.profile import Profile, parse_facets, profile_file
from eufcc_cli.core.dataset.museum.readers.export import text_frame
from eufcc_cli.core.dataset.splits.division_report import Shares
from eufcc_cli.core.download.image_files import ImageFiles
from eufcc_cli.core.download.image_locations import find_images
from eufcc_cli.core.download.ledger import LedgerReader
from eufcc_cli.core.errors import DataError, EufccError
from eufcc_cli.core.files import Root, ignores_case, sha256
from eufcc_cli.core.tagging.own_table import OwnTable
from eufcc_cli.core.taxonomy.tables.annotation_files import read_table
from eufcc_cli.core.taxonomy.tables.annotations import ID, IMAGE_URL, RECORD
from tests.core.dataset import museum

SHARES = Shares(0.2, 0.2, 0.1, min_count=3)
FOLDER = Path("photos")


def mapped(export: Export, **given: object) -> Profile:
    profile, _ = complete(replace(Profile(), **given), export)  # type: ignore[arg-type]
    return profile


def fetch(
    root: Root, path: Path, photos: Path | None = None, shares: Shares = SHARES, **options: object
) -> Imported:
    export = read_export(path)
    profile = Profile.read(profile_file(root)) if profile_file(root).is_file() else mapped(export)
    return import_table(root, export, profile, shares, photos=[photos] if photos else [], **options)  # type: ignore[arg-type]


def tables(root: Root) -> pd.DataFrame:
    """All tables as one, by id."""
    parts = [read_table(root.table(split)).assign(split=split) for split in root.splits()]
    return pd.concat(parts).set_index(ID).sort_index()


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export as CSV, with its photographs."""
    folder = tmp_path_factory.mktemp("museum")
    frame = museum.export()
    write_export(frame, folder / "export.csv", Dialect("csv"))
    museum.photographs(folder / FOLDER, frame)
    return folder


def test_one_call_makes_a_collection(own: Path, tmp_path: Path) -> None:
    root = Root(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in own.rglob("*")}
    done = fetch(root, own / "export.csv", own / FOLDER)
    assert {path: path.stat().st_mtime_ns for path in own.rglob("*")} == before
    assert (done.records, done.images, done.pictures) == (60, 60, 60)
    assert not done.problems
    table = tables(root)
    bronze = table[
        table["title"].isin(museum.export().query("Material == 'Bronze with gold inlay'")["Bezeichnung"])
    ]
    assert len(bronze) > 3
    for text in bronze["materials.hierarchy"]:
        assert {path.split(" | ")[-1] for path in text.split(" $ ")} == {"bronze", "gold"}
    assert set(root.splits()) == {"train", "val", "test_id"}  # one museum: nothing is held out
    found = find_images(root, table.index)
    assert len(found) == len(table) and all(path.is_relative_to(own / FOLDER) for path in found.values())
    with LedgerReader(root.ledger) as ledger:
        for entry in ledger.entries():
            assert Path(str(entry.path)).is_absolute() and entry.sha256 == sha256(Path(str(entry.path)))
            assert (entry.width, entry.height, entry.status) == (24, 24, "ok")
    profile = Profile.read(profile_file(root))
    assert (profile.id, profile.provider, profile.photo) == ("Inventar-Nr.", "Einrichtung", "Bild")
    assert profile.facets == {"objectTypes": ("Objektart",), "materials": ("Material",)}


@pytest.mark.parametrize("name", ["semicolons", "xlsx", "ods", "jsonl", "lido", "utf-16"])
def test_every_format_gives_the_same_collection(own: Path, tmp_path: Path, name: str) -> None:
    first, second = Root(tmp_path / "first"), Root(tmp_path / "second")
    fetch(first, own / "export.csv", own / FOLDER)
    frame = museum.export()
    path = (
        tmp_path / "objects.xml" if name == "lido" else tmp_path / f"objects.{'csv' if '-' in name else name}"
    )
    if name == "lido":
        path.write_text(as_lido(frame))
    else:
        dialect = {
            "semicolons": Dialect("csv", "cp1252", separator=";", newline="\r\n"),
            "utf-16": Dialect("csv", "utf-16-le", True, "\t"),
        }.get(name, Dialect(name))
        write_export(frame, path, dialect)
    fetch(second, path, own / FOLDER)
    one, other = tables(first), tables(second)
    assert one.equals(other[one.columns])
    assert first.terms.read_bytes() == second.terms.read_bytes()


def test_a_value_with_a_uri_is_one_concept() -> None:
    frame = text_frame(["id", "m", "uri"], [["1"], ["gold; silver | wood; bone"], [" | http://c"]])
    export = Export((Path("x"),), frame, tuple(frame), Dialect("lido"), separator="|", uris={"m": "uri"})
    records = read_records(export, Profile("id", facets={"materials": ("m",)}), Path("x"))
    [pieces] = records.facets["materials"].pieces
    assert pieces == [("gold", ""), ("silver", ""), ("wood; bone", "http://c")]


def as_lido(frame: pd.DataFrame) -> str:
    """The same records in LIDO: a cell as several terms or, in every other record, as one."""
    as_one = itertools.cycle([False, False, True, True])  # a record has two cells

    def terms(cell: str, tag: str) -> str:
        return "".join(
            f"<lido:{tag}><lido:term>{text.strip()}</lido:term></lido:{tag}>"
            for text in ([cell] if next(as_one) else cell.split(";"))
            if text.strip()
        )

    records = [
        f"<lido:lido><lido:descriptiveMetadata>{terms(row['Objektart'], 'objectWorkType')}"
        f"<lido:titleSet><lido:appellationValue>{row['Bezeichnung']}</lido:appellationValue></lido:titleSet>"
        f"<lido:repositorySet><lido:repositoryName><lido:legalBodyName><lido:appellationValue>"
        f"{row['Einrichtung']}</lido:appellationValue></lido:legalBodyName></lido:repositoryName>"
        f"<lido:workID>{row['Inventar-Nr.']}</lido:workID></lido:repositorySet>"
        f"{terms(row['Material'], 'termMaterialsTech')}</lido:descriptiveMetadata>"
        f"<lido:resourceSet><lido:linkResource>{row['Bild']}</lido:linkResource></lido:resourceSet></lido:lido>"
        for row in frame.to_dict("records")
    ]
    return f'<lido:lidoWrap xmlns:lido="http://www.lido-schema.org">{"".join(records)}</lido:lidoWrap>'


def test_photographs_in_nested_folders_mixed_case_and_endings(own: Path, tmp_path: Path) -> None:
    first, second = Root(tmp_path / "first"), Root(tmp_path / "second")
    fetch(first, own / "export.csv", own / FOLDER)
    shelf = tmp_path / "shelf"
    for number, file in enumerate(sorted((own / FOLDER).iterdir())):
        name = file.name if number % 2 else f"{file.stem.upper()}{('.JPG', '.jpeg', '.JPE')[number % 3]}"
        if file.stem.startswith("1913") and number % 5 == 0:
            name = file.stem.replace(".", "-") + ".Jpg"
        target = shelf / f"{number % 4}" / ("deep" if number % 3 else "") / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    (shelf / "notes.txt").write_text("x")
    done = fetch(second, own / "export.csv", shelf)
    assert not done.problems
    assert tables(first).equals(tables(second))


def test_several_photographs_of_an_object_are_images_of_one_record(tmp_path: Path) -> None:
    frame = museum.export(40)
    write_export(frame, tmp_path / "t.csv", Dialect("csv"))
    shelf = tmp_path / "shelf"
    for i, record in enumerate(frame["Inventar-Nr."]):
        names = [f"{record}_a.jpg", f"{record}_b.JPG", f"{record.replace('.', '-')} (2).png"]
        for j, name in enumerate(names[: 1 + i % 3]):
            museum.photograph(shelf / name, 5000 + 10 * i + j)
    museum.photograph(shelf / "1913.1_a.tif", 9)
    museum.photograph(shelf / "group.jpg", 11)
    root = Root(tmp_path / "root")
    done = fetch(root, tmp_path / "t.csv", shelf, Shares(0.2, 0.2, 0, min_count=2))
    table = tables(root)
    assert (table.groupby(RECORD)["split"].nunique() == 1).all()
    assert (table.groupby(RECORD)["materials.hierarchy"].nunique() == 1).all()
    third = table[table[RECORD] == "1913.3"]
    assert sorted(third.index) == ["1913.3", "1913.3_a", "1913.3_b"]
    assert sorted(done.counts.items()) == [
        ("photograph without record", 1),
        ("same view in another format", 1),
    ]
    assert len(find_images(root, table.index)) == len(table)


def test_photographs_and_texts_as_other_systems_write_them(tmp_path: Path) -> None:
    frame = museum.export(24)
    frame["Material"] = ["<p>bronze &amp; gold</p>", "Unbekannt", "k. A.", "<ul><li>wood</li></ul>"] * 6
    cells = [r"C:\Media\A{}.JPG, C:\Media\B{}.JPG", "https://m.example/files/Bild%20{}.jpg", "", "A{}.jpg"]
    frame["Bild"] = [cells[i % 4].format(i, i) for i in range(24)]
    frame["Bild 2"] = [f"C{i}.jpg" if i % 4 == 3 else "" for i in range(24)]
    write_export(frame, tmp_path / "t.csv", Dialect("csv"))
    names = [("a{}.jpg", "b{}.jpg"), ("Bild {}.jpg",), ("1913.{}.jpg.JPG",), ("a{}.jpg", "c{}.jpg")]
    for i in range(24):
        for j, name in enumerate(names[i % 4]):
            number = i + 1 if name.startswith("1913") else i
            museum.photograph(tmp_path / "shelf" / name.format(number), 90 + 10 * i + j)
    root = Root(tmp_path / "root")
    done = fetch(root, tmp_path / "t.csv", tmp_path / "shelf", Shares(0.2, 0.2, 0, min_count=2))
    assert (done.images, done.counts) == (36, {})
    assert done.facets["materials"] == 12
    assert {row.text for row in done.unmatched}.isdisjoint({"Unbekannt", "amp", "li"})
    assert set(tables(root).loc["1913.4"]["materials.hierarchy"].split(" | ")) & {"Holz", "wood"}


def test_an_export_with_urls_is_for_download(tmp_path: Path) -> None:
    frame = museum.export(40)
    frame["Bild"] = [f"https://museum.example/{i}.jpg | https://museum.example/{i}b.jpg" for i in range(40)]
    write_export(frame, tmp_path / "t.csv", Dialect("csv"))
    root = Root(tmp_path / "root")
    done = fetch(root, tmp_path / "t.csv")
    assert (done.images, done.pictures) == (80, 0)
    table = tables(root)
    assert table.loc["1913.1", IMAGE_URL] == "https://museum.example/0.jpg"
    assert table.loc["1913.1 (2)", IMAGE_URL] == "https://museum.example/0b.jpg"


def test_images_beside_the_tables_need_no_option(own: Path, tmp_path: Path) -> None:
    for place in ("images", "data/images"):
        root = Root(tmp_path / place.replace("/", "-"))
        shutil.copytree(own / FOLDER, root.path / place)
        done = fetch(root, own / "export.csv")
        assert done.pictures == 60 and not done.problems


def test_copies(own: Path, tmp_path: Path) -> None:
    root = Root(tmp_path / "root")
    fetch(root, own / "export.csv", own / FOLDER, copy=True)
    with LedgerReader(root.ledger) as ledger:
        assert all(not Path(str(entry.path)).is_absolute() for entry in ledger.entries())
    table = tables(root)
    assert all(path.is_relative_to(root.images) for path in find_images(root, table.index).values())
    again = fetch(root, own / "export.csv", own / FOLDER, copy=True)
    assert again.pictures == 60 and not again.problems
    assert tables(root).equals(table)


def test_a_moved_folder_is_found_again(own: Path, tmp_path: Path) -> None:
    shutil.copytree(own / FOLDER, tmp_path / "old")
    root = Root(tmp_path / "root")
    fetch(root, own / "export.csv", tmp_path / "old")
    before = tables(root)
    (tmp_path / "old").rename(tmp_path / "new")
    with pytest.raises(DataError, match=r"old: no such folder"):
        fetch(root, own / "export.csv")
    renamed = tmp_path / "new" / "1913.2.jpg"
    renamed.rename(renamed.with_name("quite another name.jpg"))
    (tmp_path / "new" / "1913.4.jpg").unlink()
    done = fetch(root, own / "export.csv", tmp_path / "new")
    assert [(problem.kind, problem.record) for problem in done.problems] == [
        ("record without photograph", "1913.4")
    ]
    after = tables(root)
    assert after.equals(before.drop(index="1913.4", errors="ignore"))
    assert len(find_images(root, after.index)) == len(after)


def test_a_new_export_needs_nothing_and_moves_no_test_image(own: Path, tmp_path: Path) -> None:
    root = Root(tmp_path / "root")
    fetch(root, own / "export.csv", own / FOLDER)
    before = tables(root)
    grown = museum.export(600)
    grown.loc[:59, "Material"] = np.where(np.arange(60) % 4, grown["Material"][:60], "bronze")
    write_export(grown.sample(frac=1, random_state=1), tmp_path / "new.csv", Dialect("csv", separator=";"))
    shelf = museum.photographs(tmp_path / "shelf", grown)
    fetch(root, tmp_path / "new.csv", shelf)
    after = tables(root)
    tested = before.index[before["split"] == "test_id"]
    assert (after.loc[tested.intersection(after.index), "split"] == "test_id").all()
    assert set(after.index[after["split"] == "test_id"]) <= set(tested)
    assert len(after) > 500


def test_a_test_image_stays_one_under_another_id(own: Path, tmp_path: Path) -> None:
    root = Root(tmp_path / "root")
    fetch(root, own / "export.csv", own / FOLDER)
    tested = set(tables(root).query("split == 'test_id'").index)
    frame = museum.export()
    renamed = {old: f"Neu {number}" for number, old in enumerate(sorted(tested))}
    shelf = tmp_path / "shelf"
    shutil.copytree(own / FOLDER, shelf)
    for old, new in renamed.items():
        if (shelf / f"{old}.jpg").is_file():
            (shelf / f"{old}.jpg").rename(shelf / f"{new}.jpg")
    # The records are away at first, then back under other ids.
    write_export(frame[~frame["Inventar-Nr."].isin(tested)], tmp_path / "t.csv", Dialect("csv"))
    fetch(root, tmp_path / "t.csv", own / FOLDER)
    write_export(
        frame.assign(**{"Inventar-Nr.": frame["Inventar-Nr."].replace(renamed)}),
        tmp_path / "t.csv",
        Dialect("csv"),
    )
    fetch(root, tmp_path / "t.csv", shelf)
    table = tables(root)
    assert set(table.query("split == 'test_id'").index) == {renamed[old] for old in tested}
    assert len(table) > len(tested)


def test_the_number_of_records_that_a_term_needs_is_kept(own: Path, tmp_path: Path) -> None:
    root = Root(tmp_path / "root")
    fetch(root, own / "export.csv", own / FOLDER, replace(SHARES, min_count=5))
    assert Profile.read(profile_file(root)).min_count == 5
    frame = museum.export()
    frame.loc[:3, "Material"] = "Zauberstoff"
    write_export(frame, tmp_path / "t.csv", Dialect("csv"))
    for min_count, term in ((5, ""), (4, "Zauberstoff")):
        replace(Profile.read(profile_file(root)), min_count=min_count).write(profile_file(root))
        table = OwnTable.read(tmp_path / "t.csv", root)
        assert table.annotation("materials", 0) == term


def test_edited_terms_count(own: Path, tmp_path: Path) -> None:
    root = Root(tmp_path / "root")
    fetch(root, own / "export.csv", own / FOLDER)
    export = read_export(root.terms)
    frame = export.frame.copy()
    frame.loc[frame["text"].str.casefold() == "papier", "term"] = "wood"
    write_export(frame, root.terms, export.dialect, export.header)
    fetch(root, own / "export.csv")
    table = tables(root)
    paper = museum.export().query("Material == 'Papier'")["Inventar-Nr."]
    texts = table.loc[table.index.intersection(paper), "materials.hierarchy"]
    assert len(texts) and all(text.endswith("wood") for text in texts)


def test_unreadable_and_equal_photographs_are_listed(own: Path, tmp_path: Path) -> None:
    shelf = tmp_path / "shelf"
    shutil.copytree(own / FOLDER, shelf)
    (shelf / "1913.1.jpg").write_text("<html>")
    shutil.copy(shelf / "1913.2.jpg", shelf / "1913.3.jpg")
    root = Root(tmp_path / "root")
    done = fetch(root, own / "export.csv", shelf)
    assert {(problem.kind, problem.record) for problem in done.problems} == {
        ("unreadable", "1913.1"),
        ("same picture", "1913.2, 1913.3"),
    }
    table = tables(root)
    assert "1913.1" not in table.index
    assert table.loc[table.index.intersection(["1913.2", "1913.3"]), "split"].nunique() == 1


def test_photographs_that_cannot_be_read_are_the_reason(own: Path, tmp_path: Path) -> None:
    (tmp_path / "shelf").mkdir()
    (tmp_path / "shelf" / "1913-1.jpg").write_text("<html>")
    with pytest.raises(DataError, match=r"has a photograph that can be read \(1913\.1: "):
        fetch(Root(tmp_path / "root"), own / "export.csv", tmp_path / "shelf")


def test_the_name_of_a_file_may_be_the_id(tmp_path: Path) -> None:
    frame = museum.export().drop(columns=["Inventar-Nr.", "Bild"])
    frame["Datei"] = pd.array([f"scan {i}.JPG" for i in range(len(frame))], dtype="str")
    write_export(frame, tmp_path / "t.csv", Dialect("csv"))
    export = read_export(tmp_path / "t.csv")
    profile, _ = complete(Profile(), export)
    assert (profile.id, profile.photo) == ("Datei", "Datei")
    named, _ = complete(Profile(id="Datei"), export, ["id"])
    assert named.photo == "Datei"


@pytest.mark.parametrize("name", ["t.csv", "t.xlsx"])
def test_a_title_above_the_names_of_the_columns(tmp_path: Path, name: str) -> None:
    rows = text_frame(["Museum of X", *"12345"], [[name, *cells] for name, cells in museum.export().items()])
    write_export(rows, tmp_path / name, Dialect(name[2:]), ["Museum of X", *[""] * 5])
    with pytest.raises(DataError) as error:
        export = read_export(tmp_path / name)
        import_table(Root(tmp_path / "root"), export, mapped(export), SHARES)
    assert "Delete the rows above" in str(error.value.hint)


def _bad(frame: pd.DataFrame, **changes: object) -> pd.DataFrame:
    out = frame.copy()
    for column, (row, value) in changes.items():  # type: ignore[misc]
        out.loc[row, {"id": "Inventar-Nr."}.get(column, column)] = value
    return out


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (_bad(museum.export(), id=(4, "1913.1")), r"two records have the id '1913\.1': .*row 2, and .*row 6"),
        (_bad(museum.export(), id=(4, " ")), r"no id \(Inventar-Nr\.\) in .*row 6"),
        (
            _bad(museum.export(), id=(4, "=A1&B2")),
            r"row 6: a formula in the id column 'Inventar-Nr\.': =A1&B2",
        ),
        (_bad(museum.export(), id=(4, "x" * 3000)), "too long to name a file"),
        (museum.export().assign(Material="", Objektart=""), "no tag has 3 images to learn from"),
    ],
    ids=["twice", "missing", "formula", "long", "no terms"],
)
def test_bad_records_change_nothing(own: Path, tmp_path: Path, frame: pd.DataFrame, reason: str) -> None:
    write_export(frame, tmp_path / "t.csv", Dialect("csv"))
    root = Root(tmp_path / "root")
    profile = Profile("Inventar-Nr.", facets={"materials": ("Material",)})
    with pytest.raises(EufccError, match=reason) as error:
        import_table(root, read_export(tmp_path / "t.csv"), profile, SHARES, photos=[own / FOLDER])
    assert error.value.hint or "too long" in reason
    assert [path for path in root.path.rglob("*") if path.is_file()] == []


def test_a_formula_in_an_id_of_a_workbook(tmp_path: Path) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    book.active.append(["Nr", "Material"])
    for i in range(20):
        book.active.append([f"=CONCAT(A{i},1)" if i == 7 else f"N {i}", "bronze"])
    book.save(tmp_path / "t.xlsx")
    profile = Profile("Nr", facets={"materials": ("Material",)})
    with pytest.raises(DataError, match=r"t\.xlsx, row 9: a formula in the id column 'Nr'"):
        import_table(Root(tmp_path / "root"), read_export(tmp_path / "t.xlsx"), profile, SHARES)


def test_ids_that_case_alone_tells_apart(own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = museum.export()
    frame.loc[[2, 3], "Inventar-Nr."] = ["a1", "A1"]
    write_export(frame, tmp_path / "t.csv", Dialect("csv"))
    root = Root(tmp_path / "root")
    monkeypatch.setattr("eufcc_cli.core.dataset.museum.export_records.ignores_case", lambda folder: True)
    with pytest.raises(DataError, match="'a1' and 'A1', which are one name on this file system"):
        fetch(root, tmp_path / "t.csv", own / FOLDER)
    monkeypatch.undo()
    if ignores_case(tmp_path):
        pytest.skip("this file system forgives the case of letters")
    shelf = museum.photographs(tmp_path / "shelf", frame)
    done = fetch(root, tmp_path / "t.csv", shelf)
    assert not done.problems
    found = find_images(root, ["a1", "A1"])
    assert {image_id: path.stem for image_id, path in found.items()} == {"a1": "a1", "A1": "A1"}


def test_folders_and_columns_that_are_not_there(own: Path, tmp_path: Path) -> None:
    root = Root(tmp_path / "root")
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "notes.txt").write_text("no image")
    with pytest.raises(DataError, match=r"empty: no image in it, or below it"):
        fetch(root, own / "export.csv", empty)
    packed = Path(shutil.make_archive(str(empty / "all"), "zip", own / FOLDER))
    for place, reason in ((packed, "all.zip: a ZIP file"), (empty, "no image in it, or below it")):
        with pytest.raises(DataError, match=reason) as error:
            fetch(root, own / "export.csv", place)
        assert "unpack" in str(error.value.hint)
    other = museum.photograph(tmp_path / "other" / "x.jpg", 1).parent
    with pytest.raises(DataError, match="none of its 60 records has a photograph: the first id is "):
        fetch(root, own / "export.csv", other)
    export = read_export(own / "export.csv")
    for profile, reason, hint in (
        (
            Profile("Inventar-Nr", facets={"materials": ("Material",)}),
            r"no column 'Inventar-Nr' \(id\)",
            "Inventar-Nr.",
        ),
        (
            Profile("Inventar-Nr.", facets={"materials": ("Materiall",)}),
            r"'Materiall' \(facet materials\)",
            "Material",
        ),
        (
            Profile("ID", facets={"materials": ("Medium",)}),
            r"none of the named columns .*ID, Medium",
            "its columns are",
        ),
        (Profile(facets={"materials": ("Material",)}), "which column holds the ids", "Inventar-Nr."),
        (Profile("Inventar-Nr."), "which columns describe the objects", "Material"),
    ):
        with pytest.raises(DataError, match=reason) as error:
            import_table(root, export, profile, SHARES, photos=[own / FOLDER])
        assert hint in str(error.value.hint)
    assert not root.data.exists()


def test_facets_on_the_command_line() -> None:
    assert parse_facets(["materials=A", "materials=B, C"]) == {"materials": ("A", "B", "C")}
    for text, reason in (
        ("material=A", "'material': not known"),
        ("materials", "names no column"),
        ("materials=", "names no column"),
    ):
        with pytest.raises(DataError, match=reason):
            parse_facets([text])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("id = 3", "id = 3 has the wrong type"),
        ("idd = 'x'", "idd is not known"),
        ("[facets]\nmaterial = 'x'", "unknown facet 'material'"),
        ("id = ", "cannot be read"),
    ],
)
def test_profiles_that_are_wrong(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "p.toml").write_text(text)
    with pytest.raises(DataError, match=re.escape(reason)):
        Profile.read(tmp_path / "p.toml")


def test_a_profile_is_read_as_it_was_written(tmp_path: Path) -> None:
    profile = Profile(
        'Inv. "Nr"', "Bild\\Pfad", facets={"materials": ("Ä", "b")}, separators=("\t", ";"), photos=("/a",)
    )
    profile.write(tmp_path / "p.toml")
    assert Profile.read(tmp_path / "p.toml") == profile


def test_published_annotations_stay_as_they_are(tmp_path: Path, shared_data: Path) -> None:
    source = shared_data / "eufcc-340k" / "test_id.csv"
    root = Root(tmp_path / "root")
    export = read_export(source)
    done = import_table(root, export, mapped(export), Shares(min_count=1))
    assert done.records == 2633
    before = read_table(source).set_index(ID)["materials.hierarchy"]
    after = tables(root)["materials.hierarchy"]
    same = before[after.index]
    assert (after == same).mean() > 0.99  # but for names that no image of train has


def test_a_stranger_cannot_name_files_elsewhere(own: Path, tmp_path: Path) -> None:
    frame = museum.export()
    secret = museum.photograph(tmp_path / "secret" / "secret.jpg", 3)
    frame.loc[0, "Bild"] = str(secret)
    frame.loc[1, "Bild"] = "../secret/secret.jpg"
    write_export(frame, tmp_path / "t.csv", Dialect("csv"))
    root = Root(tmp_path / "root")
    fetch(root, tmp_path / "t.csv", own / FOLDER)
    assert secret not in find_images(root, tables(root).index).values()
    assert secret not in ImageFiles.below([own / FOLDER]).files


def test_photographs_that_no_longer_exist(own: Path, tmp_path: Path) -> None:
    shutil.copytree(own / FOLDER, tmp_path / "photos")
    root = Root(tmp_path / "root")
    fetch(root, own / "export.csv", tmp_path / "photos")
    before = {file: file.read_bytes() for file in root.path.rglob("*") if file.is_file()}
    lost = tmp_path / "photos" / "1913.4.jpg"
    lost.unlink()
    with pytest.raises(DataError, match=r"no longer exist: .*1913\.4\.jpg$") as error:
        fetch(root, own / "export.csv")
    assert "as `photos`" in str(error.value.hint)
    assert {file: file.read_bytes() for file in root.path.rglob("*") if file.is_file()} == before
    done = fetch(root, own / "export.csv", tmp_path / "photos")
    assert [(problem.record, problem.file) for problem in done.problems] == [("1913.4", str(lost))]
    assert fetch(root, own / "export.csv").images == 59


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_links_are_followed_below_the_folders_that_are_named(own: Path, tmp_path: Path) -> None:
    (tmp_path / "links").mkdir()
    for file in (own / FOLDER).iterdir():
        (tmp_path / "links" / file.name).symlink_to(file)
    with pytest.raises(DataError, match=r"only links to files elsewhere: \S+ leads to ") as error:
        fetch(Root(tmp_path / "root"), own / "export.csv", tmp_path / "links")
    assert error.value.hint == f"give {(own / FOLDER).resolve()} as `photos`, too"
    export = read_export(own / "export.csv")
    folders = [tmp_path / "links", own / FOLDER]
    done = import_table(Root(tmp_path / "root"), export, mapped(export), SHARES, photos=folders)
    assert done.pictures == done.images == 60 and not done.problems
    for link in (tmp_path / "links").iterdir():
        if link.name != "1913.4.jpg":
            link.unlink()
            shutil.copy(own / FOLDER / link.name, link)
    (problem,) = fetch(Root(tmp_path / "other"), own / "export.csv", tmp_path / "links").problems
    assert problem.file == str(tmp_path / "links" / "1913.4.jpg")
    assert problem.reason == f"a link out of the folders: name {(own / FOLDER).resolve()} as well"
