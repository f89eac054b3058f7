"""`eufcc`, and `python -m eufcc_cli`."""

import sys


def main() -> None:
    """The console script."""
    try:
        from eufcc_cli.core.machine import wait_idly

        wait_idly()
        from eufcc_cli.cli import app
    except KeyboardInterrupt:  # while the application is still being read
        sys.exit(130)
    app(prog_name="eufcc")


if __name__ == "__main__":
    main()
