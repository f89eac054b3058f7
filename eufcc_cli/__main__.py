"""`python -m eufcc_cli`."""

from eufcc_cli.cli import main

main()
