"""The installed `eufcc tag`: pipes, terminals, hostile images, interruptions, every form of result."""

import csv
import functools
import http.server
import io
import json
import os
import pty
import re
import select
import shlex
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from eufcc_cli.cli import app
from eufcc_cli.core.taxonomy.names import glossary
from eufcc_cli.core.taxonomy.tables.annotations import FACETS, facet_column
from tests.commands.hostile import make_images
from tests.conftest import Run
from tests.peak import peak_memory

Tag = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def tag(eufcc: Run, trained: Path) -> Tag:
    """Run `eufcc tag` on the trained collection in a subprocess."""
    return lambda *arguments, **kwargs: eufcc("--root", trained, "tag", *arguments, **kwargs)


@pytest.fixture(scope="module")
def here(trained: Path) -> Callable[..., tuple[int, str, str]]:
    """Run `eufcc tag` within this process, where what is tested is not the process: (code, out, err)."""

    def run(*arguments: object, root: Path = trained) -> tuple[int, str, str]:
        result = CliRunner().invoke(app, ["--root", str(root), "tag", *map(str, arguments)])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout, result.stderr

    return run


@pytest.fixture(scope="module")
def pictures(trained: Path) -> list[Path]:
    return sorted((trained / "data" / "images").rglob("*.jpg"))[:12]


def start(command: list[str], root: Path, *arguments: object, **kwargs: object) -> "subprocess.Popen[bytes]":
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*command, "--root", str(root), "tag", *map(str, arguments)], env=environment, **kwargs
    )


