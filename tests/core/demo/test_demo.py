"""The drawn miniature collection: the same bytes always, the published format, and what it has to hold."""

import hashlib
import inspect
import itertools
import os
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from eufcc_cli.core.demo import Summary, draw_collection
from eufcc_cli.core.demo.brush import SIZE
from eufcc_cli.core.demo.objects import COMPANIONS, KINDS, MATERIALS
from eufcc_cli.core.demo.picture_plan import plan
from eufcc_cli.core.demo.providers import INNER, OUTER
from eufcc_cli.core.errors import EufccError
from eufcc_cli.core.files import SPLITS, Root, image_stem
from eufcc_cli.core.taxonomy.hierarchy import build_trees
from eufcc_cli.core.taxonomy.tables.annotation_files import read_table
from eufcc_cli.core.taxonomy.tables.annotations import FACETS, ID, PROVIDER, facet_column, paths
from tests.processes import all_end

IMAGES = 136
DEFAULT_IMAGES = 3200


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Root, Summary]:
    root = Root(tmp_path_factory.mktemp("drawn"))
    return root, draw_collection(root, IMAGES, workers=2)


@pytest.fixture(scope="module")
def plans() -> list:
    """What the default command draws, as plans (drawing them all would take seconds, not plans)."""
    return [plan(0, number) for number in range(DEFAULT_IMAGES)]


def content(root: Root) -> dict[str, str]:
    return {
        path.relative_to(root.path).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.path.rglob("*"))
        if path.is_file()
    }


def tag_counts(plans: list, facet: str) -> Counter:
    return Counter(name for p in plans for name in {n for path in p.annotations.get(facet, ()) for n in path})


def test_the_same_seed_gives_the_same_bytes_whatever_draws_them(drawn, tmp_path):
    root, _ = drawn
    alone = Root(tmp_path / "alone")
    draw_collection(alone, IMAGES, workers=1)
    assert content(alone) == content(root)
    fewer = Root(tmp_path / "fewer")
    draw_collection(fewer, 8, workers=1)
    same = {name: digest for name, digest in content(fewer).items() if name.endswith(".jpg")}
    assert len(same) == 8 and same.items() <= content(root).items()


def test_another_seed_gives_other_pictures(drawn, tmp_path):
    root, _ = drawn
    other = Root(tmp_path)
    draw_collection(other, 8, seed=1)
    assert not set(content(other).values()) & set(content(root).values())


def test_tables_and_label_files_have_the_published_format(drawn):
    root, summary = drawn
    tables = {split: read_table(root.table(split)) for split in SPLITS}
    assert {split: len(table) for split, table in tables.items()} == summary.splits
    assert sum(summary.splits.values()) == summary.images == summary.drawn == IMAGES
    header = root.table("train").read_text("utf-8").splitlines()[0]
    assert header == (
        "idInSource,objectTypes.hierarchy,subjects.hierarchy,materials.hierarchy,"
        "#portraitMedia.original,database,repository.keeper,classifications.hierarchy"
    )
    ids = [name for table in tables.values() for name in table[ID]]
    assert len(set(ids)) == IMAGES
    for table in tables.values():
        assert table["#portraitMedia.original"].str.fullmatch(r"https://[a-z.]+/[\w.-]+\.jpg").all()
        assert (table[PROVIDER] != "").all() and (table["database"] != "").all()
        for facet in FACETS:
            for cell in table[facet_column(facet)]:
                assert cell == " $ ".join(" | ".join(path) for path in paths(cell))
    for facet, tree in build_trees(tables.values()).items():
        assert root.label_file(facet).read_bytes() == tree.render().encode()
        assert root.label_file(facet).read_text("utf-8").startswith("Root\n├── ")


def test_every_image_is_a_whole_jpeg_at_its_place(drawn):
    root, summary = drawn
    files = {path.relative_to(root.images).as_posix() for path in root.images.rglob("*") if path.is_file()}
    ids = [name for split in SPLITS for name in read_table(root.table(split))[ID]]
    assert files == {f"{image_stem(name)}.jpg" for name in ids}
    for name in files:
        with Image.open(root.images / name) as image:
            image.load()
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (SIZE, SIZE))
            assert np.asarray(image, np.float32).std() > 8  # something is on it
    assert len(set(summary.showcase)) == 3
    assert set(summary.showcase) <= set(read_table(root.table("test_id"))[ID])


def test_nothing_is_drawn_twice(drawn):
    root, first = drawn
    before = {path: path.stat().st_mtime_ns for path in root.path.rglob("*")}
    again = draw_collection(root, IMAGES)
    assert again.drawn == 0 and again.showcase == first.showcase
    assert {path: path.stat().st_mtime_ns for path in root.path.rglob("*")} == before


