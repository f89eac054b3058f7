"""Decisions files: append-only, the last line counts, several writers, torn lines."""

import contextlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eufcc_cli.core.errors import DataError, EufccError
from eufcc_cli.core.taxonomy.decisions import (
    VERDICTS,
    Decision,
    Decisions,
    DecisionsFile,
    decisions_path,
    parse,
    read_decisions,
)


def decision(
    image: str = "a.jpg", tag: str = "bronze", verdict: str = "accepted", **more: object
) -> Decision:
    fields = {"time": "2026-11-26T10:11:12Z", "reviewer": "curator", "facet": "materials", **more}
    return Decision(image=image, tag=tag, verdict=verdict, **fields)


def test_the_line_is_that_of_the_contract(tmp_path: Path) -> None:
    path = decisions_path(tmp_path / "tags.jsonl")
    assert path.name == "tags.decisions.jsonl"
    one = decision("photo.jpg", id="1913.5", score=0.93, model="bronzes", digest="ab12")
    DecisionsFile(path).append([one])
    assert json.loads(path.read_text()) == {
        "time": "2026-11-26T10:11:12Z",
        "reviewer": "curator",
        "image": "photo.jpg",
        "id": "1913.5",
        "facet": "materials",
        "tag": "bronze",
        "verdict": "accepted",
        "score": 0.93,
        "model": "bronzes",
        "digest": "ab12",
    }
    assert list(read_decisions(path)) == [one]


def test_the_last_line_counts_and_undecided_takes_back(tmp_path: Path) -> None:
    file = DecisionsFile(tmp_path / "d.jsonl")
    file.append([decision(), decision(verdict="rejected"), decision(tag="gold", verdict="added")])
    file.append([decision(tag="gold", verdict="undecided"), decision("b.jpg")])
    read = read_decisions(file.path)
    assert [(d.image, d.tag, d.verdict) for d in read] == [
        ("a.jpg", "bronze", "rejected"),
        ("b.jpg", "bronze", "accepted"),
    ]
    assert set(read.by_image()) == {"a.jpg", "b.jpg"}


def test_a_later_file_counts_more(tmp_path: Path) -> None:
    for name, verdict in (("one", "accepted"), ("two", "rejected")):
        DecisionsFile(tmp_path / name).append([decision(verdict=verdict)])
    assert [d.verdict for d in read_decisions([tmp_path / "one", tmp_path / "two"])] == ["rejected"]
    assert [d.verdict for d in read_decisions([tmp_path / "two", tmp_path / "one"])] == ["accepted"]


def test_a_decision_is_found_by_id_and_by_name(tmp_path: Path) -> None:
    DecisionsFile(tmp_path / "d").append([decision("photos/x.jpg", id="7")])
    assert set(read_decisions(tmp_path / "d").by_image()) == {"photos/x.jpg", "7"}


def test_a_torn_line_loses_nothing_else(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "d.jsonl"
    file = DecisionsFile(path)
    file.append([decision()])
    with path.open("ab") as torn:
        torn.write(b'{"time": "2026-11-26T10:11:12Z", "ima')
    assert [d.image for d in file.read_new()] == ["a.jpg"]
    assert len(read_decisions(path)) == 1
    assert caplog.messages == [f"{path}: line 2: the line is incomplete and is not counted"]
    file.append([decision("b.jpg")])
    assert [d.image for d in file.read_new()] == ["b.jpg"]
    assert [d.image for d in read_decisions(path)] == ["a.jpg", "b.jpg"]
    assert caplog.messages == [f"{path}: line 2: the line is incomplete and is not counted"] * 3


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("[1]", "not a decision"),
        ('{"image": "a", "facet": "materials", "tag": "x"}', "'verdict' is missing"),
        ('{"image": "a", "facet": "materials", "tag": "x", "verdict": "maybe"}', "'maybe' is not one of"),
        ('{"image": 3, "facet": "materials", "tag": "x", "verdict": "added"}', "'image' is missing or no"),
        ('{"image": "a", "facet": "m", "tag": "x", "verdict": "added", "score": NaN}', "not a probability"),
        ('{"image": "a", "facet": "m", "tag": "x", "verdict": "added", "score": true}', "not a number"),
    ],
)
def test_what_is_no_decision_is_named_with_its_line(tmp_path: Path, line: str, says: str) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text(decision().line() + line + "\n")
    with pytest.raises(DataError, match=says) as error:
        read_decisions(path)
    assert f"{path}: line 2" in str(error.value)


def test_no_file_and_no_place(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        read_decisions(tmp_path / "none.jsonl")
    assert DecisionsFile(tmp_path / "none.jsonl").read_new() == []
    (tmp_path / "file").write_text("")
    with pytest.raises(EufccError, match="cannot write"):
        DecisionsFile(tmp_path / "file" / "d.jsonl").append([decision()])


_WRITER = """
import sys
from pathlib import Path
from eufcc_cli.core.taxonomy.decisions import Decision, DecisionsFile
file = DecisionsFile(Path(sys.argv[1]))
for i in range(60):
    file.append(Decision(time="t", reviewer=sys.argv[2], image=f"{i}.jpg", facet="materials", tag=tag,
                         verdict="accepted") for tag in (sys.argv[2], sys.argv[2] + "\\u2028" * 40))
"""


def test_two_processes_lose_nothing_of_each_other(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "d.jsonl"
    writers = [subprocess.Popen([sys.executable, "-c", _WRITER, path, name]) for name in ("ann", "bob")]
    seen: list[Decision] = []
    reader = DecisionsFile(path)
    while any(writer.poll() is None for writer in writers):
        seen += reader.read_new()
    seen += reader.read_new()
    assert [writer.returncode for writer in writers] == [0, 0]
    assert len(seen) == 240
    assert len({(d.reviewer, d.image) for d in seen}) == 120
    assert not caplog.messages


_TEXTS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=8)
_DECISIONS = st.builds(
    decision,
    _TEXTS,
    _TEXTS.map(lambda text: " ".join(text.split()) or "x").filter(str.isprintable),
    st.sampled_from(VERDICTS),
    id=st.none() | _TEXTS,
    score=st.none() | st.floats(0, 1),
)


@given(st.lists(_DECISIONS, max_size=20))
def test_any_decisions_survive_the_file(decisions: list[Decision]) -> None:
    found = Decisions()
    oracle = {}
    for one in decisions:
        read = parse(one.line().encode(), "x")
        assert read is not None
        assert (read.image, read.id, read.verdict, read.score) == (one.image, one.id, one.verdict, one.score)
        found.add(read)
        oracle[read.key] = read.verdict
    assert {key: one.verdict for key, one in found.latest.items()} == {
        key: verdict for key, verdict in oracle.items() if verdict != "undecided"
    }


@given(st.binary(max_size=200))
def test_any_bytes_are_decisions_torn_or_an_error(content: bytes) -> None:
    with contextlib.suppress(DataError):
        parse(content, "x")