@contextmanager
def served(folder: Path, before: Callable[[str], object] = lambda path: None) -> Iterator[str]:
    """The host and port that serve a folder's files; each path is given to `before` it is answered."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            before(self.path)
            super().do_GET()

    handler = functools.partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


# --- one result for every image ------------------------------------------------------------------------


@pytest.mark.one_processor
def test_every_image_gets_exactly_one_result(tag: Tag, tmp_path: Path) -> None:
    expected = make_images(tmp_path / "images")
    assert len(expected) >= 50
    done = tag("images", "no such file.jpg")
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    names = sorted(expected)
    assert [line["image"] for line in lines] == [f"images/{name}" for name in names] + ["no such file.jpg"]
    for name, line in zip(names, lines, strict=False):
        reason = expected[name]
        if reason is None:
            assert "error" not in line, (name, line)
            assert line["model"] == "small"
            for tags in line["tags"].values():
                scores = [tag["score"] for tag in tags]
                assert scores == sorted(scores, reverse=True)
                assert all(0 <= score <= 1 for score in scores)
        else:
            assert set(line) == {"image", "error"}, (name, line)
            assert reason.lower() in line["error"].lower(), (name, line)
    assert "no such file" in lines[-1]["error"].lower()
    failed = sum(reason is not None for reason in expected.values()) + 1
    assert f"{failed} images could not be tagged" in done.stderr
    # An orientation tells how to look at a picture: these are all the same one.
    tags = {name: line["tags"] for name, line in zip(names, lines, strict=False) if "tags" in line}
    assert tags["rgb.jpg"] == tags["progressive.jpg"] or tags["rgb.jpg"] == tags["orientation1.jpg"]
    assert tags["orientation1.jpg"] == tags["orientation99.jpg"]


# --- pipes ---------------------------------------------------------------------------------------------


@pytest.mark.one_processor
def test_results_come_line_by_line(trained: Path, pictures: list[Path], quick_command: list[str]) -> None:
    """Each path is written only after the result of the one before has been read."""
    process = start(quick_command, trained, "-", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    for path in pictures[:4]:
        process.stdin.write(f"{path}\n".encode())
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], 200)
        assert ready, "no result came"
        assert json.loads(process.stdout.readline())["image"] == str(path)
    process.stdin.close()
    assert process.stdout.read() == b""
    assert process.wait(timeout=200) == 0


@pytest.mark.one_processor
def test_a_reader_that_has_enough_ends_it_quietly(trained: Path, quick_command: list[str]) -> None:
    tag = f"{shlex.join(quick_command)} --root {trained} tag - --format jsonl"
    script = f"find {trained}/data/images -name '*.jpg' | {tag} | head -n 2; echo \"${{PIPESTATUS[*]}}\""
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=250)
    *lines, status = done.stdout.splitlines()
    assert [set(json.loads(line)) for line in lines] == [{"image", "model", "digest", "tags"}] * 2
    assert status.split()[1] == "0"
    assert "Traceback" not in done.stderr
    assert "Error" not in done.stderr


@pytest.mark.one_processor
def test_on_a_terminal_it_draws_panels(trained: Path, pictures: list[Path], quick_command: list[str]) -> None:
    shown = {}
    for setting in ({}, {"NO_COLOR": "1"}):
        leader, follower = pty.openpty()
        environment = (
            os.environ | {"COLUMNS": "100", "TERM": "xterm-256color", "OMP_NUM_THREADS": "1"} | setting
        )
        process = subprocess.Popen(
            [*quick_command, "--root", str(trained), "tag", str(pictures[0]), "missing.jpg"],
            stdin=follower,
            stdout=follower,
            stderr=follower,
            env=environment,
        )
        os.close(follower)
        text = b""
        while True:
            try:
                text += os.read(leader, 1 << 16)
            except OSError:  # the terminal is closed with its last process
                break
        os.close(leader)
        assert process.wait(timeout=200) == 3
        shown[bool(setting)] = text.decode()
    coloured, plain = shown[False], shown[True]
    assert "\x1b[3" in coloured
    assert not re.search(r"\x1b\[[0-9;]*3[1-7]", plain)
    for drawn in shown.values():
        text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", drawn)
        assert "╭─ " in text
        assert " › " in text
        assert "█" in text
        assert re.search(r"\d %", text)
        assert "No such file" in text
        assert '"image"' not in text


@pytest.mark.one_processor
def test_usage_mistakes_end_with_2_before_any_work(here: Callable[..., tuple[int, str, str]]) -> None:
    for arguments, message in [
        ((), "name images"),
        (("a.jpg", "--format", "xml"), "xml"),
        (("a.jpg", "--fill"), "--table"),
        (("a.jpg", "--skip-existing"), "--output"),
        (("a.jpg", "--batch-size", "many"), "many"),
        (("a.jpg", "-o", "tags.tsv"), "--format"),
        (("--table", "a.csv", "--accept", "0.5", "--threshold", "0.2"), "--threshold"),
        (("--table", "a.csv", "--accept", "0.5", "-o", "b.csv", "--skip-existing"), "--skip-existing"),
        (("--table", "a.csv", "--accept", "0.5", "-o", "b.parquet"), "writes a table"),
        (("--table", __file__, "-o", __file__, "--format", "csv"), "--table itself"),
        (("a.jpg", "--format", "webannotation", "--language", "not a one"), "language"),
        (("a.jpg", "--format", "lido"), "--decisions FILE"),
        (("a.jpg", "--embed", "--format", "json"), "--embed"),
        (("a.jpg", "--sidecar-name", "photo.xmp"), "--format sidecar"),
        (("--votes", "a.json"), "--decisions FILE"),
    ]:
        code, out, err = here(*arguments)
        assert code == 2, arguments
        assert message in err.replace("\n", " "), err
        assert out == ""


@pytest.mark.one_processor
def test_mistakes_end_with_1_and_a_hint(
    here: Callable[..., tuple[int, str, str]], tmp_path: Path, trained: Path
) -> None:
    def refused(*arguments: object, root: Path = trained) -> str:
        code, out, err = here(*arguments, root=root)
        assert (code, out) == (1, "")
        assert len([line for line in err.splitlines() if line.startswith("error: ")]) == 1
        assert "hint: " in err
        return err

    (tmp_path / "none").mkdir()
    no_model = refused("a.jpg", root=tmp_path / "none")
    assert " train`" in no_model
    assert "--model" in no_model
    assert "--facet colours" in refused("a.jpg", "--facet", "colours")
    assert "no image there" in refused(tmp_path / "none")
    assert "no such model" in refused("a.jpg", "--model", "none")
    assert "--precision int8" in refused("a.jpg", "--precision", "int8")
    assert "--only" in refused("a.jpg", "--facet", "materials", "--only", "objectTypes:vessel")
    assert "cannot write" in refused("a.jpg", "--output", "/dev/null", "--format", "jsonl")
    assert not Path("/dev/.null.lock").exists()
    assert "no such model" in refused("a.jpg", "--model", "n" * 300)


def test_options_choose_the_suggestions(
    here: Callable[..., tuple[int, str, str]], pictures: list[Path]
) -> None:
    def tags(*options: object) -> dict[str, list[dict[str, object]]]:
        code, out, _ = here(pictures[0], "--format", "json", *options)
        assert code == 0
        (content,) = json.loads(out)
        return content["tags"]

    everything = tags("--threshold", 0)
    assert set(everything) <= set(FACETS)
    two = tags("--top", 2)
    assert two == {facet: listed[:2] for facet, listed in everything.items()}
    likely = tags("--threshold", 0.3)
    assert likely == {
        facet: [tag for tag in listed if tag["score"] >= 0.3] for facet, listed in everything.items()
    }
    assert list(tags("--facet", "materials", "--threshold", 0)) == ["materials"]
    first = everything["materials"][0]["tag"]
    below = [tag for tag in everything["materials"] if first in tag["path"]]
    assert tags("--threshold", 0, "--only", f"materials:{first}")["materials"] == below
    assert tags("--threshold", 0, "--exclude", f"materials:{first}")["materials"] == [
        tag for tag in everything["materials"] if tag not in below
    ]
    leaves = tags("--threshold", 0, "--leaves-only")["materials"]
    assert all(leaf["tag"] not in other["path"][:-1] for leaf in leaves for other in everything["materials"])
    narrow, wide = tags("--coverage", 0.5), tags("--coverage", 0.9)
    assert all(narrow[facet] == wide[facet][: len(narrow[facet])] for facet in wide)
    for listed in everything.values():
        scores = {tuple(tag["path"]): tag["score"] for tag in listed}
        assert all(scores[path[:-1]] >= score for path, score in scores.items() if path[:-1])


@pytest.mark.one_processor
def test_addresses_are_fetched_safely(
    here: Callable[..., tuple[int, str, str]], pictures: list[Path], tmp_path: Path
) -> None:
    shutil.copy(pictures[0], tmp_path / "a.jpg")
    (tmp_path / "page.jpg").write_text("<!doctype html><title>no picture</title>")
    with served(tmp_path) as host:
        urls = [f"http://user:secret@{host}/{name}" for name in ("a.jpg", "page.jpg", "none.jpg")]
        code, out, err = here(
            *urls, pictures[0], "ftp://example.org/a.jpg", "--allow-private-hosts", "--format", "jsonl"
        )
        refused = here(urls[0], "--format", "jsonl")
    good, page, none, same, ftp = map(json.loads, out.splitlines())
    assert code == 3
    assert good["tags"] == same["tags"]
    assert "HTML" in page["error"]
    assert "404" in none["error"]
    assert "only http and https" in ftp["error"]
    assert "secret" not in out + err
    assert refused[0] == 3
    assert "private IP address" in json.loads(refused[1])["error"]


# --- files that grow -----------------------------------------------------------------------------------


@pytest.mark.one_processor
def test_addresses_that_are_done_are_not_fetched_again(
    here: Callable[..., tuple[int, str, str]], pictures: list[Path], tmp_path: Path
) -> None:
    asked: list[str] = []
    shutil.copy(pictures[0], tmp_path / "a.jpg")
    with served(tmp_path, asked.append) as host:
        urls = [f"http://{host}/a.jpg?{number}" for number in range(22)]
        options = ("--allow-private-hosts", "--output", tmp_path / "out.jsonl")
        assert here(*urls[:20], *options)[0] == 0
        assert here(*urls, *options, "--skip-existing")[0] == 0
    assert sorted(asked) == sorted(f"/a.jpg?{number}" for number in range(22))
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert [json.loads(line)["image"] for line in lines] == urls


@pytest.fixture(scope="module")
def many(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 2,000 images."""
    folder = tmp_path_factory.mktemp("many") / "images"
    folder.mkdir()
    drawn = sorted((trained / "data" / "images").rglob("*.jpg"))
    for number in range(2000):
        os.link(drawn[number % len(drawn)], folder / f"{number:04d}.jpg")
    return folder


