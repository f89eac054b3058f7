"""Ctrl-C and SIGTERM as a request to stop, which the training follows once its state is complete."""

import signal
from types import FrameType
from typing import Any


class Interruption:
    """Inside `with`, the first SIGINT or SIGTERM only sets `requested`; a second one ends at once.

    Outside the main thread signals are not handled here, and `requested` stays False.
    """

    requested = False

    def __enter__(self) -> "Interruption":
        self._before: dict[int, Any] = {}
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._request)
        except ValueError:  # not in the main thread
            self._before = {}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _request(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
