"""Settings of a training from a file: TOML, a finished run, or a recipe that comes with the package."""

import json
import tomllib
from pathlib import Path
from typing import Any

from eufcc_cli.core.errors import ModelError
from eufcc_cli.core.training.configuration.recipes import RECIPE, read_recipe


def read_settings(path: Path) -> dict[str, Any]:
    """The settings in a TOML file, of a run (its config.json or folder), or of `recipe:NAME/METHOD`."""
    if str(path).startswith(RECIPE):
        return read_recipe(path.as_posix())
    if path.is_dir():
        path = path / "config.json"
    read = json.loads if path.suffix == ".json" else tomllib.loads
    try:
        settings = read(path.read_text(encoding="utf-8"))
    except OSError as error:
        hint = "give a TOML file or a run's config.json"
        raise ModelError(f"`config` {path}: {error.strerror}", hint) from error
    except ValueError as error:
        hint = "write one setting a line: `name = value`"
        raise ModelError(f"`config` {path}: {error}", hint) from error
    if path.suffix == ".json" and isinstance(settings, dict):
        settings = settings.get("training", settings)
    if not isinstance(settings, dict):
        raise ModelError(f"`config` {path}: holds no settings", hint="give a run's config.json")
    return settings
