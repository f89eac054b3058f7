"""Reading what is to be reviewed: lines of `tag`, suspects, and whatever else a file may hold."""

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eufcc_cli.core.errors import DataError
from eufcc_cli.core.files import Root
from eufcc_cli.core.tagging.review.catalogued import add_catalogue
from eufcc_cli.core.tagging.review.suggestions import read_suggestions
from tests.core.tagging.review.conftest import BRONZE, METAL, SILK, line, suggestion, write_lines


def test_lines_of_tag(suggestions_file: Path) -> None:
    read = read_suggestions(suggestions_file)
    assert len(read.images) == 24
    assert [term.path for term in read.terms][:3] == [tuple(METAL), ("metal", "copper alloy"), tuple(BRONZE)]
    assert len(read.rows()) == 24 * 3 + 8 + 1
    assert (read.images[0].model, read.images[0].digest) == ("demo", "d1")
    assert not read.suspects


def test_json_of_tag_errors_and_contradictions(tmp_path: Path) -> None:
    doubt = {**suggestion(SILK, 0.01), "instead": suggestion(BRONZE, 0.9)}
    lines = [
        line(0, {"materials": []}, contradictions={"materials": [doubt]}),
        {"image": "broken.jpg", "error": "not an image: empty file"},
    ]
    path = tmp_path / "tags.json"
    path.write_text("[\n" + ",\n".join(map(json.dumps, lines)) + "\n]\n")
    read = read_suggestions(path)
    assert read.images[1].error == "not an image: empty file"
    assert [(read.terms[row.term].tag, row.score, row.flagged) for row in read.rows()] == [
        ("silk", 0.01, True),
        ("bronze", 0.9, True),
    ]


def test_the_last_line_about_an_image_counts(tmp_path: Path) -> None:
    lines = [line(0, {"materials": [suggestion(path, score)]}) for path, score in ((METAL, 0.9), (SILK, 0.4))]
    read = read_suggestions(write_lines(tmp_path / "t.jsonl", lines))
    assert [(read.terms[row.term].tag, row.score) for row in read.rows()] == [("silk", 0.4)]


def test_flags_of_terms(tmp_path: Path) -> None:
    flag = {"term": "Bronze", "language": "en", "note": "What to know.", "name": "bronze"}
    flagged = {**suggestion(BRONZE, 0.9), "flags": [flag, {**flag, "note": ""}]}
    lines = [line(n, {"materials": [flagged, suggestion(SILK, 0.4)]}) for n in range(2)]
    read = read_suggestions(write_lines(tmp_path / "t.jsonl", lines))
    assert {read.terms[term].tag: texts for term, texts in read.flags.items() if texts} == {
        "bronze": ["Bronze: What to know.", "Bronze"]
    }
    for wrong in ("x", ["x"], [{"term": 1, "note": ""}]):
        lines = [line(0, {"materials": [{**flagged, "flags": wrong}]})]
        with pytest.raises(DataError, match="line 1"):
            read_suggestions(write_lines(tmp_path / "t.jsonl", lines))


def test_suspects(tmp_path: Path) -> None:
    suspect = {"image": "0.png", "id": "0", "facet": "materials", "model": "demo", "suspect": "wrong"}
    lines = [{**suspect, **suggestion(path, 0.1), "doubt": 0.8} for path in (METAL, SILK)]
    read = read_suggestions(write_lines(tmp_path / "s.jsonl", lines))
    assert read.suspects
    assert len(read.images) == 1
    assert [(row.score, row.doubt) for row in read.rows()] == [(0.1, 0.8), (0.1, 0.8)]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "no suggestion in it"),
        ("image,facet,tag\n", "line 1: not JSON"),
        ('{"tags": {}}', "line 1: names no image"),
        ('{"image": "a.jpg"}', "line 1: has neither tags nor an error"),
        ('{"image": "a.jpg", "tags": {"colours": [{"tag": "x", "score": 1}]}}', "unknown facet 'colours'"),
        ('{"image": "a.jpg", "tags": {"materials": [{"tag": "x", "score": 2}]}}', "score of x is 2"),
        (
            '{"image": "a.jpg", "tags": {"materials": [{"tag": "x", "path": ["y"], "score": 1}]}}',
            "another than",
        ),
        ('{"image": "a.jpg", "tags": {"materials": ["x"]}}', "not a suggestion"),
        ('{"image": "a.jpg", "id": 7, "tags": {}}', "'id' is no text"),
    ],
)
def test_anything_else_is_named_with_its_line(tmp_path: Path, content: str, says: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(content)
    with pytest.raises(DataError, match=says) as error:
        read_suggestions(path)
    assert str(path) in str(error.value)


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_any_bytes_are_suggestions_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    path.write_bytes(content)
    with contextlib.suppress(DataError):
        read_suggestions(path)


def test_files_are_found_from_here_from_the_file_and_by_id(
    tmp_path: Path, root: Root, suggestions_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root.path / "images").mkdir()
    photo = root.path / "images" / "1913.5.png"
    photo.write_bytes((tmp_path / "photos/0.png").read_bytes())
    tags = {"materials": [suggestion(METAL, 0.9)]}
    lines = [
        line(1, tags),
        {**line(0, tags), "image": "1913.5", "id": "1913.5"},
        {**line(0, tags), "image": "https://example.org/x.jpg"},
        {**line(0, tags), "image": "nowhere.jpg"},
    ]
    read = read_suggestions(write_lines(suggestions_file, lines))
    monkeypatch.chdir("/")
    add_catalogue(read, root)
    assert [image.path for image in read.images] == [tmp_path / "photos/1.png", photo, None, None]
    assert read.images[0].record["objectTypes"] == [("vessel",)]