class Late(NamedTuple):
    """An image whose server answers while it may."""

    url: str
    answers: threading.Event


@pytest.fixture
def late(pictures: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Late]:
    folder, answers = tmp_path_factory.mktemp("late"), threading.Event()
    answers.set()
    shutil.copy(pictures[0], folder / "late.jpg")
    with served(folder, lambda _: answers.wait()) as host:
        yield Late(f"http://{host}/late.jpg", answers)
        answers.set()


def wait_for_lines(path: Path, count: int, process: "subprocess.Popen[bytes]") -> None:
    deadline, ended = time.monotonic() + 200, False
    while not path.exists() or path.read_bytes().count(b"\n") < count:
        assert not ended, "it ended too early"
        assert time.monotonic() < deadline, "nothing is written"
        time.sleep(0.02)
        ended = process.poll() is not None


def kill(process: "subprocess.Popen[bytes]") -> None:
    """Kill a command whose standard error is a pipe, and wait until that is closed: it may have a helper."""
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=200)


@pytest.mark.one_processor
def test_killed_in_the_middle_it_goes_on_to_the_same_file(
    trained: Path, many: Path, late: Late, eufcc_command: str, quick_command: list[str], tmp_path: Path
) -> None:
    whole, output = tmp_path / "whole.jsonl", tmp_path / "tags.jsonl"
    last = (late.url, "--allow-private-hosts")
    command = [eufcc_command, "--root", trained, "tag", *last, "--output"]
    few = peak_memory([*command, tmp_path / "few.jsonl", *sorted(many.iterdir())[:200]])
    command = [eufcc_command, "--root", trained, "tag", many, *last, "--output"]
    assert peak_memory([*command, whole]) < few + (64 << 20)  # it does not grow with their number

    late.answers.clear()  # so that no command has ended before it is killed
    images = (many, *last, "--output", output)
    killed = start(quick_command, trained, *images, stderr=subprocess.PIPE)
    wait_for_lines(output, 300, killed)
    kill(killed)
    done = output.read_bytes().count(b"\n")
    assert 300 <= done <= 2000
    with output.open("ab") as file:
        file.write(b'{"image": "torn')  # what a kill in the middle of a write leaves

    interrupted = start(quick_command, trained, *images, stderr=subprocess.PIPE)
    wait_for_lines(output, min(done + 200, 2000), interrupted)
    interrupted.send_signal(signal.SIGINT)
    _, told = interrupted.communicate(timeout=200)
    assert interrupted.returncode == 130
    assert b"Traceback" not in told
    assert b"interrupted" in told

    # Nothing that is done is looked at again: these images could not even be opened any more.
    finished = output.read_text().splitlines()
    aside = tmp_path / "aside"
    aside.mkdir()
    for line in finished[:-1]:
        path = Path(json.loads(line)["image"])
        path.rename(aside / path.name)
        path.write_bytes(b"")
    late.answers.set()
    assert start(quick_command, trained, *images).wait(timeout=250) == 0
    for path in aside.iterdir():
        path.replace(many / path.name)
    assert output.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