def test_a_collection_that_was_downloaded_is_whole(eufcc, drawn, tmp_path):
    shutil.copytree(drawn[0].path, tmp_path / "copy")
    done = eufcc("--root", "copy", "download")
    assert done.returncode == 0, done.stderr
    assert draw_collection(Root(tmp_path / "copy"), IMAGES).drawn == 0


def test_what_is_missing_is_drawn_again(drawn, tmp_path):
    root = Root(tmp_path / "copy")
    shutil.copytree(drawn[0].path, root.path)
    (root.images / f"{image_stem('demo-0-00003')}.jpg").unlink()
    root.table("val").unlink()
    root.label_file("subjects").unlink()
    assert draw_collection(root, IMAGES).drawn == 1
    assert content(root) == content(drawn[0])


@pytest.mark.parametrize(
    "name",
    [
        "data/train.csv",
        "data/harvest.csv",
        "data/val.parquet",
        "labels/materials.txt",
        "data/images/mine.jpg",
    ],
)
def test_a_root_with_other_data_is_refused_unharmed(name, tmp_path):
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    before = content(Root(tmp_path))
    with pytest.raises(EufccError, match=re.escape(str(path))):
        draw_collection(Root(tmp_path), 8)
    assert content(Root(tmp_path)) == before


@pytest.mark.parametrize("settings", [{"images": 16}, {"images": 8, "seed": 1}])
def test_other_settings_are_refused_on_a_finished_root(settings, tmp_path):
    root = Root(tmp_path)
    draw_collection(root, 8)
    before = content(root)
    with pytest.raises(EufccError, match="not from this drawing"):
        draw_collection(root, **settings)
    assert content(root) == before


def test_an_image_that_someone_replaced_is_refused(drawn, tmp_path):
    root = Root(tmp_path / "copy")
    shutil.copytree(drawn[0].path, root.path)
    place = root.images / f"{image_stem('demo-0-00005')}.jpg"
    Image.new("RGB", (9, 9)).save(place)
    with pytest.raises(EufccError, match="00005"):
        draw_collection(root, IMAGES)


def test_too_few_images_are_refused(tmp_path):
    with pytest.raises(EufccError, match="7 images"):
        draw_collection(Root(tmp_path / "new"), 7)
    assert not (tmp_path / "new").exists()


# What the collection has to hold, by default.


def test_the_default_collection_is_large_and_divided(plans):
    splits = Counter(p.split for p in plans)
    assert len(plans) >= 2400
    assert splits["train"] >= 1600 and min(splits[s] for s in ("val", "test_id", "test_ood")) >= 300


def test_four_facets_with_many_tags_down_to_four_levels(plans):
    counts = {facet: tag_counts(plans, facet) for facet in FACETS}
    assert sum(map(len, counts.values())) >= 60
    depths = {len(path) for p in plans for facet in FACETS for path in p.annotations.get(facet, ())}
    assert depths == {1, 2, 3, 4}
    learned = {facet: tag_counts([p for p in plans if p.split == "train"], facet) for facet in FACETS}
    for facet in FACETS:
        assert set(learned[facet]) == set(counts[facet])
    assert min(learned["objectTypes"].values()) >= 15 and min(learned["materials"].values()) >= 10


def test_facets_are_left_out_as_in_the_real_data(plans):
    shares = {facet: sum(facet in p.annotations for p in plans) / len(plans) for facet in FACETS}
    expected = {"objectTypes": 0.97, "materials": 0.86, "classifications": 0.13, "subjects": 0.09}
    assert shares == pytest.approx(expected, abs=0.02)


def test_annotations_stop_at_inner_nodes(plans):
    ends = Counter(path[-1] for p in plans for facet in FACETS for path in p.annotations.get(facet, ()))
    inner = {name for kind in MATERIALS.values() for path in kind for name in path[:-1]}
    inner |= {name for kind in KINDS.values() for path in kind.paths for name in path[:-1]}
    assert 0.1 < sum(ends[name] for name in inner) / ends.total() < 0.4
    assert len([name for name in inner if ends[name]]) >= 15


def test_one_name_stands_under_two_parents(plans):
    parents: dict[str, set[str]] = {}
    for p in plans:
        for path in p.annotations.get("materials", ()):
            for parent, name in itertools.pairwise(path):
                parents.setdefault(name, set()).add(parent)
    assert {name for name, above in parents.items() if len(above) > 1} == {"silk", "cotton", "wool"}


