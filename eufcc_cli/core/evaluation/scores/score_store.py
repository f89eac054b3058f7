"""Scores stored for the next evaluation, by model and by image content."""

import hashlib
import json
import logging
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import PIL
import torch

from eufcc_cli import __version__
from eufcc_cli.core.files import Root
from eufcc_cli.core.model.tagging_model import TaggingModel

log = logging.getLogger("eufcc")


class ScoreStore:
    """The scores of one model at one precision, by the SHA-256 of the image file.

    A SQLite file that may be deleted at any time. If it cannot be used (damaged,
    read-only), there is one warning, and images are scored again; nothing in it is trusted beyond its length.
    """

    def __init__(self, path: Path, tags: Mapping[str, int]) -> None:
        self.path = path
        self._tags = dict(tags)
        self._bytes = 4 * sum(tags.values())
        self._connection: sqlite3.Connection | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS scores (image BLOB PRIMARY KEY, scores BLOB NOT NULL)"
            )
        except (sqlite3.Error, OSError) as error:
            self._disable(error)

    @classmethod
    def of(cls, root: Root, model: TaggingModel) -> "ScoreStore":
        """The store of a model below ROOT/runs/.scores, named after all that determines its scores."""
        decides = [model.digest, model.device.type, str(model.precision), __version__, PIL.__version__]
        decides.append(torch.__version__)
        name = hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:32]
        tags = {facet: len(vocabulary) for facet, vocabulary in model.vocabulary.facets.items()}
        return cls(root.runs / ".scores" / f"{name}.sqlite", tags)

    def get(self, images: Iterable[bytes]) -> Iterator[dict[str, np.ndarray] | None]:
        """For every image digest its scores {facet: float32 [n]}, or None where they are not stored."""
        for image in images:
            yield self._split(self._find(image))

    def put(self, scored: Iterable[tuple[bytes, dict[str, np.ndarray]]]) -> None:
        """Store some images' scores, all or none of them."""
        if self._connection is None:
            return
        rows = ((image, b"".join(scores[f].tobytes() for f in self._tags)) for image, scores in scored)
        try:
            with self._connection:
                self._connection.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?)", rows)
        except sqlite3.Error as error:
            self._disable(error)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _find(self, image: bytes) -> bytes | None:
        if self._connection is None:
            return None
        try:
            row = self._connection.execute("SELECT scores FROM scores WHERE image = ?", (image,)).fetchone()
        except sqlite3.Error as error:
            self._disable(error)
            return None
        return row[0] if row and isinstance(row[0], bytes) and len(row[0]) == self._bytes else None

    def _split(self, content: bytes | None) -> dict[str, np.ndarray] | None:
        if content is None:
            return None
        values = np.frombuffer(content, dtype=np.float32)
        parts = np.split(values, np.cumsum(list(self._tags.values()))[:-1])
        return dict(zip(self._tags, parts, strict=True))

    def _disable(self, error: Exception) -> None:
        log.warning("%s: scores are not stored (%s)", self.path, error)
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
        self._connection = None
