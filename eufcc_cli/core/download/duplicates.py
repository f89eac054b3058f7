"""Identical and similar images, across ids and splits; between training and test they are leakage.

Two images are similar if their perceptual hashes (pHash, 64 bits of the picture's low frequencies) differ
in at most three bits and their colours, averaged over a 4 x 4 grid, in at most six of 255 levels.
"""

import asyncio
from collections.abc import Iterator
from operator import attrgetter

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from eufcc_cli.core.download.ledger import OK, Ledger, recorded_file
from eufcc_cli.core.download.workers import Workers
from eufcc_cli.core.files import Root
from eufcc_cli.core.images.fingerprint import FINGERPRINT_BYTES, fingerprint
from eufcc_cli.core.machine import cores
from eufcc_cli.core.progress import SILENT, Progress
from eufcc_cli.core.taxonomy.tables.annotation_files import read_table
from eufcc_cli.core.taxonomy.tables.annotations import FACET_COLUMNS, ID

MOST_BITS = 3
MOST_LEVELS = 6.0
_BANDS = MOST_BITS + 1  # two hashes that differ in three bits agree in one of four bands of 16


def find_duplicates(
    root: Root, ledger: Ledger, wanted: pd.DataFrame, *, progress: Progress = SILENT
) -> pd.DataFrame:
    """The wanted images that have a duplicate, group by group, with their annotations.

    `wanted` has a row per id and split: an image in two splits is a duplicate of itself. Columns: group,
    kind (`identical` bytes or `similar`), leakage (`yes` if the group has both training and test images), id,
    split, provider, path, sha256, width, height, and the facets. Groups with leakage come first. Fingerprints
    are computed once and saved in the ledger.
    """
    asyncio.run(_add_fingerprints(root, ledger, progress))
    columns = ["id", "path", "sha256", "width", "height", "fingerprint"]
    there = ledger.entries("status = ? AND fingerprint IS NOT NULL", (OK,))
    rows = pd.DataFrame(map(attrgetter(*columns), there), columns=columns)
    images = wanted[["id", "split", "provider"]].merge(rows, on="id", validate="many_to_one")
    images["group"] = group_numbers(images["sha256"], images["fingerprint"])
    images = images[images.duplicated("group", keep=False)].drop(columns="fingerprint")
    images["kind"] = np.where(images.duplicated("sha256", keep=False), "identical", "similar")
    images = _with_leakage(images).merge(_annotations(root, images), on=["id", "split"], how="left")
    order = ["group", "kind", "leakage", "id", "split", "provider", "path", "sha256", "width", "height"]
    return images[order + list(FACET_COLUMNS)]


def _with_leakage(images: pd.DataFrame) -> pd.DataFrame:
    """Renumber the groups: those on both sides of training and test first."""
    training = images["split"].isin(["train", "val"])
    sides = training.groupby(images["group"]).transform("nunique")
    images = images.assign(leakage=np.where(sides > 1, "yes", "no"))
    images = images.sort_values(["leakage", "group", "id"], ascending=[False, True, True], ignore_index=True)
    return images.assign(group=pd.factorize(images["group"])[0] + 1)


def _annotations(root: Root, images: pd.DataFrame) -> pd.DataFrame:
    found = [
        table[table[ID].isin(images["id"])].assign(split=split)
        for split in images["split"].unique()
        for table in [read_table(root.table(split), [ID, *FACET_COLUMNS])]
    ]
    empty = pd.DataFrame(columns=[ID, *FACET_COLUMNS, "split"], dtype=str)
    return pd.concat(found or [empty]).drop_duplicates([ID, "split"]).rename(columns={ID: "id"})


async def _add_fingerprints(root: Root, ledger: Ledger, progress: Progress) -> None:
    """Compute the fingerprints that the ledger does not have yet."""
    unseen = [
        (entry.id, file)
        for entry in ledger.entries("status = ? AND fingerprint IS NULL", (OK,))
        if (file := recorded_file(root.images, str(entry.path)))
    ]
    if not unseen:
        return
    try:
        async with Workers(cores()) as workers:
            with progress.task("Comparing images", len(unseen)) as task:
                async for (image_id, _), found in workers.each(fingerprint, unseen, crashed=None):
                    if found is not None:
                        ledger.record_fingerprint(image_id, found)
                    task.advance()
    finally:
        ledger.commit()


def group_numbers(digests: pd.Series, fingerprints: pd.Series) -> np.ndarray:
    """A group's number for every image: transitively equal bytes or equal fingerprints."""
    numbers, different = pd.factorize(fingerprints)
    codes = np.frombuffer(bytes.fromhex("".join(different)), np.uint8).reshape(-1, FINGERPRINT_BYTES)
    bits = np.ascontiguousarray(codes[:, :8]).view(">u8")[:, 0].astype(np.uint64)
    first = np.unique(numbers, return_index=True)[1]  # one image of each fingerprint stands for all
    edges = [_same(pd.factorize(digests)[0]), _same(numbers)]
    edges += [(first[one], first[other]) for one, other in similar_pairs(bits, codes[:, 8:].astype(np.int16))]
    one, other = (np.concatenate(side) for side in zip(*edges, strict=True))
    graph = coo_array((np.ones(len(one), bool), (one, other)), shape=(len(fingerprints), len(fingerprints)))
    return connected_components(graph, directed=False)[1]


_Edges = Iterator[tuple[np.ndarray, np.ndarray]]


def _same(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every position joined with the next one of equal value."""
    order = np.argsort(values, kind="stable")
    equal = np.flatnonzero(values[order[1:]] == values[order[:-1]])
    return order[equal], order[equal + 1]


def similar_pairs(bits: np.ndarray, colours: np.ndarray) -> _Edges:
    """All pairs of positions whose fingerprints differ little enough."""
    for band in range(_BANDS):
        part = (bits >> np.uint64(16 * band)) & np.uint64(0xFFFF)
        order = np.argsort(part, kind="stable")
        part = part[order]
        # Every pair within a run of equal parts: first all neighbours, then all at distance two, …
        left = np.arange(len(order))
        for distance in range(1, len(order)):
            left = left[: np.searchsorted(left, len(order) - distance)]
            left = left[part[left] == part[left + distance]]
            if not len(left):
                break
            one, other = order[left], order[left + distance]
            near = np.bitwise_count(bits[one] ^ bits[other]) <= MOST_BITS
            one, other = one[near], other[near]
            near = np.abs(colours[one] - colours[other]).mean(axis=1) <= MOST_LEVELS
            yield one[near], other[near]
