"""`eufcc tag --shard-size`: plans, parts, resuming, job arrays, Ray; the same bytes whoever works."""

import errno
import hashlib
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import fsspec
import pandas as pd
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from typer.testing import CliRunner

from eufcc_cli.cli import app
from eufcc_cli.core.errors import CollectError, DataError, EufccError
from eufcc_cli.core.evaluation.scores.prediction_files import read_predictions
from eufcc_cli.core.files import Root
from eufcc_cli.core.model.checkpoint import load_model
from eufcc_cli.core.model.inference.decoding import decoder_processes
from eufcc_cli.core.tagging.review.suggestions import read_suggestions
from eufcc_cli.core.tagging.selection import Choice
from eufcc_cli.core.tagging.shards.engines import left
from eufcc_cli.core.tagging.shards.place import Place
from eufcc_cli.core.tagging.shards.plan import PLAN, Plan, make_plan, read_plan
from eufcc_cli.core.tagging.shards.shard import Done, Job, Shards, options_of
from eufcc_cli.core.tagging.shards.shard_inputs import Line, plan_lines
from eufcc_cli.core.tagging.shards.state import state_of
from eufcc_cli.core.tagging.tagger import Tagger
from tests.conftest import Run
from tests.core.model.decoding import deadly

pytestmark = pytest.mark.one_processor

CHOICE = Choice(threshold=0.1)
REPOSITORY = Path(__file__).parents[4]


@pytest.fixture(scope="module")
def photos(trained: Path) -> list[Path]:
    return sorted((trained / "data" / "images").rglob("*.jpg"))[:10]


@pytest.fixture(scope="module")
def tagger(trained: Path) -> Tagger:
    return Tagger([load_model("small", Root(trained), "cpu")], CHOICE, Root(trained))


Make = Callable[..., tuple[Shards, Place]]


@pytest.fixture
def plan_in(trained: Path, photos: list[Path], tagger: Tagger, tmp_path: Path) -> Make:
    """Plan some images in shards of four, and who tags them: (shards, place)."""

    def plan_in(
        name: str, lines: list[Line] | None = None, form: str = "jsonl", **job: object
    ) -> tuple[Shards, Place]:
        output = name if "://" in name else str(tmp_path / name)
        made = Job(output, trained, ("small",), CHOICE, device="cpu", **job)  # type: ignore[arg-type]
        place = Place(output)
        lines = list(plan_lines(map(str, photos))) if lines is None else lines
        plan = make_plan(place, lines, 4, form, tagger.name, options_of(tagger, made))
        return Shards(made, plan, tagger), place

    return plan_in


def finish(shards: Shards, place: Place) -> list[Done]:
    with shards:
        return [shards.tag(number) for number in left(shards.plan, place)]


