"""Run every benchmark of this folder, or those named: `python -m tests.benchmarks [trees download …]`."""

import importlib
import pkgutil
import sys

from tests import benchmarks

names = [module.name for module in pkgutil.iter_modules(benchmarks.__path__) if module.name != "__main__"]
chosen = sys.argv[1:] or names
del sys.argv[1:]  # a benchmark would take them for its own arguments
for name in chosen:
    print(f"\n== {name}", flush=True)
    importlib.import_module(f"tests.benchmarks.{name}").main()
