"""The memory of earlier divisions: no image ever moves out of a test split.

data/test_images.csv lists every image that was ever in test_id or test_ood, with the digest of its file where
that is known; data/held_out.txt the providers of test_ood, one per line.
"""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd

from eufcc_cli.core.dataset import provenance
from eufcc_cli.core.errors import DataError
from eufcc_cli.core.files import SPLITS, Root, write_text
from eufcc_cli.core.taxonomy.spelling import fold
from eufcc_cli.core.taxonomy.tables.annotation_files import read_table
from eufcc_cli.core.taxonomy.tables.annotations import ID, PROVIDER, RECORD, factorize
from eufcc_cli.core.taxonomy.tables.csv_blocks import csv_blocks
from eufcc_cli.core.taxonomy.tables.text_columns import first_places

TEST_SPLITS = ("test_id", "test_ood")
_COLUMNS = ["id", "record", "split"]
_DIGEST = "sha256"
_NEAR = 0.85


def _nothing() -> pd.DataFrame:
    return pd.DataFrame(columns=[*_COLUMNS, _DIGEST], dtype="str")


@dataclass
class SplitMemory:
    """Images that were in a test split, the last split of the others, and providers held out.

    The tables have the columns id, record and split, that of tests also sha256; of several rows with one of
    these the first counts. digests: those of images' files, {id: SHA-256}, by which a test image is known
    under another id.
    """

    tests: pd.DataFrame = field(default_factory=_nothing)
    others: pd.DataFrame = field(default_factory=_nothing)
    held_out: list[str] = field(default_factory=list)
    digests: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, root: Root, mine: Mapping[str, object], digests: Mapping[str, str]) -> Self:
        """What is remembered in a root, by these files and by its tables; the providers of test_ood are held
        out where an earlier division wrote it (by its provenance, `mine`). DataError for a damaged list."""
        memory = cls(read_tests(root), digests=digests)
        if (path := held_out_file(root)).is_file():
            lines = map(str.strip, path.read_text(encoding="utf-8").splitlines())
            memory.held_out = [line for line in lines if line and not line.startswith("#")]
        for split in root.splits():
            try:
                table = read_table(root.table(split), [ID, RECORD, PROVIDER])
            except DataError:  # a user's own, which is not replaced without `force`
                continue
            if split == "test_ood" and (
                len(memory.tests) or provenance.wrote(root, root.table(split), **mine)
            ):
                memory._hold_out(table[PROVIDER])
            memory._add(split, table)
        return memory

    def _add(self, split: str, table: pd.DataFrame) -> None:
        images = table[ID]
        records = table[RECORD].where(table[RECORD] != "", images) if RECORD in table else images
        new = pd.DataFrame(dict(zip(_COLUMNS, (images, records, split), strict=True)))
        if split in TEST_SPLITS:
            new[_DIGEST] = self._digests_of(images) if self.digests else ""
            self.tests = pd.concat([self.tests, new], ignore_index=True)
        else:
            self.others = pd.concat([new, self.others[_COLUMNS]], ignore_index=True)

    def _hold_out(self, providers: pd.Series) -> None:
        known = set(map(fold, self.held_out))
        self.held_out += sorted(
            name for name in factorize(providers)[1] if name.strip() and fold(name) not in known
        )

    def place(self, table: pd.DataFrame) -> np.ndarray:
        """[N] int: the number in SPLITS of the split that each row has to stay in; -1: of train or val."""
        held = set(map(fold, self.held_out))
        codes, names = factorize(table[PROVIDER])
        outer = np.array([bool(name.strip()) and fold(name) in held for name in names], dtype=bool)[codes]
        records = table[RECORD] if RECORD in table else table[ID]
        places = _splits_of(table[ID], "id", self.others)
        places[outer] = SPLITS.index("test_ood")
        ways = [(records, "record"), (table[ID], "id")]
        if records.equals(table[ID]) and self.tests["record"].equals(self.tests["id"]):
            del ways[0]  # most records have one image
        if self.digests and (self.tests[_DIGEST] != "").any():
            ways.insert(0, (self._digests_of(table[ID]), _DIGEST))
        for column, name in ways:
            tested = _splits_of(column, name, self.tests)
            places = np.where((tested >= 0) & (column != ""), tested, places)
        return places

    def _digests_of(self, images: pd.Series) -> pd.Series:
        """[N] str: the digests of some images, "" where they are not known."""
        return images.map(self.digests).fillna("").astype("str")

    def near(self, providers: Iterable[str]) -> list[tuple[str, str]]:
        """Providers whose names resemble one held out but differ: (provider, the one held out)."""
        held = {fold(name): name for name in self.held_out}
        found = []
        for name in sorted(set(providers)) if held else ():
            key = fold(name)
            if name.strip() and key not in held:
                # Names that differ in a number are different: Museum 1 and Museum 2.
                alike = [other for other in held if _digits(other) == _digits(key)]
                found += [(name, held[near]) for near in difflib.get_close_matches(key, alike, 1, _NEAR)]
        return found

    def remember(self, root: Root, table: pd.DataFrame, rows: Mapping[str, np.ndarray]) -> None:
        """Add the test splits of a divided table, the rows of each, with their providers, and write both
        files."""
        some = table[[name for name in (ID, RECORD, PROVIDER) if name in table]]
        for split in TEST_SPLITS:
            if split in rows:
                self._add(split, some.iloc[rows[split]])
        if "test_ood" in rows:
            self._hold_out(some[PROVIDER].iloc[rows["test_ood"]])
        tests = self.tests.drop_duplicates("id").sort_values("id")
        if self.digests:
            now = self._digests_of(tests["id"])
            tests[_DIGEST] = now.where(now != "", tests[_DIGEST])
        write_text(list_of_tests(root), b"".join(csv_blocks(tests)).decode())
        if self.held_out:
            lines = [
                "# Providers held out for test_ood: their images are not used for training.",
                *self.held_out,
            ]
            write_text(held_out_file(root), "\n".join(lines) + "\n")


def _splits_of(column: pd.Series, name: str, remembered: pd.DataFrame) -> np.ndarray:
    """[N] int: the number of the split of the first row with this id, or record; -1: none."""
    codes, splits = factorize(remembered["split"])
    numbers = np.array([*map(SPLITS.index, splits), -1], dtype=np.int8)
    return numbers[np.append(codes, len(splits))[first_places(column, remembered[name])]]


def _digits(text: str) -> str:
    return "".join(filter(str.isdigit, text))


def read_tests(root: Root) -> pd.DataFrame:
    """All images that were ever in a test split: id, record, split and sha256 ("": not known).

    Raises DataError for a damaged list.
    """
    path = list_of_tests(root)
    if not path.is_file():
        return _nothing()
    try:
        tests = pd.read_csv(path, dtype="str", keep_default_na=False)
        tests = tests.assign(**{_DIGEST: tests.get(_DIGEST, "")})[[*_COLUMNS, _DIGEST]]
        if not tests["split"].isin(TEST_SPLITS).all():
            raise ValueError
    except (KeyError, ValueError) as error:
        raise DataError(
            f"{path}: not a list of test images", hint="restore it: it keeps test images from training"
        ) from error
    return tests


def list_of_tests(root: Root) -> Path:
    """The path of the list of all images that were ever in a test split."""
    return root.data / "test_images.csv"


def held_out_file(root: Root) -> Path:
    """The path of the list of providers held out for test_ood."""
    return root.data / "held_out.txt"
