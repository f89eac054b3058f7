"""A training split with people's decisions in it; images of test splits are never learned from."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from eufcc_cli.core.dataset.splits.split_memory import read_tests
from eufcc_cli.core.download.image_locations import find_images
from eufcc_cli.core.files import Root, possible_ids, sha256
from eufcc_cli.core.taxonomy.decided_targets import with_decisions
from eufcc_cli.core.taxonomy.decisions import Decision, Decisions
from eufcc_cli.core.taxonomy.tables.annotation_files import read_table
from eufcc_cli.core.taxonomy.tables.annotations import ID
from eufcc_cli.core.taxonomy.vocabulary import Vocabulary
from eufcc_cli.core.training.loading.data import Split


@dataclass
class LearnedDecisions:
    """How a training used the decisions that it was given."""

    files: dict[str, str] = field(default_factory=dict)
    """The decisions files by name, with their SHA-256."""
    accepted: int = 0
    rejected: int = 0
    """Tags that were learned from as true, and as false."""
    images: int = 0
    new_images: int = 0
    """Images that were learned from, and those of them that are in no table of the root."""
    on_test: list[Decision] = field(default_factory=list)
    """Decisions about images of test splits: never learned from."""
    on_validation: int = 0
    """Decisions about validation images, which are not learned from either."""
    missing_images: int = 0
    """Decisions about images that are not on disk."""
    unknown_tags: int = 0
    """Decisions about tags that the vocabulary does not have."""

    def to_json(self) -> dict[str, Any]:
        """The part of config.json about it."""
        counts = {key: value for key, value in vars(self).items() if isinstance(value, int)}
        return {"files": self.files, **counts, "on_test": len(self.on_test)}


def learn_decisions(
    split: Split, decisions: Decisions, vocabulary: Vocabulary, root: Root
) -> tuple[Split, LearnedDecisions]:
    """The training split with the decisions applied, and how each of them was used.

    Decisions correct the targets of the split's images; images of no table join it. Those of test and
    validation splits are left out.
    """
    learned = LearnedDecisions({path.name: sha256(path) for path in decisions.files})
    held_out = _held_out(root)
    rows = {image_id: row for row, image_id in enumerate(split.frame[ID])}
    of_row: dict[int, list[Decision]] = {}
    new: dict[str, list[Decision]] = {}
    for decision in decisions:
        names = [decision.id] if decision.id else list(possible_ids(decision.image))
        where = next((held_out[name] for name in names if name in held_out), None)
        row = next((rows[name] for name in names if name in rows), None)
        if where == "test":
            learned.on_test.append(decision)
        elif where == "val":
            learned.on_validation += 1
        elif (tags := vocabulary.facets.get(decision.facet)) is None or decision.tag not in tags.index:
            learned.unknown_tags += 1
        elif row is not None:
            of_row.setdefault(row, []).append(decision)
        else:
            new.setdefault(decision.key.image, []).append(decision)
    split = _joined(split, new, of_row, root, vocabulary, learned)
    used = [decision for decided in of_row.values() for decision in decided]
    learned.accepted = sum(decision.is_true for decision in used)
    learned.rejected = len(used) - learned.accepted
    learned.images = len(of_row)
    targets = {
        facet: with_decisions(found, vocabulary.facets[facet], _of_facet(of_row, facet))
        for facet, found in split.targets.items()
    }
    return Split(split.name, split.frame, split.files, targets, split.missing), learned


def _held_out(root: Root) -> dict[str, str]:
    """The ids that are not learned from: "test" or "val" for each; test counts more."""
    ids: dict[str, str] = {}
    for name in sorted(root.splits(), key=lambda name: name.startswith("test")):
        if name != "train":
            frame = read_table(root.table(name), [ID])
            ids |= dict.fromkeys(frame[ID], "test" if name.startswith("test") else "val")
    tests = read_tests(root)  # also those that are in no table today, and their records
    return ids | dict.fromkeys([*tests["id"], *tests["record"]], "test")


def _of_facet(of_row: dict[int, list[Decision]], facet: str) -> dict[int, list[Decision]]:
    found = {row: [one for one in decided if one.facet == facet] for row, decided in of_row.items()}
    return {row: decided for row, decided in found.items() if decided}


def _joined(
    split: Split,
    new: dict[str, list[Decision]],
    of_row: dict[int, list[Decision]],
    root: Root,
    vocabulary: Vocabulary,
    learned: LearnedDecisions,
) -> Split:
    """The split, with the images that only decisions name added if they are on disk."""
    stored = find_images(root, new)
    files: list[Path] = []
    ids: list[str] = []
    for key, decided in new.items():
        file = stored.get(key) or _file(one.image for one in decided)
        if file is None:
            learned.missing_images += len(decided)
            continue
        of_row[len(split) + len(files)] = decided
        files.append(file)
        ids.append(key)
    learned.new_images = len(files)
    if not files:
        return split
    frame = pd.concat([split.frame, pd.DataFrame({ID: ids})], ignore_index=True).fillna("")
    return Split(split.name, frame, [*split.files, *files], vocabulary.encode(frame), split.missing)


def _file(names: Iterable[str]) -> Path | None:
    for name in names:
        try:
            if Path(name).is_file():
                return Path(name)
        except (OSError, ValueError):  # a URL, or a name that cannot be one
            continue
    return None
