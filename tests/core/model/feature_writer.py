"""A feature store of pretended features, for tests and for the processes that they kill."""

import hashlib
import itertools
import sys
from pathlib import Path

import numpy as np

from eufcc_cli.core.model import features
from eufcc_cli.core.model.features import FeatureStore

VIEWS, WIDTH = 2, 24


def image(number: int) -> bytes:
    return hashlib.sha256(b"%d" % number).digest()


def seen(number: int) -> np.ndarray:
    """What the pretended backbone saw in an image."""
    return np.random.default_rng(number).normal(size=(VIEWS, WIDTH)).astype(np.float32)


def open_store(folder: Path, limit: float = 1.0) -> FeatureStore:
    return FeatureStore(folder, VIEWS, WIDTH, limit=limit)


if __name__ == "__main__":
    features._PART = 3
    store = open_store(Path(sys.argv[1]))
    print("ready", flush=True)
    for number in itertools.count(int(sys.argv[2])):
        if image(number) not in store:
            store.add(image(number), seen(number))
