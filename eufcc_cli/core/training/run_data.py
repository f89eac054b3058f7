"""What a training learns from: tables, decisions, vocabulary, images, and those held out."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from eufcc_cli.core.errors import DataError
from eufcc_cli.core.files import Root
from eufcc_cli.core.model.methods import METHODS
from eufcc_cli.core.taxonomy.decisions import read_decisions
from eufcc_cli.core.taxonomy.tables.annotation_files import read_table
from eufcc_cli.core.taxonomy.tables.annotations import ID
from eufcc_cli.core.taxonomy.tables.table_checks import repeated_ids
from eufcc_cli.core.taxonomy.vocabulary import Vocabulary, training_vocabulary
from eufcc_cli.core.training.configuration.config import TrainConfig
from eufcc_cli.core.training.loading.data import Split, load_split
from eufcc_cli.core.training.loading.decided_split import LearnedDecisions, learn_decisions
from eufcc_cli.core.training.loop.interpolation import AUTO, HeldOut, hold_out

log = logging.getLogger("eufcc")


@dataclass(frozen=True)
class RunData:
    """A training's vocabulary, and its images by purpose."""

    vocabulary: Vocabulary
    split: Split
    validation: Split
    counts: dict[str, np.ndarray]
    """{facet: [n] training images of each tag}."""
    learned: LearnedDecisions | None
    held_out: HeldOut | None


def run_data(
    config: TrainConfig,
    root: Root,
    decisions: Sequence[Path],
    on_decisions: Callable[[LearnedDecisions], None] | None,
    *,
    warn: bool,
) -> RunData:
    """Read a root's training and validation images, and what decisions say about them.

    warn: log ids that are in both splits. Raises DataError where there is nothing to learn or validate.
    """
    train_frame, validation_frame = _tables(root)
    decided = read_decisions(decisions)
    vocabulary = training_vocabulary(root, train_frame, {one.facet for one in decided if one.is_true})
    if warn:
        for leak in repeated_ids({"train": train_frame[ID].tolist(), "val": validation_frame[ID].tolist()}):
            log.warning("%s; `eufcc trees --lint` lists them", leak)
    split = load_split(root, "train", vocabulary, train_frame)
    validation = load_split(root, "val", vocabulary, validation_frame)
    learned = None
    if decisions:
        split, learned = learn_decisions(split, decided, vocabulary, root)
        if on_decisions is not None:
            on_decisions(learned)
    # An image without a tag in any facet teaches nothing.
    teaches = split.annotated if METHODS[config.method].learns_rejections else split.tagged
    split = split.without(np.flatnonzero(~teaches))
    held_out = None
    if config.interpolate == AUTO:
        split, held_out = hold_out(split, config.seed)
    for part in (split, validation):
        if not part.tagged.any():
            raise DataError(
                f"{root.table(part.name)}: none of its images that are there has a tag to be learned",
                hint="training and validation need tags that the label files, or train.csv, know",
            )
    counts = {facet: np.bincount(t.indices, minlength=t.size) for facet, t in split.targets.items()}
    return RunData(vocabulary, split, validation, counts, learned, held_out)


def _tables(root: Root) -> tuple[pd.DataFrame, pd.DataFrame]:
    for split in ("train", "val"):
        if not root.table(split).is_file():
            raise DataError(
                f"{root.table(split)}: no such file",
                hint="training needs train.csv and val.csv: `eufcc fetch`, or `eufcc fetch splits FILE`",
            )
    return read_table(root.table("train")), read_table(root.table("val"))
