"""Draw the demonstration collection into a root: annotation tables, label files, images."""

import asyncio
import itertools
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from eufcc_cli import __version__
from eufcc_cli.core.demo.camera import jpeg
from eufcc_cli.core.demo.picture_plan import Plan, plan
from eufcc_cli.core.demo.providers import OUTER
from eufcc_cli.core.download.workers import Workers
from eufcc_cli.core.errors import CollectError
from eufcc_cli.core.files import SPLITS, Root, image_stem, write_bytes, write_text
from eufcc_cli.core.machine import cores
from eufcc_cli.core.progress import SILENT, Progress, Task
from eufcc_cli.core.taxonomy.hierarchy import build_trees
from eufcc_cli.core.taxonomy.tables.annotations import DATABASE, FACETS, ID, IMAGE_URL, PROVIDER, facet_column

FEWEST = 8  # every split gets an image
_FEW = 100  # images that are drawn faster than processes are started


@dataclass(frozen=True)
class Summary:
    """The contents of the collection: images in total and by split, tags by facet, providers; `drawn` is the
    number of images that this call drew, `showcase` the ids of three test_id images as examples, the first
    with several objects if there is one."""

    images: int
    drawn: int
    splits: dict[str, int]
    tags: dict[str, int]
    providers: int
    held_out: tuple[str, ...]
    showcase: tuple[str, ...]


def draw_collection(
    root: Root, images: int = 3200, seed: int = 0, workers: int | None = None, progress: Progress = SILENT
) -> Summary:
    """Draw the collection of this seed, on all cores or `workers` of them; existing images are kept.

    On one machine the same seed gives the same bytes, with any number of workers. The tables are written
    last, so that the same call resumes an interrupted drawing. Raises CollectError, before it writes
    anything, if the root holds other data or `images` is below 8.
    """
    if images < FEWEST:
        raise CollectError(f"{images} images are too few", hint=f"draw at least {FEWEST}: one for each split")
    plans = [plan(seed, number) for number in range(images)]
    files, tags = _files(root, plans)
    places = {root.images / f"{image_stem(p.id)}.jpg": number for number, p in enumerate(plans)}
    there = _own_images(root, files, places, plans)
    missing = [number for path, number in places.items() if path not in there]
    _draw(root, seed, missing, workers or cores(), progress)
    for path, text in files.items():
        if not path.exists():
            write_text(path, text)
    return Summary(
        images=images,
        drawn=len(missing),
        splits={split: sum(p.split == split for p in plans) for split in SPLITS},
        tags=tags,
        providers=len({p.provider.name for p in plans}),
        held_out=tuple(p.name for p in OUTER if any(plan.provider.name == p.name for plan in plans)),
        showcase=_showcase(plans),
    )


def _files(root: Root, plans: list[Plan]) -> tuple[dict[Path, str], dict[str, int]]:
    """The text of every label file and table (in the order to write them), and the tags of each facet."""
    tables = {split: pd.DataFrame([_row(p) for p in plans if p.split == split]) for split in SPLITS}
    trees = build_trees(tables.values())
    files = {root.label_file(facet): tree.render() for facet, tree in trees.items()}
    files |= {root.table(s): table.to_csv(index=False, lineterminator="\n") for s, table in tables.items()}
    return files, {facet: len(tree) for facet, tree in trees.items()}


def _row(p: Plan) -> dict[str, str]:
    described = {
        facet_column(facet): " $ ".join(" | ".join(path) for path in p.annotations.get(facet, ()))
        for facet in FACETS
    }
    first = map(facet_column, ("objectTypes", "subjects", "materials"))
    return {
        ID: p.id,
        **{column: described.pop(column) for column in first},
        IMAGE_URL: f"https://demo.invalid/{p.id}.jpg",
        DATABASE: "DEMO",
        PROVIDER: p.provider.name,
        **described,
    }


def _own_images(root: Root, files: dict[Path, str], places: dict[Path, int], plans: list[Plan]) -> set[Path]:
    """The images that are already drawn; raises CollectError for any other data in the root."""

    def foreign(path: Path) -> CollectError:
        return CollectError(
            f"{path}: not from this drawing (these settings, eufcc {__version__}); nothing was changed",
            hint="choose an empty folder: `eufcc --root DIR fetch demo`",
        )

    for path in itertools.chain(
        root.data.glob("*.csv"), root.data.glob("*.parquet"), root.labels.glob("*.txt")
    ):
        if path not in files or path.read_bytes() != files[path].encode():
            raise foreign(path)
    there = set()
    for path in itertools.chain(root.images.rglob("*"), (root.path / "images").rglob("*")):
        # The ledger and its lock belong to the images; hidden files are left by interrupted writes.
        if path.is_dir() or path.name.startswith((".", f"{root.ledger.stem}.")):
            continue
        if path not in places or _signature(plans[places[path]]).encode() not in path.read_bytes()[:256]:
            raise foreign(path)
        there.add(path)
    return there


def _signature(p: Plan) -> str:
    """The comment in every drawn JPEG."""
    return f"drawn by eufcc {__version__}: {p.id}"


def _draw(root: Root, seed: int, numbers: list[int], workers: int, progress: Progress) -> None:
    with progress.task("Drawing", len(numbers)) as task:
        if workers == 1 or len(numbers) < _FEW:
            for number in numbers:
                draw(number, root, seed)
                task.advance()
        else:
            asyncio.run(_draw_in_processes(root, seed, numbers, workers, task))


async def _draw_in_processes(root: Root, seed: int, numbers: list[int], workers: int, task: Task) -> None:
    async with Workers(workers) as pool:
        async for number, drawn in pool.each(draw, numbers, root, seed, crashed=None):
            if drawn is None:
                raise CollectError(
                    f"the process that draws image {number} was killed",
                    hint="memory may be short: run it again with fewer `workers` to resume",
                )
            task.advance()


def draw(number: int, root: Root, seed: int) -> int:
    """Draw an image and return its number."""
    p = plan(seed, number)
    write_bytes(root.images / f"{image_stem(p.id)}.jpg", jpeg(p, _signature(p)))
    return number


def _showcase(plans: list[Plan]) -> tuple[str, ...]:
    """Three images of test_id: several objects, a picture with its subject, a thing of two materials."""
    shown = sorted((p for p in plans if p.split == "test_id"), key=lambda p: p.provider.grey > 0)
    wishes = (
        lambda p: len({thing.kind for thing in p.things}) > 1 and "objectTypes" in p.annotations,
        lambda p: "subjects" in p.annotations and p.things[0].kind == "oil painting",
        lambda p: len(p.annotations.get("materials", ())) > 1 and not p.things[0].scene,
    )
    chosen = [next(filter(wish, shown), None) for wish in wishes]
    ids = dict.fromkeys(p.id for p in (*chosen, *shown) if p is not None)
    return tuple(ids)[:3]