def test_images_with_several_objects(plans):
    pairs = [p for p in plans if len(p.things) > 1]
    assert 0.1 < len(pairs) / len(plans) < 0.16
    told = [p.annotations["objectTypes"] for p in pairs if "objectTypes" in p.annotations]
    assert sum(len(said) > 1 for said in told) > 0.8 * len(told)


def test_providers_with_styles_of_their_own_some_held_out(plans):
    inner, outer = {p.name for p in INNER}, {p.name for p in OUTER}
    assert len(inner | outer) >= 12 and len(outer) >= 3 and not inner & outer
    seen = {split: {p.provider.name for p in plans if p.split == split} for split in SPLITS}
    assert seen["test_ood"] == outer
    assert seen["train"] == seen["val"] == seen["test_id"] == inner
    assert not {p.backdrop for p in INNER} & {p.backdrop for p in OUTER}


def test_the_catalogue_agrees_with_itself():
    made_of = {name for kind in KINDS.values() for slot in kind.slots[: kind.listed] for name in slot}
    assert made_of | {name for kind in KINDS.values() for name in kind.medium} == set(MATERIALS)
    assert set(COMPANIONS) | {name for names in COMPANIONS.values() for name in names} <= set(KINDS)
    favoured = {name for provider in INNER + OUTER for name in provider.favours}
    assert favoured <= set(KINDS)
    names = {name for kind in KINDS.values() for path in kind.paths for name in path}
    names |= {name for kind in MATERIALS.values() for path in kind for name in path}
    assert {name for provider in INNER + OUTER for name in provider.stops} <= names


# The command.


def test_the_command_prints_three_images_worth_tagging(eufcc, tmp_path):
    done = eufcc("--root", "new", "fetch", "demo", "--images", 16, "--seed", 3)
    assert done.returncode == 0, done.stderr
    shown = done.stdout.splitlines()
    assert len(shown) == 2 and all((tmp_path / line).is_file() for line in shown)
    assert "16 images" in done.stderr and "test_ood 2" in done.stderr
    help_text = " ".join(eufcc("fetch", "demo", "--help").stdout.split())
    assert f"default: {DEFAULT_IMAGES}" in help_text and "--seed" in help_text
    assert inspect.signature(draw_collection).parameters["images"].default == DEFAULT_IMAGES


def test_the_command_refuses_a_root_with_other_data(eufcc, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/train.csv").write_text("idInSource\n1\n")
    done = eufcc("fetch", "demo", "--images", 8)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("error: data/train.csv") and "hint: " in done.stderr
    assert (tmp_path / "data/train.csv").read_text() == "idInSource\n1\n"


# Whoever draws the last image does not finish it while the command is there: that cannot end too early.
_HELD = """
import os, time
replace, command = os.replace, os.getppid()
def held(source, target):
    while os.fspath(target).endswith({last!r}) and os.getppid() == command:
        time.sleep(0.01)
    replace(source, target)
os.replace = held
"""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("way", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_drawing_is_continued(way, eufcc, eufcc_command, drawn, tmp_path):
    held = tmp_path / "held" / "sitecustomize.py"
    held.parent.mkdir()
    held.write_text(_HELD.format(last=image_stem(f"demo-0-{IMAGES - 1:05d}").name + ".jpg"))
    command = [eufcc_command, "--root", "new", "fetch", "demo", "--images", str(IMAGES), "--workers", "2"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"PYTHONPATH": str(held.parent)},
    )
    images = tmp_path / "new/data/images"
    deadline = time.monotonic() + 200
    workers = []
    while not any(images.rglob("*.jpg")) and time.monotonic() < deadline:
        workers = psutil.Process(process.pid).children(recursive=True)
        time.sleep(0.01)
    # As a terminal does it: Ctrl-C reaches the workers, too. A kill only reaches the command.
    if way is signal.SIGINT:
        os.killpg(process.pid, way)
    else:
        process.kill()
    _, told = process.communicate(timeout=200)
    assert process.returncode == (130 if way is signal.SIGINT else -signal.SIGKILL)
    assert "Traceback" not in told
    assert all_end(workers)
    kept = {path: path.stat().st_mtime_ns for path in images.rglob("*.jpg")}
    assert kept and not (tmp_path / "new/data/train.csv").exists()
    assert eufcc(*command[1:], timeout=250).returncode == 0
    assert all(path.stat().st_mtime_ns == then for path, then in kept.items())
    finished = {n: d for n, d in content(Root(tmp_path / "new")).items() if not Path(n).name.startswith(".")}
    assert finished == content(drawn[0])
