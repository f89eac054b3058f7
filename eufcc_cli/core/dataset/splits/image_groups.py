"""Which images of a table must stay in one split, and which providers must stay with them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from eufcc_cli.core.dataset.splits.split_memory import TEST_SPLITS
from eufcc_cli.core.download.candidates import WRAPPED, candidate_urls
from eufcc_cli.core.files import SPLITS
from eufcc_cli.core.taxonomy.tables.annotations import ID, IMAGE_URL, PROVIDER, RECORD, factorize, texts_of
from eufcc_cli.core.taxonomy.tables.text_columns import containing


def group_images(
    table: pd.DataFrame, same: Sequence[np.ndarray] = ()
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which images must stay together.

    Returns for each image the number of its unit (images with one address, record, or number in `same`) and
    of its block (providers that share a unit), and for each block whether it may be held out: an unnamed
    provider may be any.
    """
    urls = table[IMAGE_URL].astype("str").fillna("")
    wrapped = np.flatnonzero(containing(urls, [WRAPPED]))
    if len(wrapped):
        # A thumbnail's URL counts as that of its original picture.
        urls = urls.copy()
        originals = [candidate_urls(text, "original")[0].url for text in texts_of(urls.iloc[wrapped])]
        urls.iloc[wrapped] = pd.Series(originals, index=urls.index[wrapped], dtype="str")
    unit = np.arange(len(urls)) if urls.is_unique else pd.factorize(urls)[0]
    without = (urls == "").to_numpy(dtype=bool)
    unit[without] = len(unit) + np.arange(without.sum())
    unit = numbered(unit)
    several = RECORD in table and not (table[RECORD] == table[ID]).all()
    for numbers in (pd.factorize(table[RECORD])[0], *same) if several else same:
        unit = _joined(unit, numbers)
    provider, names = factorize(table[PROVIDER])
    # Providers belong together where they share a unit: each with that of the unit's first image.
    of_unit = np.empty(int(unit.max()) + 1, dtype=np.int64)
    of_unit[unit[::-1]] = provider[::-1]
    links = coo_array(
        (np.ones(len(unit), dtype=np.int32), (of_unit[unit], provider)), shape=(len(names),) * 2
    )
    label = connected_components(links, directed=False)[1]
    first = np.full(label.max() + 1, len(unit))
    np.minimum.at(first, label[provider], unit)
    block_of = numbered(first)[label]
    holdable = np.ones(block_of.max() + 1, dtype=bool)
    holdable[[block for block, name in zip(block_of, names, strict=True) if not name.strip()]] = False
    return unit, block_of[provider], holdable


def numbered(values: np.ndarray) -> np.ndarray:
    """[N] int: the place of each value (from 0 on) among the distinct ones, in their order."""
    there = np.zeros(int(values.max(initial=-1)) + 1, dtype=np.int64)
    there[values] = 1
    return (np.cumsum(there) - 1)[values]


def _joined(unit: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """The units, after joining those with a number in common (-1: none)."""
    there = np.flatnonzero(numbers >= 0)
    if np.bincount(numbers[there]).max(initial=0) < 2:
        return unit
    units = int(unit.max()) + 1
    size = units + int(numbers.max()) + 1
    links = coo_array(
        (np.ones(len(there), dtype=np.int8), (unit[there], units + numbers[there])), shape=(size, size)
    )
    label = connected_components(links, directed=False)[1][:units]
    return numbered(label)[unit]


def places_together(stays: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """The split in which each image of a unit has to stay: the last of SPLITS that any of them was in."""
    of_unit = np.full(int(unit.max()) + 1, -1, dtype=stays.dtype)
    np.maximum.at(of_unit, unit, stays)
    tested = [SPLITS.index(name) for name in TEST_SPLITS]
    return np.where(np.isin(stays, tested), stays, of_unit[unit])
