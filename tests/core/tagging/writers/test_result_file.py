"""A results file that grows, is cut short at every possible place, and goes on."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eufcc_cli.core.errors import EufccError
from eufcc_cli.core.tagging.inputs import Input
from eufcc_cli.core.tagging.records import Contradiction
from eufcc_cli.core.tagging.selection import Suggestion
from eufcc_cli.core.tagging.tagger import Result
from eufcc_cli.core.tagging.writers.lines import Csv, Json, JsonLines, from_json, to_json
from eufcc_cli.core.tagging.writers.result_file import ResultFile
from eufcc_cli.core.tagging.writers.screen import Plain
from eufcc_cli.core.tagging.writers.web_annotations import WebAnnotations
from eufcc_cli.core.tagging.writers.writer import Writer

ASKED = {"format": "x", "models": "abc", "top": None}
WRITERS = {
    "jsonl": lambda: JsonLines("demo"),
    "json": lambda: Json("demo"),
    "csv": Csv,
    "table": lambda: Plain("table"),
    "webannotation": lambda: WebAnnotations("demo", "ab" * 32, "2026-05-04T12:00:00Z", {}, None),
}


def result(number: int) -> Result:
    item = Input(f"{number}.jpg", Path(f"{number}.jpg"), f"file:///{number}.jpg")
    if number % 4 == 1:
        return Result(item, {}, "truncated: é")
    tags = [Suggestion("ä", ("m", "ä"), 0.5)] * (number % 3)
    return Result(item, {"materials": tags})


def run(path: Path, writer: Writer, numbers: list[int], **options: bool) -> list[int]:
    """Write the results that the file does not have; the numbers that were asked for."""
    computed = []
    with ResultFile(path, writer, ASKED, **options) as file:
        for number in numbers:
            if not file.has(result(number).input):
                computed.append(number)
                file.write(result(number))
    return computed


class Killed(BaseException):
    pass


def run_until(path: Path, writer: Writer, numbers: list[int]) -> None:
    with pytest.raises(Killed), ResultFile(path, writer, ASKED) as file:
        for number in numbers:
            if not file.has(result(number).input):
                file.write(result(number))
        raise Killed


@pytest.mark.parametrize("form", WRITERS)
def test_json_lines_grow_and_other_formats_are_written_at_the_end(tmp_path: Path, form: str) -> None:
    path, writer = tmp_path / "out", WRITERS[form]()
    lines = path if form == "jsonl" else tmp_path / "out.unfinished.jsonl"
    with ResultFile(path, writer, ASKED) as file:
        for number in range(6):
            file.write(result(number))
            assert len(list(map(json.loads, lines.read_text().splitlines()))) == number + 1
            assert path.exists() == (form == "jsonl")
    texts = [text for number in range(6) if (text := writer.text(result(number)))]
    assert path.read_text() == writer.head + writer.separator.join(texts) + writer.tail
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]


@given(
    st.text(max_size=20),
    st.none() | st.text(max_size=9),
    st.lists(st.tuples(st.text(), st.floats(0, 1), st.sampled_from([None, "missing"])), max_size=3),
    st.none() | st.text(min_size=1),
)
def test_a_result_survives_as_a_line(
    name: str, image_id: str | None, tags: list[tuple[str, float, str | None]], error: str | None
) -> None:
    item = Input(name.replace("\0", ""), Path("x"), "file:///x", image_id, None, 7)
    made = [Suggestion(tag, ("top", tag), score, kind) for tag, score, kind in tags]
    doubt = {"m": [Contradiction("silk", ("textile", "silk"), 0.01, made[0])]} if made else {}
    whole = Result(item, {} if error else {"m": made, "o": []}, error, {} if error else doubt)
    again = from_json(json.loads(to_json(whole)))
    assert replace(again, input=replace(again.input, source=item.source)) == whole


@pytest.mark.parametrize("form", WRITERS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_cut_anywhere_it_goes_on_to_the_same_file(
    tmp_path_factory: pytest.TempPathFactory, form: str, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    whole, path = folder / "whole", folder / "out"
    run(whole, WRITERS[form](), list(range(8)))
    run_until(path, WRITERS[form](), list(range(data.draw(st.integers(0, 8)))))
    # After a kill or a lost power the lines may end anywhere, or in rubbish.
    lines = path if form == "jsonl" else folder / "out.unfinished.jsonl"
    content = lines.read_bytes()
    kept = content[: data.draw(st.integers(0, len(content)))]
    lines.write_bytes(kept + data.draw(st.sampled_from([b"", b'{"torn', b"\0\0\0"])))
    done = kept.count(b"\n") + (kept[-1:] == b"}")
    assert run(path, WRITERS[form](), list(range(8))) in (list(range(done, 8)), list(range(done - 1, 8)))
    assert path.read_bytes() == whole.read_bytes()
    assert sorted(entry.name for entry in folder.iterdir()) == ["out", "whole"]


def test_going_on_computes_nothing_again_and_counts_old_failures(tmp_path: Path) -> None:
    path = tmp_path / "out"
    run_until(path, JsonLines("demo"), [0, 1, 2])
    with ResultFile(path, JsonLines("demo"), ASKED) as file:
        assert file.failed == 1
        assert [file.has(result(number).input) for number in range(4)] == [True, True, True, False]
    run_until(path, JsonLines("demo"), [0, 1])
    assert run(path, JsonLines("demo"), [0, 1, 2, 3]) == [2, 3]


def test_a_finished_file_is_written_anew_unless_told_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "out"
    run(path, JsonLines("demo"), [0, 1])
    assert run(path, JsonLines("demo"), [0, 1]) == [0, 1]
    assert run(path, JsonLines("demo"), [0, 1, 2], skip_existing=True) == [2]
    assert len(path.read_text().splitlines()) == 3


def test_skip_existing_interrupted_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "out"
    run(path, Json("demo"), [0, 1, 2])
    with pytest.raises(Killed), ResultFile(path, Json("demo"), ASKED, skip_existing=True) as file:
        file.write(result(3))
        raise Killed
    assert run(path, Json("demo"), list(range(6)), skip_existing=True) == [4, 5]
    assert [entry["image"] for entry in json.loads(path.read_text())] == [f"{n}.jpg" for n in range(6)]


@pytest.mark.parametrize(
    ("form", "content"),
    [
        ("jsonl", "no json\n"),
        ("jsonl", '{"name": "x"}\n'),
        ("json", '[\n{"image": "a"}'),
        ("csv", "a,b\n1,2\n"),
        ("webannotation", "{}"),
        ("table", "anything"),
        ("csv", b"\xff\xfe"),
    ],
)
def test_a_file_of_another_kind_is_not_continued(tmp_path: Path, form: str, content: str | bytes) -> None:
    path = tmp_path / "out"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    before = path.read_bytes()
    with pytest.raises(EufccError), ResultFile(path, WRITERS[form](), ASKED, skip_existing=True):
        pass
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]


def test_two_at_once_do_not_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with (
        ResultFile(path, JsonLines("demo"), ASKED),
        pytest.raises(EufccError, match="another `eufcc tag`"),
        ResultFile(path, JsonLines("demo"), ASKED),
    ):
        pass


def test_another_command_does_not_continue_it(tmp_path: Path) -> None:
    path = tmp_path / "out"
    run_until(path, JsonLines("demo"), [0, 1])
    before = path.read_bytes()
    with pytest.raises(EufccError, match="another command"), ResultFile(path, JsonLines("demo"), {"top": 3}):
        pass
    assert path.read_bytes() == before


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "out"
    with pytest.raises(EufccError, match="cannot write"), ResultFile(path, JsonLines("demo"), ASKED):
        pass
    with pytest.raises(EufccError, match="cannot write"), ResultFile(tmp_path, JsonLines("demo"), ASKED):
        pass


@pytest.mark.parametrize("form", ["jsonl", "json", "csv", "webannotation"])
def test_skip_existing_that_is_killed_before_its_first_result_goes_on(tmp_path: Path, form: str) -> None:
    path, writer = tmp_path / "out", WRITERS[form]()
    run(path, writer, [2, 4, 5])
    with pytest.raises(Killed), ResultFile(path, writer, ASKED, skip_existing=True):
        raise Killed
    run(path, writer, [2, 4, 5, 8], skip_existing=True)
    run(tmp_path / "once", writer, [2, 4, 5, 8])
    assert path.read_text() == (tmp_path / "once").read_text()


@pytest.mark.parametrize("form", ["jsonl", "json", "csv", "webannotation"])
@pytest.mark.parametrize("killed_at", [None, 0, 1, 3])
def test_skip_existing_computes_only_what_the_file_does_not_hold(
    tmp_path: Path, form: str, killed_at: int | None
) -> None:
    """Failed, without suggestions, and with some; the first run and the second may be interrupted."""
    path, writer = tmp_path / "out", WRITERS[form]()
    if killed_at is not None:
        run_until(path, writer, [0, 1, 2, 3][:killed_at])
    assert run(path, writer, [0, 1, 2, 3]) == [0, 1, 2, 3][killed_at or 0 :]
    before = path.read_bytes()
    absent = [0, 1, 3] if form == "webannotation" else []  # which holds suggestions only
    assert run(path, writer, [0, 1, 2, 3], skip_existing=True) == absent
    assert path.read_bytes() == before
    with pytest.raises(Killed), ResultFile(path, writer, ASKED, skip_existing=True) as file:
        file.write(result(5))
        raise Killed
    assert run(path, writer, [0, 1, 2, 3, 5, 8], skip_existing=True) == [*absent, 8]
    expected = tmp_path / "expected"
    run(expected, writer, [0, 1, 2, 3, 5, 8])
    assert path.read_text() == expected.read_text()


def test_a_kill_after_the_last_step_but_one_adds_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out"
    run(path, Json("demo"), [2])
    unlink = Path.unlink

    def until_the_note(path: Path, missing_ok: bool = False) -> None:
        if path.name == ".out.unfinished":
            raise Killed
        unlink(path, missing_ok)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Path, "unlink", until_the_note)
        run(path, Json("demo"), [2, 4], skip_existing=True)
    written = path.read_bytes()
    assert run(path, Json("demo"), [2, 4], skip_existing=True) == []
    assert path.read_bytes() == written


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_a_last_line_without_its_end_is_not_run_on(tmp_path: Path, form: str) -> None:
    path, writer = tmp_path / "out", WRITERS[form]()
    run(path, writer, [2, 4])
    whole = path.read_text()
    path.write_text(whole.removesuffix("\n"))
    run(path, writer, [2, 4, 8], skip_existing=True)
    assert path.read_text() == whole + writer.text(result(8))
