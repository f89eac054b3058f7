"""The number of images per batch."""

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from eufcc_cli.core.model.converted_model import Processor

log = logging.getLogger("eufcc")

STEADY = 16
"""From this size on, a CPU computes an image's scores the same in every batch, to the last bit.

Below it, matrix products take other paths, which differ by some 1e-6 (seen with 1 to 8 threads).
"""

_FIRST = {"cpu": 16, "cuda": 32, "mps": 16}
_MOST = {"cpu": 128, "cuda": 512, "mps": 128}
_WORTH_IT = 1.05  # a doubled batch has to be this much faster, image by image
_SHORT = 0.01  # seconds: a batch that takes less is doubled anyway, for all that is done once per batch


class BatchSize:
    """As many as given; for None, doubled until memory or speed sets a limit.

    >>> import torch
    >>> size = BatchSize(torch.device("cpu"), None)
    >>> for _ in range(2):
    ...     size.measured(16, seconds=1.0)  # the first batch of a size only warms up
    >>> size.now
    32
    >>> for _ in range(2):
    ...     size.measured(32, seconds=2.0)
    >>> size.now
    16
    """

    def __init__(self, device: "torch.device | Processor", fixed: int | None) -> None:
        self.now = fixed or _FIRST.get(device.type, 8)
        self.most = fixed or max(2 * self.now, _MOST.get(device.type, 64))
        self._growing = fixed is None
        self._measured = 0
        self._speed = 0.0

    def limit(self, fits: int) -> None:
        """Note that the memory holds so many images at once."""
        if fits < self.most:
            self.now, self.most = min(self.now, fits), fits
            log.warning("%d images at once are what fits into the memory that is free", fits)

    def measured(self, images: int, seconds: float) -> None:
        """Note the time that a batch of so many images took."""
        if not self._growing or images < self.now:
            return
        self._measured += 1
        if self._measured == 1:
            return
        speed = images / max(seconds, 1e-9)
        if speed < _WORTH_IT * self._speed and seconds > _SHORT:
            self.now //= 2
            self._growing = False
        elif 2 * self.now > self.most:
            self._growing = False
        else:
            self._speed, self._measured = speed, 0
            self.now *= 2
            return
        log.debug("batches of %d images", self.now)

    def too_large(self, images: int) -> None:
        """Note that a batch of so many images did not fit into memory."""
        self._growing = False
        self.now = self.most = max(1, min(self.now, images) // 2)
        log.warning(
            "%d images at once do not fit into the device's memory; continuing with %d", images, self.now
        )