def digests(folder: Path) -> dict[str, str]:
    """Of all that does not say how long it took, and where."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.parent.name != "_done"]
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_a_job_cut_short_ends_with_the_bytes_of_one_that_was_not(
    plan_in: Make, tmp_path: Path, form: str
) -> None:
    whole, place = plan_in("whole", form=form)
    assert [done.images for done in finish(whole, place)] == [4, 4, 2]
    assert state_of(place).done == 3
    cut, place = plan_in("cut", form=form)
    cut.tag(1)
    (tmp_path / "cut" / f"part-00000.{form}").write_bytes(b"of a shard that was not noted as done")
    cut, place = plan_in("cut", form=form)
    assert left(cut.plan, place) == [0, 2]
    finish(cut, place)
    assert digests(tmp_path / "cut") == digests(tmp_path / "whole")
    cut.tag(2)  # given twice
    assert digests(tmp_path / "cut") == digests(tmp_path / "whole")


def test_small_shards_share_processes_if_all_together_are_worth_them(
    plan_in: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EUFCC_MACHINE", "cores=2")
    few, _ = plan_in("few")
    with few, Shards(few.job, few.plan, few.tagger, images=2000) as many:
        assert few._processes_for(4, careful=False) is None
        made = many._processes_for(4, careful=False)  # they start at the first call
        assert made is not None
        assert many._processes_for(2, careful=False) is made


def said_by(folder: Path, root: Root) -> dict[tuple[str, ...], object]:
    """What predictions say of each image: the error, or the scores of the tags that are listed."""

    def scores(facets: dict[str, tuple[Any, Any]]) -> dict[str, dict[int, float]]:
        return {
            facet: dict(zip(*map(list, pair), strict=True)) for facet, pair in facets.items() if len(pair[0])
        }

    return {line.names: line.error or scores(line.facets) for line in read_predictions(folder, root).lines}


def test_what_is_read_back_is_what_one_file_says(
    plan_in: Make, trained: Path, photos: list[Path], eufcc: Run, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    images = [*map(str, photos), str(broken)]
    for form in ("jsonl", "parquet"):
        shards, place = plan_in(form, list(plan_lines(images)), form)
        assert sum(sum(done.failed.values()) for done in finish(shards, place)) == 1
    one = tmp_path / "one.jsonl"
    tagged = eufcc("--root", trained, "tag", *images, "--threshold", 0.1, "--device", "cpu", "-o", one)
    assert tagged.returncode == 3, tagged.stderr
    assert one.read_bytes() == b"".join(
        path.read_bytes() for path in sorted((tmp_path / "jsonl").glob("part*"))
    )
    expected, found = (read_suggestions(tmp_path / name) for name in ("one.jsonl", "parquet"))
    assert found.images == expected.images
    assert found.of_image == expected.of_image
    said = [said_by(tmp_path / name, Root(trained)) for name in ("jsonl", "parquet")]
    assert said[0] == said[1]
    assert len(said[0]) == 11
    frame = pd.concat(map(pd.read_parquet, sorted((tmp_path / "parquet").glob("part*"))))
    assert frame["image"].nunique() == 11
    assert frame.loc[frame["image"] == str(broken), "error"].str.startswith("not an image").all()


def test_another_plan_is_rejected_and_the_first_difference_named(
    plan_in: Make, photos: list[Path], tagger: Tagger, tmp_path: Path
) -> None:
    shards, place = plan_in("job")
    before = digests(tmp_path / "job")
    lines, options = list(plan_lines(map(str, photos))), shards.plan.options

    def again(message: str, **changed: object) -> None:
        plan = {"lines": lines, "shard_size": 4, "form": "jsonl", "model": "small", "options": options}
        with pytest.raises(EufccError, match=message):
            make_plan(place, **(plan | changed))  # type: ignore[arg-type]

    again("shard_size is 4 there, and 5 now", shard_size=5)
    again("form is .jsonl. there", form="parquet")
    again("images is 10 there, and 9 now", lines=lines[1:])
    again("inputs is", lines=lines[::-1])
    again("options.models is", options=options | {"models": "other"})
    again("options.threshold is 0.1 there, and 0.5 now", options=options | {"threshold": 0.5})
    assert digests(tmp_path / "job") == before
    with pytest.raises(EufccError, match="its threshold is not the plan's"):
        Shards(shards.job, Plan(**{**vars(shards.plan), "options": options | {"threshold": 0.5}}), tagger)


def test_a_plan_that_is_cut_or_absent(plan_in: Make, tmp_path: Path) -> None:
    _, place = plan_in("job")
    path = tmp_path / "job" / PLAN
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match="not a plan of eufcc"):
        plan_in("job")
    with pytest.raises(DataError, match="not a plan of eufcc"):
        state_of(place)
    with pytest.raises(DataError, match=r"no _plan\.json there"):
        state_of(Place(str(tmp_path / "nowhere")))
    assert read_plan(Place(str(tmp_path / "nowhere"))) is None
    cut, place = plan_in("cut")
    path = tmp_path / "cut" / "_inputs" / "part-00001.jsonl"
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    with pytest.raises(EufccError, match=r"shard 1 on \S+: \S+jsonl: 1 images, and the plan has 4"):
        cut.tag(1)


def test_stores_and_tars_hold_the_same_images(plan_in: Make, photos: list[Path], tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    with tarfile.open(tmp_path / "shard.tar", "w") as tar:
        for path in photos:
            memory.pipe_file(f"/bucket/{path.name}", path.read_bytes())
            tar.add(path, path.name)
            tar.addfile(tarfile.TarInfo(f"{path.stem}.json"))
    memory.pipe_file("/bucket/notes.txt", b"no image")
    plain, place = plan_in("plain")
    finish(plain, place)

    def tags(place: Place) -> list[object]:
        parts = [place.read(name) or b"" for name in place.names("") if name.startswith("part")]
        return [json.loads(line)["tags"] for line in b"".join(parts).splitlines()]

    expected = tags(place)
    names = sorted(path.name for path in photos)
    order = [[path.name for path in photos].index(name) for name in names]
    for name, argument in (("memory://out/job", "memory://bucket"), ("tarred", str(tmp_path / "shard.tar"))):
        lines = list(plan_lines([argument]))
        assert len(lines) == len(photos), argument
        shards, place = plan_in(name, lines)
        finish(shards, place)
        found = tags(place)
        assert found == (expected if name == "tarred" else [expected[i] for i in order])
    assert state_of(Place("memory://out/job")).done == 3


def test_job_arrays_share_the_shards(plan_in: Make, tmp_path: Path) -> None:
    whole, place = plan_in("whole")
    finish(whole, place)
    for part in ((1, 2), (0, 2)):
        shards, place = plan_in("shared")
        for number in left(shards.plan, place, part):
            shards.tag(number)
    assert digests(tmp_path / "shared") == digests(tmp_path / "whole")


def test_images_that_cannot_be_fetched_leave_a_shard_undone(
    plan_in: Make, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/later/a.jpg", photos[0].read_bytes())
    lines: list[Line] = [
        {"image": name, "place": f"memory://later/{name}", "iri": ""} for name in ("a.jpg", "b.jpg")
    ]
    shards, place = plan_in("memory://jobs/later", lines)
    (done,) = finish(shards, place)
    assert done.problem == "1 of 2 images could not be fetched"
    state = state_of(place)
    assert (state.done, state.left, state.failed) == (0, 0, {0: done.problem})
    memory.pipe_file("/later/b.jpg", photos[1].read_bytes())
    shards, place = plan_in("memory://jobs/later", lines)
    (done,) = finish(shards, place)
    assert (done.problem, done.failed) == (None, {})
    assert (state_of(place).done, state_of(place).failed) == (1, {})


def test_an_image_that_ends_its_process_is_found_at_the_third_try(
    plan_in: Make, photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killer = tmp_path / "deadly.jpg"
    killer.write_bytes(photos[0].read_bytes() + b"deadly")
    shards, place = plan_in("job", list(plan_lines([str(photos[0]), str(killer)])))
    for _ in range(2):  # the process that tags dies with the image
        with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
            patch.setattr(shards.tagger, "batches", lambda *_, **__: 1 / 0)
            shards.tag(0)
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setattr(decoder_processes, "decode_into", deadly.decode_into)
    (done,) = finish(shards, place)
    assert done.failed == {"it crashes the decoder": 1}
    lines = [json.loads(line) for line in (place.read("part-00000.jsonl") or b"").splitlines()]
    assert "tags" in lines[0]
    assert lines[1] == {"image": str(killer), "error": "it crashes the decoder"}


def test_places_are_whole_or_name_what_is_wrong(tmp_path: Path) -> None:
    place = Place(str(tmp_path / "there"))
    assert place.names("_done") == []
    place.write("_done/a", b"1")
    place.write("_done/a", b"2")
    (tmp_path / "there" / "_done" / ".b.part").write_bytes(b"torn")
    assert (place.names("_done"), place.read("_done/a"), place.read("_done/b")) == (["a"], b"2", None)
    place.delete("_done/a")
    place.delete("_done/a")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(EufccError, match="file/a/b: cannot write"):
        Place(str(tmp_path / "file")).write("a/b", b"")
    with pytest.raises(EufccError, match="nowhere://x"):
        Place("nowhere://x")


def test_the_command(trained: Path, photos: list[Path], tmp_path: Path) -> None:
    def run(*arguments: object) -> tuple[int, str, str]:
        done = CliRunner().invoke(app, ["--root", str(trained), "tag", *map(str, arguments)])
        return done.exit_code, done.stdout, done.stderr

    out = tmp_path / "out"
    options = ("--device", "cpu", "--shard-size", 4, "-o", out)
    code, _, err = run(*photos, *options, "--shard", "1/3")
    assert code == 0, err
    assert "10 images in 3 shards; 1 to do here" in err
    code, printed, _ = run("--status", out)
    assert (code, printed.splitlines()[0]) == (0, "shards    3: 1 done, 0 failed, 2 left")
    unfinished = [out / ".0f.part", out / "_tries" / ".1a.part"]  # of writers that were killed
    for path in unfinished:
        path.write_bytes(b"ha")
    code, _, err = run(*photos, *options)
    assert not any(path.exists() for path in unfinished)
    assert "2 to do here" in err and "2 shards done with 6 images" in err
    code, _, err = run(*photos, *options, "--threshold", 0.5)
    assert (code, "holds another plan: options.threshold is null there, and 0.5 now" in err) == (1, True)
    table = trained / "data" / "val.csv"
    val = tmp_path / "val"
    assert run("--table", table, *options[:-1], val)[0] == 0
    fsspec.filesystem("memory").put(f"{val}/", "/jobs/val", recursive=True)

    def evaluated(predictions: object) -> tuple[int, str]:
        arguments = ("--predictions", str(predictions), "--split", "val", "--format", "json")
        done = CliRunner().invoke(app, ["--root", str(trained), "evaluate", *arguments])
        return done.exit_code, done.output

    code, printed = evaluated(val)
    assert (code, evaluated("memory://jobs/val")) == (0, (code, printed)), printed
    assert evaluated("memory://jobs/none")[0] == 1
    for wrong in (
        ("--shard", "1/2"),
        ("--shard-size", 4),
        (*options, "--shard", "3/3"),
        (*options, "--engine", "dask"),
        (*options, "--format", "csv"),
        (*options, "--fill"),
        (*options, "--ray-address", "auto"),
    ):
        assert run(photos[0], *wrong)[0] == 2, wrong


class Locked(MemoryFileSystem):
    """A bucket that may be listed, and not written to."""

    protocol = "locked"

    def pipe_file(self, path: str, value: bytes, **_: Any) -> None:
        raise PermissionError(13, "Access Denied", path)


def test_a_bucket_without_permission_is_named(plan_in: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    fsspec.register_implementation("locked", Locked, clobber=True)
    with pytest.raises(CollectError, match=r"locked://bucket/_inputs/part-00000.jsonl: Access Denied"):
        plan_in("locked://bucket")
    shards, _ = plan_in("memory://open")
    monkeypatch.setattr(shards, "place", Place("locked://open"))
    monkeypatch.setattr(shards.place, "read", Place("memory://open").read)
    with pytest.raises(EufccError, match=r"shard 0 on \S+: locked://open/\S+: Access Denied"):
        shards.tag(0)


def test_a_full_disk_is_named_and_leaves_nothing(
    plan_in: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards, place = plan_in("job")

    def full(file: IO[bytes]) -> None:
        if file.tell() > 100:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = digests(tmp_path / "job")
    with monkeypatch.context() as patch:
        patch.setattr("eufcc_cli.core.files.sync", full)
        with pytest.raises(EufccError, match=r"shard 1 on \S+: \S+part-00001.jsonl: cannot write: No space"):
            shards.tag(1)
    assert digests(tmp_path / "job") == before | {"_tries/00001": hashlib.sha256(b"1").hexdigest()}
    assert left(shards.plan, place) == [0, 1, 2]
    assert [done.shard for done in finish(shards, place)] == [0, 1, 2]
