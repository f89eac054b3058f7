"""The memory of earlier divisions: no image ever moves out of a test split.

data/test_images.csv lists every image that was ever in test_id or test_ood, data/held_out.txt the providers
of test_ood, one per line.
"""

import csv
import difflib
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd

from eufcc_cli.core.dataset import provenance
from eufcc_cli.core.errors import DataError
from eufcc_cli.core.files import SPLITS, Root, write_text
from eufcc_cli.core.taxonomy.annotations import ID, PROVIDER, factorize, read_table, texts_of
from eufcc_cli.core.taxonomy.csv_blocks import csv_blocks
from eufcc_cli.core.taxonomy.spelling import fold

RECORD = "record"
"""The column with the record of an image, for records with several images."""
TEST_SPLITS = ("test_id", "test_ood")
_COLUMNS = ["id", "record", "split"]
_NEAR = 0.85


@dataclass
class SplitMemory:
    """Images and records that were in a test split, the last split of the others, and providers held out."""

    tests: dict[str, str] = field(default_factory=dict)
    """{image: test_id or test_ood}."""
    test_records: dict[str, str] = field(default_factory=dict)
    """{record: test_id or test_ood}."""
    _record_of: dict[str, str] = field(default_factory=dict)
    others: dict[str, str] = field(default_factory=dict)
    """{image: train or val}."""
    held_out: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, root: Root, mine: Mapping[str, object]) -> Self:
        """What is remembered in a root, by these files and by its tables; the providers of test_ood are held
        out where an earlier division wrote it (by its provenance, `mine`). DataError for a damaged list."""
        memory = cls()
        if (path := list_of_tests(root)).is_file():
            try:
                rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
                memory._add_tests(*([row[name] for row in rows] for name in _COLUMNS))
            except (KeyError, TypeError, UnicodeDecodeError, csv.Error) as error:
                raise DataError(
                    f"{path}: not a list of test images",
                    hint="restore it: it keeps test images from training",
                ) from error
        if (path := held_out_file(root)).is_file():
            lines = map(str.strip, path.read_text(encoding="utf-8").splitlines())
            memory.held_out = [line for line in lines if line and not line.startswith("#")]
        for split in root.splits():
            table = root.table(split)
            ours = memory.tests or provenance.wrote(root, table, **mine)
            try:
                memory._add_table(split, read_table(table), providers=bool(ours))
            except DataError:  # a user's own, which is not replaced without `force`
                continue
        return memory

    def _add_tests(self, images: list[str], records: list[str], splits: list[str]) -> None:
        """Remember test images; the first entry for an image counts."""
        of = [record or image for image, record in zip(images, records, strict=True)][::-1]
        images, splits = images[::-1], splits[::-1]
        self.tests = dict(zip(images, splits, strict=True)) | self.tests
        self.test_records = dict(zip(of, splits, strict=True)) | self.test_records
        self._record_of = dict(zip(images, of, strict=True)) | self._record_of

    def _add_table(self, split: str, table: pd.DataFrame, *, providers: bool = True) -> None:
        records = table[RECORD] if RECORD in table else table[ID]
        images = texts_of(table[ID])
        if split in TEST_SPLITS:
            self._add_tests(images, texts_of(records), [split] * len(images))
        else:
            self.others |= dict.fromkeys(images, split)
        if split == "test_ood" and providers and PROVIDER in table:
            known = set(map(fold, self.held_out))
            self.held_out += sorted(
                name for name in factorize(table[PROVIDER])[1] if name.strip() and fold(name) not in known
            )

    def place(self, table: pd.DataFrame) -> np.ndarray:
        """[N] int: the number in SPLITS of the split that each row has to stay in; -1: of train or val."""
        held = set(map(fold, self.held_out))
        codes, names = factorize(table[PROVIDER])
        outer = np.array([bool(name.strip()) and fold(name) in held for name in names], dtype=bool)[codes]
        places = np.full(len(table), -1, dtype=np.int8)
        if not (self.tests or self.others or outer.any()):
            return places
        records = texts_of(table[RECORD] if RECORD in table else table[ID])
        for row, (image, record) in enumerate(zip(texts_of(table[ID]), records, strict=True)):
            known = self.tests.get(image) or self.test_records.get(record)
            known = known or ("test_ood" if outer[row] else self.others.get(image))
            if known:
                places[row] = SPLITS.index(known)
        return places

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

    def remember(self, root: Root, parts: Mapping[str, pd.DataFrame]) -> None:
        """Add the test splits of a division with their providers, and write both files."""
        for split, part in parts.items():
            self._add_table(split, part)
        images = sorted(self.tests)
        of_each = (images, map(self._record_of.__getitem__, images), map(self.tests.__getitem__, images))
        columns = (pd.array(list(texts), dtype="str") for texts in of_each)
        frame = pd.DataFrame(dict(zip(_COLUMNS, columns, strict=True)))
        write_text(list_of_tests(root), b"".join(csv_blocks(frame)).decode())
        if self.held_out:
            lines = [
                "# Providers held out for test_ood: their images are not used for training.",
                *self.held_out,
            ]
            write_text(held_out_file(root), "\n".join(lines) + "\n")


def _digits(text: str) -> str:
    return "".join(filter(str.isdigit, text))


def list_of_tests(root: Root) -> Path:
    """The path of the list of all images that were ever in a test split."""
    return root.data / "test_images.csv"


def held_out_file(root: Root) -> Path:
    """The path of the list of providers held out for test_ood."""
    return root.data / "held_out.txt"
