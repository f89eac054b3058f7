"""Images as models want them: from a store of features, or decoded, each file once for all models."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np

from eufcc_cli.core.errors import ImageError
from eufcc_cli.core.files import sha256 as sha256_of_file
from eufcc_cli.core.images.decode import open_pixels
from eufcc_cli.core.model.features import FeatureStore
from eufcc_cli.core.model.preprocessing import Preprocessing

Source = Path | Callable[[], Path | bytes]
"""An image file, or a function that gets one (its bytes, say) and raises ImageError where it cannot."""


class Order(NamedTuple):
    """An image to decode: its file or bytes, and how it is wanted."""

    file: str | bytes
    """Not a Path, which takes much longer to send to a process."""
    wanted: tuple[Preprocessing, ...]


Seen = dict[Preprocessing, np.ndarray]
"""What networks see of an image: uint8 [crops, size, size, 3]."""

Decode = Callable[[list[Order]], list[Seen | str]]
"""Decodes images; the reason for one that cannot be."""


@dataclass(slots=True)
class ReadImage:
    """An image as it was read: its SHA-256 where a store needs it, and each model's input."""

    digest: bytes
    kept: list[np.ndarray | None]
    """For each model the features that its store has, float16 [views, width]."""
    seen: Seen
    """For the models without stored features."""


def read_images(
    models: Sequence[tuple[Preprocessing, FeatureStore | None]],
    sources: Sequence[Source],
    decode: Decode,
) -> list[ReadImage | str]:
    """Read images for the models that have no features of them; the reason for one that cannot be read."""
    read: list[ReadImage | str] = []
    orders: list[Order] = []
    places: list[int] = []
    for source in sources:
        try:
            file = source() if callable(source) else source
            digest = b""
            if any(store is not None for _, store in models):
                digest = sha256(file).digest() if isinstance(file, bytes) else _digest(file)
        except ImageError as error:
            read.append(str(error))
            continue
        kept = [None if store is None else store.get(digest) for _, store in models]
        # Each once, in order: the same in every process.
        wanted = tuple(dict.fromkeys(p for (p, _), has in zip(models, kept, strict=True) if has is None))
        if wanted:
            orders.append(Order(os.fspath(file), wanted))
            places.append(len(read))
        read.append(ReadImage(digest, kept, {}))
    for place, seen in zip(places, decode(orders) if orders else (), strict=True):
        image = read[place]
        assert isinstance(image, ReadImage)
        if isinstance(seen, str):
            read[place] = seen
        else:
            image.seen = seen
    return read


def decode_images(orders: list[Order]) -> list[Seen | str]:
    """Decode images here; the reason for one that cannot be."""
    return [_decoded(order) for order in orders]


def _decoded(order: Order) -> Seen | str:
    try:
        return {p: p.seen(open_pixels(order.file, short_side=p.decoded)) for p in order.wanted}
    except ImageError as error:
        return str(error)
    except MemoryError:
        return "too many pixels for this machine's memory"


def _digest(file: Path) -> bytes:
    try:
        return bytes.fromhex(sha256_of_file(file))
    except OSError as error:
        raise ImageError(f"cannot read: {error.strerror or error}") from error
