"""A real export of two museums, and the same one as other systems write it, with its photographs."""

import random
import re
import shutil
from pathlib import Path
from xml.sax.saxutils import escape

import pandas as pd
import pytest

from eufcc_cli.core.dataset.museum.annotating import annotate
from eufcc_cli.core.dataset.museum.export_file import Dialect, read_export, write_export
from eufcc_cli.core.dataset.museum.importing import Imported, import_table
from eufcc_cli.core.dataset.museum.profile import Profile
from eufcc_cli.core.dataset.splits.division_report import Shares
from eufcc_cli.core.files import Root
from eufcc_cli.core.taxonomy.tables.annotation_files import read_table
from eufcc_cli.core.taxonomy.tables.annotations import ID, IMAGE_URL, paths, texts_of

RECORDS = 60
FACETS = {"objectTypes": ("ObjectName",), "materials": ("Medium",)}
PROFILE = Profile("ID", "ImageURL", "Source", "Title", FACETS)
LIDO_PROFILE = Profile(
    "workID",
    "linkResource",
    "repository",
    "title",
    {"objectTypes": ("objectWorkType",), "materials": ("termMaterialsTech",)},
)
WORDS = (
    "bronze", "faience", "glass", "gold", "ivory", "limestone", "linen", "marble", "papyrus", "sandstone",
    "silver", "steatite", "terracotta", "travertine", "wood",
)  # fmt: skip
FORMATS = ("semicolons", "xlsx", "ods", "lido", "nested folders")


def import_all(root: Root, export: Path, photos: Path, profile: Profile = PROFILE) -> Imported:
    shares = Shares(0.2, 0.2, 0, min_count=2)
    return import_table(root, read_export(export), profile, shares, photos=[photos])


def tables(root: Root) -> pd.DataFrame:
    """All tables as one, by id."""
    parts = [read_table(root.table(split)).assign(split=split) for split in root.splits()]
    return pd.concat(parts).set_index(ID).sort_index()


def as_lido(frame: pd.DataFrame) -> str:
    """The records in LIDO, as an aggregator gets them."""

    def named(tag: str, text: str) -> str:
        text = escape(text)
        return f"<lido:{tag}><lido:appellationValue>{text}</lido:appellationValue></lido:{tag}>"

    def terms(tag: str, text: str) -> str:
        parts = [escape(part.strip()) for part in re.split(r"[;|]", text) if part.strip()]
        return "".join(f"<lido:{tag}><lido:term>{part}</lido:term></lido:{tag}>" for part in parts)

    records = [
        f"<lido:lido><lido:descriptiveMetadata>{terms('objectWorkType', row['ObjectName'])}"
        f"{named('titleSet', row['Title'])}<lido:repositorySet>"
        f"<lido:repositoryName>{named('legalBodyName', row['Source'])}</lido:repositoryName>"
        f"<lido:workID>{escape(row['ID'])}</lido:workID></lido:repositorySet>"
        f"{terms('termMaterialsTech', row['Medium'])}</lido:descriptiveMetadata>"
        f"<lido:resourceSet><lido:linkResource>{escape(row['ImageURL'])}</lido:linkResource>"
        "</lido:resourceSet></lido:lido>"
        for row in frame.to_dict("records")
    ]
    return f'<lido:lidoWrap xmlns:lido="http://www.lido-schema.org">{"".join(records)}</lido:lidoWrap>'


def another_system(form: str, frame: pd.DataFrame, photos: Path, folder: Path) -> tuple[Path, Path, Profile]:
    """The export as another system has it: its file, its photographs, and the profile that fits it."""
    if form == "lido":
        (folder / "objects.xml").write_text(as_lido(frame), encoding="utf-8")
        return folder / "objects.xml", photos, LIDO_PROFILE
    if form == "nested folders":
        draw = random.Random(0)
        for number, file in enumerate(sorted(photos.iterdir())):
            stem = draw.choice([file.stem, file.stem.upper(), file.stem.lower(), file.stem.replace("_", "-")])
            ending = draw.choice([".jpg", ".JPG", ".jpeg", ".JPE"])
            target = folder / "shelf" / f"{number % 4}" / ("Deep" if number % 3 else "") / f"{stem}{ending}"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
        write_export(frame, folder / "objects.csv", Dialect("csv"))
        return folder / "objects.csv", folder / "shelf", PROFILE
    dialect = {"semicolons": Dialect("csv", "cp1252", separator=";", newline="\r\n")}.get(form, Dialect(form))
    path = folder / f"objects.{'csv' if form == 'semicolons' else form}"
    write_export(frame, path, dialect)
    return path, photos, PROFILE


@pytest.fixture(scope="module")
def museum(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, Path, Root]:
    """Some records that Windows-1252 has all letters for, their photographs, and the collection they make."""
    folder = tmp_path_factory.mktemp("museum")
    frame = read_export(shared_data / "museum" / "export.csv").frame
    western = [
        all(text.encode("cp1252", "ignore").decode("cp1252") == text for text in row)
        for row in frame.to_numpy()
    ]
    frame = frame[western].iloc[:: len(frame) // RECORDS].head(RECORDS).reset_index(drop=True)
    (folder / "photos").mkdir()
    for record in texts_of(frame["ID"]):
        shutil.copy(shared_data / "museum" / "photos" / f"{record}.jpg", folder / "photos")
    write_export(frame, folder / "export.csv", Dialect("csv"))
    root = Root(folder / "root")
    done = import_all(root, folder / "export.csv", folder / "photos")
    assert (done.records, done.pictures, done.problems) == (RECORDS, RECORDS, [])
    return frame, folder / "photos", root


@pytest.mark.parametrize("form", FORMATS)
def test_every_system_gives_the_same_collection(
    museum: tuple[pd.DataFrame, Path, Root], tmp_path: Path, form: str
) -> None:
    frame, photos, first = museum
    export, folder, profile = another_system(form, frame, photos, tmp_path)
    second = Root(tmp_path / "root")
    done = import_all(second, export, folder, profile)
    assert not done.problems
    one, other = tables(first), tables(second)
    assert len(one) > RECORDS // 2 and one[IMAGE_URL].str.startswith("https://").any()
    pd.testing.assert_frame_equal(one, other[one.columns])
    assert first.terms.read_bytes() == second.terms.read_bytes()


def test_words_of_the_real_export_become_their_terms(shared_data: Path, tmp_path: Path) -> None:
    """At least 98 % of the records that name one of the words have that term, and no others have it."""
    export = read_export(shared_data / "museum" / "export.csv")
    described = annotate(Root(tmp_path), export, PROFILE, min_count=3)
    texts = [text.lower() for text in texts_of(export.frame["Medium"])]
    named = found = 0
    for text, annotation in zip(texts, described.annotations["materials"], strict=True):
        tagged = paths(annotation)
        for word in WORDS:
            with_word = [path for path in tagged if word in path]
            if word in text:
                named += 1
                found += bool(with_word)
            else:
                # A text may name a kind of it: ebony is a wood.
                assert all(path[-1] != word and path[-1] in text for path in with_word), (word, text)
    assert named == 797
    assert found >= 0.98 * named