@pytest.mark.one_processor
def test_an_unfinished_file_of_another_command_is_kept(
    here: Callable[..., tuple[int, str, str]], pictures: list[Path], tmp_path: Path
) -> None:
    output = tmp_path / "tags.jsonl"
    output.write_text("precious\n")
    (tmp_path / ".tags.jsonl.unfinished").write_text('{"format": "csv"}\n')
    result = CliRunner().invoke(app, ["tag"])  # the error boundary turns EufccError into exit code 1
    assert result.exit_code == 2
    code, _, err = here(pictures[0], "--output", output)
    assert code == 1
    assert "unfinished result of another command" in err
    assert output.read_text() == "precious\n"


@pytest.mark.one_processor
def test_an_unfinished_file_of_another_table_or_other_images_is_kept(
    trained: Path,
    here: Callable[..., tuple[int, str, str]],
    pictures: list[Path],
    tmp_path: Path,
) -> None:
    frame = pd.read_csv(trained / "data" / "test_id.csv", dtype=str, keep_default_na=False)
    one, other, filled = tmp_path / "one.csv", tmp_path / "other.csv", tmp_path / "filled.csv"
    frame[:4].to_csv(one, index=False)
    frame[4:8].to_csv(other, index=False)
    tags = tmp_path / "tags.jsonl"
    for output, first, second in [
        (filled, ("--table", one, "--accept", 0.4), ("--table", other, "--accept", 0.4)),
        (tags, pictures[:2], pictures[2:4]),
    ]:
        with pytest.MonkeyPatch.context() as patch:  # as a kill -9 leaves it
            patch.setattr(type(output), "unlink", lambda self, missing_ok=False: None)
            assert here(*first, "--output", output)[0] == 0
        content = output.read_bytes()
        code, _, err = here(*second, "--output", output)
        assert code == 1
        assert "unfinished result of another command" in err
        assert output.read_bytes() == content
        assert here(*first, "--output", output)[0] == 0
        assert output.read_bytes() == content


@pytest.mark.one_processor
def test_an_image_that_comes_twice_has_two_results_killed_or_not(
    quick_command: list[str], trained: Path, tmp_path: Path
) -> None:
    frame = pd.read_csv(trained / "data" / "test_id.csv", dtype=str, keep_default_na=False)
    table = tmp_path / "table.csv"
    pd.concat([frame] * 12, ignore_index=True).to_csv(table, index=False)
    whole, output = tmp_path / "whole.jsonl", tmp_path / "tags.jsonl"
    assert start(quick_command, trained, "--table", table, "--output", whole).wait() == 0
    killed = start(quick_command, trained, "--table", table, "--output", output, stderr=subprocess.PIPE)
    wait_for_lines(output, len(frame) + 1, killed)
    kill(killed)
    assert start(quick_command, trained, "--table", table, "--output", output).wait() == 0
    assert output.read_bytes() == whole.read_bytes()


