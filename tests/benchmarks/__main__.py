"""Run every benchmark of this folder, or those named: `python -m tests.benchmarks [trees download …]`."""

import importlib
import pkgutil
import sys

from tests import benchmarks

names = [module.name for module in pkgutil.iter_modules(benchmarks.__path__) if module.name != "__main__"]
for name in sys.argv[1:] or names:
    print(f"\n== {name}", flush=True)
    importlib.import_module(f"tests.benchmarks.{name}").main()
