"""Plugins: Python modules that register methods, or backbones with timm.

A plugin is what the user names, or an installed package that has an entry point in the group `eufcc.methods`
(its name: the method's; its value: the module). What a model's folder says is never imported.
"""

import importlib
import importlib.util
import logging
import sys
from collections.abc import Iterable
from importlib.metadata import entry_points
from pathlib import Path

from eufcc_cli.core.errors import ModelError

log = logging.getLogger("eufcc")

ENTRY_POINTS = "eufcc.methods"


def load_plugins(names: Iterable[str]) -> None:
    """Import modules by name (installed, or in the current folder) or by the path of a .py file.

    Raises ModelError, naming the plugin, where one cannot be imported.
    """
    for name in names:
        try:
            _load(name)
        except ModelError:
            raise
        except Exception as error:  # foreign code may raise anything
            raise ModelError(
                f"`plugin` {name}: {type(error).__name__}: {error}",
                hint="give a module that Python can import, or the path of a .py file",
            ) from error


def _load(name: str) -> None:
    path = Path(name)
    if path.suffix != ".py":
        folder = str(Path.cwd())
        sys.path.insert(0, folder)
        try:
            importlib.import_module(name)
        finally:
            sys.path.remove(folder)
        return
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ModelError(f"`plugin` {name}: no such file", hint="give a module's name, or a .py file")
    if getattr(sys.modules.get(path.stem), "__file__", None) == str(path.resolve()):
        return
    module = importlib.util.module_from_spec(spec)
    module.__file__ = str(path.resolve())
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)


def load_installed_method(name: str) -> None:
    """Import the installed package, if there is one, whose entry point has the method's name."""
    for point in entry_points(group=ENTRY_POINTS, name=name):
        try:
            point.load()
        except Exception as error:
            raise ModelError(
                f"method {name}: {point.value} cannot be imported: {type(error).__name__}: {error}",
                hint="install that package again, or remove it",
            ) from error


def load_installed_methods() -> None:
    """Import all of them; one that cannot be imported is a warning."""
    for point in entry_points(group=ENTRY_POINTS):
        try:
            load_installed_method(point.name)
        except ModelError as error:
            log.warning("%s", error)


def plugin_of(module: str) -> str | None:
    """The plugin that a module belongs to, as a model's folder names it; None for eufcc's own and timm's."""
    return None if module.partition(".")[0] in ("eufcc_cli", "timm", "__main__") else module
