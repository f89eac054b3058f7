"""Ctrl-C and SIGTERM as a wish that is met at the next good moment."""

import signal
from types import FrameType, TracebackType
from typing import Any


class Interruption:
    """Inside `with`, the first SIGINT or SIGTERM only sets `asked`; a second one ends at once.

    Outside the main thread, whoever runs it there deals with signals, and `asked` stays False.
    """

    asked = False

    def __enter__(self) -> "Interruption":
        self._before: dict[int, Any] = {}
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._ask)
        except ValueError:  # not in the main thread
            self._before = {}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
