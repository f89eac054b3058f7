"""`eufcc`, and `python -m eufcc_cli`."""

import atexit
import contextlib
import gc
import os
import sys


def main() -> None:
    """The console script."""
    # What libraries make at import stays: to search it for garbage takes a seventh of the time.
    gc.set_threshold(10_000)
    codes: list[int] = []
    atexit.register(_leave, codes)  # registered first, called last
    try:
        from eufcc_cli.core.machine import wait_idly

        wait_idly()
        from eufcc_cli.cli import app

        app(prog_name="eufcc")
    except KeyboardInterrupt:  # while the application is still being read
        sys.exit(130)
    except SystemExit as end:
        if isinstance(end.code, int):
            codes.append(end.code)
        raise


def _leave(codes: list[int]) -> None:
    """End without taking apart every imported module, a fifth of the time that PyTorch needs to load.

    A stream that cannot be written is left to Python, which says so.
    """
    if codes:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(codes[0])


if __name__ == "__main__":
    main()