def assert_alike(one: str, other: str) -> None:
    """The same text, but for ids and dates of a run, and last digits, which the size of a batch changes."""
    own = re.compile(r'"created": "[^"]*"|urn:uuid:[0-9a-f-]*", "type": "AnnotationPage')
    score = re.compile(r"\d\.\d+(?:e-\d+)?")
    texts = [own.sub("", text) for text in (one, other)]
    assert score.sub("", texts[0]) == score.sub("", texts[1])
    first, second = ([float(found) for found in score.findall(text)] for text in texts)
    assert first == pytest.approx(second, abs=1e-5)


@pytest.mark.one_processor
@pytest.mark.parametrize("form", ["jsonl", "json", "csv", "webannotation"])
def test_skip_existing_adds_only_what_is_new(
    here: Callable[..., tuple[int, str, str]], pictures: list[Path], tmp_path: Path, form: str
) -> None:
    """What is there is known by its name alone: the images are gone."""
    images = [tmp_path / path.name for path in pictures[:5]]
    for image, path in zip(images, pictures, strict=False):
        shutil.copy(path, image)
    once, twice = tmp_path / f"once.{form}", tmp_path / f"twice.{form}"
    options = ("--format", form, "--threshold", 0, "--top", 3)
    assert here(*images, "--output", once, *options)[0] == 0
    assert here(*images[:3], "--output", twice, *options)[0] == 0
    assert here(*images[:3], "--output", twice, *options, "--skip-existing")[0] == 0
    for image in images[:3]:
        image.write_bytes(b"gone")
    assert here(*images, "--output", twice, *options, "--skip-existing")[0] == 0
    assert_alike(twice.read_text(), once.read_text())
    if form != "csv":
        parse = (
            json.loads if form != "jsonl" else lambda text: [json.loads(line) for line in text.splitlines()]
        )
        assert parse(twice.read_text())


