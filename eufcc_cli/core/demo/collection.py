"""Draw the miniature collection into a root: annotation tables, label files, images."""

import itertools
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from eufcc_cli import __version__
from eufcc_cli.core.demo.camera import jpeg
from eufcc_cli.core.demo.plan import Plan, plan
from eufcc_cli.core.demo.providers import OUTER
from eufcc_cli.core.errors import CollectError
from eufcc_cli.core.files import SPLITS, Root, image_stem, write_bytes, write_text
from eufcc_cli.core.machine import cores
from eufcc_cli.core.progress import SILENT, Progress
from eufcc_cli.core.taxonomy.annotations import DATABASE, FACETS, ID, IMAGE_URL, PROVIDER, facet_column
from eufcc_cli.core.taxonomy.hierarchy import build_trees

FEWEST = 8  # every split gets an image
_BATCH = 32  # images that a worker draws between two reports


@dataclass(frozen=True)
class Summary:
    """What the collection holds: images in all and by split, tags by facet, providers; `drawn` is how many
    images this call drew, `showcase` the ids of three test_id images worth showing, the first with several
    objects where there is one."""

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
    """Draw the collection of this seed, on all cores or `workers` of them; what is drawn already stays.

    On one machine the same seed gives the same bytes, whatever the number of workers. The tables are
    written last, so an interrupted drawing has none and is continued by the same call. Raises CollectError,
    before anything is touched, where the root holds other data or `images` is below 8.
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
    said = {
        facet_column(facet): " $ ".join(" | ".join(path) for path in p.annotations.get(facet, ()))
        for facet in FACETS
    }
    columns = (
        ID,
        *map(facet_column, ("objectTypes", "subjects", "materials")),
        IMAGE_URL,
        DATABASE,
        PROVIDER,
    )
    row = said | {
        ID: p.id,
        IMAGE_URL: f"https://demo.invalid/{p.id}.jpg",
        DATABASE: "DEMO",
        PROVIDER: p.provider.name,
    }
    return {column: row[column] for column in (*columns, facet_column("classifications"))}


def _own_images(root: Root, files: dict[Path, str], places: dict[Path, int], plans: list[Plan]) -> set[Path]:
    """The images drawn already; raises CollectError for whatever else the root holds."""

    def refuse(path: Path) -> CollectError:
        return CollectError(
            f"{path}: not from this drawing (these settings, eufcc {__version__}); nothing was changed",
            hint="choose an empty folder: `eufcc --root DIR fetch demo`",
        )

    for path in itertools.chain(
        root.data.glob("*.csv"), root.data.glob("*.parquet"), root.labels.glob("*.txt")
    ):
        if path not in files or path.read_bytes() != files[path].encode():
            raise refuse(path)
    there = set()
    for path in itertools.chain(root.images.rglob("*"), (root.path / "images").rglob("*")):
        # The ledger and its lock come with the images; hidden files are writes that a power cut ended.
        if path.is_dir() or path.name.startswith((".", f"{root.ledger.stem}.")):
            continue
        if path not in places or _signature(plans[places[path]]).encode() not in path.read_bytes()[:256]:
            raise refuse(path)
        there.add(path)
    return there


def _signature(p: Plan) -> str:
    """What every drawn JPEG carries as its comment."""
    return f"drawn by eufcc {__version__}: {p.id}"


def _draw(root: Root, seed: int, numbers: list[int], workers: int, progress: Progress) -> None:
    batches = [numbers[start : start + _BATCH] for start in range(0, len(numbers), _BATCH)]
    with progress.task("Drawing", len(numbers)) as task:
        if workers == 1 or len(batches) < 4:
            for batch in batches:
                task.advance(_draw_batch(root, seed, batch))
            return
        # Spawned, not forked: the progress display may hold locks in other threads.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(min(workers, len(batches)), context, initializer=_settle) as pool:
            with _no_interrupt():
                jobs = [pool.submit(_draw_batch, root, seed, batch) for batch in batches]
            try:
                for job in as_completed(jobs):
                    task.advance(job.result())
            except BrokenProcessPool as error:
                raise CollectError(
                    "a process that draws was ended from outside, perhaps for want of memory",
                    hint="give the same command again, with fewer `workers`; it continues",
                ) from error
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise


def _draw_batch(root: Root, seed: int, numbers: list[int]) -> int:
    for number in numbers:
        p = plan(seed, number)
        write_bytes(root.images / f"{image_stem(p.id)}.jpg", jpeg(p, _signature(p)))
    return len(numbers)


def _settle() -> None:
    """In a worker: leave Ctrl-C to the parent, and end when the parent is no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """Workers started in here never see Ctrl-C, not even before they can say that they ignore it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _named(p: Plan) -> set[str]:
    return {name for paths in p.annotations.values() for path in paths for name in path}


def _showcase(plans: list[Plan]) -> tuple[str, ...]:
    """Three images of test_id: several objects, a picture with its subject, a thing of two materials."""
    shown = [p for p in plans if p.split == "test_id" and not p.provider.grey]
    told = [p for p in shown if all({t.kind, *t.materials} <= _named(p) for t in p.things)]
    pairs = [p for p in told if len(p.things) > 1]
    single = [p for p in told if len(p.things) == 1]
    wishes = (
        [p for p in pairs if p.things[0].kind != p.things[1].kind] + pairs,
        [p for p in single if "subjects" in p.annotations and p.things[0].kind == "oil painting"]
        + [p for p in single if "subjects" in p.annotations],
        [p for p in single if len(p.annotations["materials"]) > 1 and not p.things[0].scene],
    )
    chosen: dict[str, None] = {}
    for wish in (*wishes, told, shown, [p for p in plans if p.split == "test_id"]):
        for p in wish:
            if len(chosen) < 3 and p.id not in chosen:
                chosen[p.id] = None
                break
    return tuple(chosen)