@pytest.mark.one_processor
def test_a_full_disk_keeps_what_is_written(
    trained: Path, many: Path, eufcc_command: str, quick_command: list[str], tmp_path: Path
) -> None:
    """A limit on the size of files stands for the full disk; the same command, given room, goes on."""
    output = tmp_path / "tags.jsonl"
    words = f"--root {trained} tag {many}/00*.jpg --output {output}"
    limited = subprocess.run(
        ["bash", "-c", f"trap '' XFSZ; ulimit -f 40; {eufcc_command} {words}"],
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert limited.returncode == 1
    assert "cannot write" in limited.stderr
    assert "Traceback" not in limited.stderr
    kept = output.read_text().splitlines()
    assert 0 < len(kept) < 100
    assert all(json.loads(line) for line in kept)
    command = f"{shlex.join(quick_command)} {words}"
    assert subprocess.run(["bash", "-c", command], timeout=200).returncode == 0
    lines = output.read_text().splitlines()
    assert lines[: len(kept)] == kept
    assert [Path(json.loads(line)["image"]).name for line in lines] == [f"{n:04d}.jpg" for n in range(100)]


# --- other forms ---------------------------------------------------------------------------------------


@pytest.mark.one_processor
def test_web_annotations_and_their_language(
    here: Callable[..., tuple[int, str, str]], pictures: list[Path]
) -> None:
    code, out, err = here(pictures[0], "gone.jpg", "--format", "webannotation", "--language", "en")
    assert code == 3
    page = json.loads(out)
    assert page["items"]
    assert {item["target"] for item in page["items"]} == {pictures[0].resolve().as_uri()}
    assert {item["body"]["language"] for item in page["items"]} == {"en"}
    assert "gone.jpg" in err  # no annotation can tell that an image failed
    assert json.loads(here("gone.jpg", "--format", "webannotation")[1])["items"] == []


@pytest.mark.one_processor
def test_names_and_flags_for_every_model(
    here: Callable[..., tuple[int, str, str]], pictures: list[Path], tmp_path: Path
) -> None:
    options = (pictures[0], "--threshold", 0, "--facet", "materials")
    code, out, err = here(*options)
    assert code == 0, err
    plain = json.loads(out)["tags"]["materials"]
    first = plain[0]["tag"]
    names, flagged = tmp_path / "names.csv", tmp_path / "flagged.csv"
    names.write_text(f"tag,name\n{first},Etwas\n")
    flagged.write_text(f"term,language,note\n{first.upper()},,What to know.\n")
    code, out, err = here(*options, "--names", names, "--flag-terms", flagged)
    assert code == 0, err
    found = json.loads(out)["tags"]["materials"]
    assert [(tag["tag"], tag["score"]) for tag in found] == [(tag["tag"], tag["score"]) for tag in plain]
    assert found[0]["names"][-1] == "Etwas"
    assert found[0]["flags"] == [
        {"term": first.upper(), "language": "", "note": "What to know.", "name": first}
    ]
    code, out, err = here(*options, "--names", names, "--flag-terms", flagged, "--format", "table")
    assert "Etwas" in out
    assert f"⚑ {first.upper()}: What to know." in out
    code, out, err = here(*options, "--names", names, "--flag-terms", flagged, "--format", "csv")
    row = next(csv.DictReader(io.StringIO(out)))
    assert (row["tag"], row["name"], row["flags"]) == (first, "Etwas", f"{first.upper()}: What to know.")
    for wrong in (("--names", "xx"), ("--flag-terms", tmp_path / "gone.csv")):
        code, _, err = here(*options, *wrong)
        assert code == 1
        assert wrong[0] in err
    assert here(*options, "--text", "name")[0] == 1  # only CLIP reads texts


@pytest.mark.one_processor
def test_sidecars_lie_beside_the_images_and_keep_what_others_wrote(
    here: Callable[..., tuple[int, str, str]], pictures: list[Path], tmp_path: Path
) -> None:
    for name, path in zip(("a.jpg", "b.jpg", "c.jpg"), pictures, strict=False):
        shutil.copy(path, tmp_path / name)
    merged, broken = tmp_path / "b.xmp", tmp_path / "c.jpg.xmp"
    merged.write_text("<x:xmpmeta xmlns:x='adobe:ns:meta/'><!-- theirs --></x:xmpmeta>")
    broken.write_text("not XMP")
    code, out, err = here(tmp_path, "--format", "sidecar")
    assert code == 3
    assert out.splitlines() == [str(tmp_path / "a.jpg.xmp"), str(merged)]
    assert "c.jpg" in err and broken.read_text() == "not XMP"
    assert "<!-- theirs -->" in merged.read_text()
    assert "lr:hierarchicalSubject" in merged.read_text()
    broken.unlink()
    code, out, err = here(tmp_path, "--format", "sidecar", "--skip-existing", "--top", 1)
    assert (code, out) == (0, f"{broken}\n"), err
    written = (tmp_path / "a.jpg.xmp").stat().st_mtime_ns
    code, out, _ = here(tmp_path / "a.jpg", "--format", "sidecar")
    assert (code, out) == (0, "")  # the same command: it is there
    code, out, _ = here(tmp_path / "a.jpg", "--format", "sidecar", "--top", 1)
    assert out.splitlines() == [str(tmp_path / "a.jpg.xmp")]
    assert (tmp_path / "a.jpg.xmp").stat().st_mtime_ns > written
    code, out, _ = here(tmp_path / "b.jpg", "--format", "sidecar", "--output", tmp_path / "out")
    assert code == 0
    assert Path(out.strip()).is_relative_to(tmp_path / "out")


@pytest.mark.one_processor
def test_terms_are_embedded_once(
    here: Callable[..., tuple[int, str, str]], pictures: list[Path], tmp_path: Path
) -> None:
    path = tmp_path / "a.jpg"
    shutil.copy(pictures[0], path)
    content = path.read_bytes()
    code, out, err = here(path, "--embed", "--top", 1)
    assert (code, out) == (0, f"{path}\n"), err
    assert (tmp_path / "a.jpg_original").read_bytes() == content
    assert b"lr:hierarchicalSubject" in path.read_bytes()
    assert here(path, "--embed", "--top", 1)[:2] == (0, "")


# --- a catalogue ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def catalogue(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    """The test split with its materials and half of its object types taken away, and one image missing."""
    frame = pd.read_csv(trained / "data" / "test_id.csv", dtype=str, keep_default_na=False)
    frame["note"] = [f'row {n}, "as it was"' for n in range(len(frame))]
    frame["materials.hierarchy"] = ""
    objects = frame["objectTypes.hierarchy"].str.split(r" \$ | \| ", regex=True).str[0]
    frame.loc[::2, "objectTypes.hierarchy"] = objects[::2]
    missing = frame.iloc[0].copy()
    missing["idInSource"] = "not here"
    frame = pd.concat([frame, missing.to_frame().T], ignore_index=True)
    path = tmp_path_factory.mktemp("catalogue") / "new.csv"
    frame.to_csv(path, index=False)
    return path, frame


def test_filling_gaps_proposes_what_is_missing_or_more_specific(
    here: Callable[..., tuple[int, str, str]], catalogue: tuple[Path, pd.DataFrame]
) -> None:
    path, frame = catalogue
    code, out, _ = here("--table", path, "--fill", "--format", "jsonl", "--threshold", 0)
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == 3
    assert [line["id"] for line in lines] == frame["idInSource"].tolist()
    assert "download" in lines[-1]["error"]
    kinds = set()
    for line, (_, row) in zip(lines[:-1], frame.iterrows(), strict=False):
        for facet, tags in line["tags"].items():
            catalogued = set(re.split(r" \| | \$ ", row[facet_column(facet)])) - {""}
            for tag in tags:
                kinds.add((facet, tag["kind"]))
                assert tag["tag"] not in catalogued
                if tag["kind"] == "more specific":
                    assert catalogued.intersection(tag["path"])
    assert ("materials", "missing") in kinds
    assert ("materials", "more specific") not in kinds
    assert ("objectTypes", "more specific") in kinds


def test_accepting_writes_a_new_table_beside_the_old_columns(
    here: Callable[..., tuple[int, str, str]], catalogue: tuple[Path, pd.DataFrame], tmp_path: Path
) -> None:
    path, frame = catalogue
    code, out, _ = here("--table", path, "--accept", 0.4, "--output", tmp_path / "filled.csv")
    assert (code, out) == (3, "")
    filled = pd.read_csv(tmp_path / "filled.csv", dtype=str, keep_default_na=False)
    assert filled[list(frame.columns)].equals(frame)
    assert filled["suggested.error"].iloc[-1]
    added = filled[filled["materials.suggested"] != ""]
    assert len(added)
    for _, row in added.iterrows():
        scores = [float(score) for score in row["materials.suggested.score"].split(" $ ")]
        assert len(scores) == len(row["materials.suggested"].split(" $ "))
        assert min(scores) >= 0.4
        assert row["suggested.model"] == "small"


@pytest.mark.one_processor
def test_a_table_alone_tags_its_images(
    here: Callable[..., tuple[int, str, str]], catalogue: tuple[Path, pd.DataFrame]
) -> None:
    path, frame = catalogue
    _, out, _ = here("--table", path, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert len({row["image"] for row in rows}) == len(frame)
    assert rows[0].keys() == {"id", "image", "facet", "tag", "path", "score", "error"}


@pytest.mark.one_processor
def test_accepting_keeps_the_columns_of_a_parquet_table(
    here: Callable[..., tuple[int, str, str]], catalogue: tuple[Path, pd.DataFrame], tmp_path: Path
) -> None:
    frame = (
        catalogue[1]
        .head(3)
        .assign(
            count=pd.array([1, None, 3], dtype="Int64"),
            weight=pd.array([0.1, None, 2.5], dtype="float32"),
            words=[["a", "b"], [], None],
        )
    )
    frame.to_parquet(tmp_path / "new.parquet")
    code, out, _ = here("--table", tmp_path / "new.parquet", "--accept", 0.4)
    filled = pd.read_csv(io.StringIO(out), dtype=str, keep_default_na=False)
    assert code == 0
    assert filled["count"].tolist() == ["1", "", "3"]
    assert filled["weight"].tolist() == ["0.1", "", "2.5"]
    assert filled["words"].tolist() == ['["a", "b"]', "[]", ""]
    filled.to_csv(tmp_path / "filled.csv", index=False)
    code, _, err = here("--table", tmp_path / "filled.csv", "--accept", 0.4)
    assert code == 1
    assert "objectTypes.suggested' already" in " ".join(err.split())


# --- several models ------------------------------------------------------------------------------------


@pytest.fixture
def two_runs(trained: Path, tmp_path: Path) -> Iterator[Path]:
    shutil.copytree(trained, tmp_path / "root", symlinks=True)
    shutil.copytree(trained / "runs" / "small", tmp_path / "root" / "runs" / "twin")
    return tmp_path / "root"


def test_an_ensemble_and_its_calibration(
    here: Callable[..., tuple[int, str, str]], two_runs: Path, pictures: list[Path], trained: Path
) -> None:
    both = ("--model", "small", "--model", "twin", "--format", "jsonl")
    code, out, err = here(pictures[0], *both, root=two_runs)
    assert code == 0
    line = json.loads(out)
    assert line["model"] == "small+twin"
    single = json.loads(here(pictures[0], "--format", "jsonl", "--threshold", 0)[1])
    together = json.loads(here(pictures[0], *both, "--threshold", 0, root=two_runs)[1])
    for facet, tags in single["tags"].items():  # with itself, a model's order stays
        assert [tag["tag"] for tag in together["tags"][facet]] == [tag["tag"] for tag in tags]
    code, _, err = here(pictures[0], *both, "--coverage", 0.8, root=two_runs)
    assert code == 1
    assert "evaluate --calibrate" in err
    evaluate = ["--root", str(two_runs), "evaluate", "small+twin"]
    measure = [*evaluate, "--split", "val", "--all-metrics"]
    assert "not calibrated, scores count as" in CliRunner().invoke(app, measure).stdout
    calibrated = CliRunner().invoke(app, [*evaluate, "--calibrate"])
    assert calibrated.exit_code == 0, calibrated.stderr
    measured = CliRunner().invoke(app, measure).stdout
    assert "decided: " in measured and "not calibrated" not in measured
    assert "materials" in calibrated.stdout
    code, out, _ = here(pictures[0], *both, "--coverage", 0.8, root=two_runs)
    assert code == 0
    assert json.loads(out)["tags"]


def test_weights_of_half_precision_are_computed_in_the_networks_own(
    here: Callable[..., tuple[int, str, str]], two_runs: Path, pictures: list[Path]
) -> None:
    path = two_runs / "runs" / "twin" / "model.safetensors"
    save_file({name: tensor.half() for name, tensor in load_file(path).items()}, path)
    options = ("--format", "jsonl", "--threshold", 0, "--facet", "materials")
    whole, half = (
        {tag["tag"]: tag["score"] for tag in json.loads(out)["tags"]["materials"]}
        for code, out, _ in (
            here(pictures[0], *options, "--model", n, root=two_runs) for n in ("small", "twin")
        )
    )
    assert whole == pytest.approx(half, abs=0.05)


@pytest.mark.one_processor
def test_a_damaged_run_does_not_hide_the_others(
    here: Callable[..., tuple[int, str, str]], two_runs: Path, pictures: list[Path]
) -> None:
    (two_runs / "runs" / "twin" / "config.json").write_text("{")
    code, out, err = here(pictures[0], "--format", "jsonl", root=two_runs)
    assert code == 0
    assert json.loads(out)["model"] == "small"
    assert "twin" in err


def test_a_model_without_calibration_says_so_and_can_get_one(
    here: Callable[..., tuple[int, str, str]], two_runs: Path, pictures: list[Path], processor: str
) -> None:
    config = two_runs / "runs" / "twin" / "config.json"
    content = json.loads(config.read_text())
    before = content.pop("calibration")
    assert before["precision"] == processor
    config.write_text(json.dumps(content))
    code, _, err = here(pictures[0], "--model", "twin", root=two_runs)
    assert code == 0
    assert "not calibrated" in " ".join(err.split())
    code, _, err = here(pictures[0], "--model", "twin", "--coverage", 0.9, root=two_runs)
    assert code == 1
    assert (
        CliRunner().invoke(app, ["--root", str(two_runs), "evaluate", "--calibrate", "twin"]).exit_code == 0
    )
    after = json.loads(config.read_text())["calibration"]
    assert after["precision"] == processor
    for facet, values in before["facets"].items():  # evaluation scores as training did
        fitted = after["facets"][facet]
        assert fitted["images"] == values["images"]
        assert fitted["temperature"] == pytest.approx(values["temperature"], rel=1e-3)
        assert fitted["thresholds"].keys() == values["thresholds"].keys()


@pytest.mark.one_processor
def test_without_a_model_or_a_hub_three_ways_out_are_named(
    eufcc: Callable[..., subprocess.CompletedProcess[str]], pictures: list[Path], tmp_path: Path
) -> None:
    done = eufcc("tag", pictures[0], cwd=tmp_path, env={"HF_HOME": str(tmp_path / "hub")})
    assert done.returncode == 1 and not done.stdout
    first, *_, error, hint = done.stderr.splitlines()
    assert "605 MB, licence MIT" in first
    assert error.startswith("error: no trained model in runs, and ")
    assert "ViT-B-32-256/datacomp_s34b_b86k: not downloaded before" in error
    assert all(way in hint for way in ("`eufcc train`", "--model FOLDER", "--weights FILE"))


@pytest.mark.one_processor
def test_clip_needs_no_root(
    eufcc: Callable[..., subprocess.CompletedProcess[str]], pictures: list[Path], tmp_path: Path
) -> None:
    """Random weights, but the real vocabulary: the published tags of EUFCC-340K by their English names."""
    from safetensors.torch import save_file

    from eufcc_cli.core.model.clip.towers import create_clip

    clip, _ = create_clip("clip_mini", pretrained=False)
    weights = tmp_path / "mini.safetensors"
    save_file(clip.state_dict(), weights)
    empty = tmp_path / "empty"
    empty.mkdir()
    done = eufcc(
        "tag",
        pictures[0],
        "--model",
        "clip:clip_mini",
        "--weights",
        weights,
        "--top",
        3,
        "--threshold",
        0,
        cwd=empty,
    )
    assert done.returncode == 0, done.stderr
    tags = json.loads(done.stdout)["tags"]
    assert {facet: len(found) for facet, found in tags.items()} == dict.fromkeys(
        ("objectTypes", "materials", "classifications", "subjects"), 3
    )
    assert all(tag["tag"] in glossary()[facet] for facet, found in tags.items() for tag in found)
