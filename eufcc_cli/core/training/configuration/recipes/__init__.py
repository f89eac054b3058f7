"""Settings of trainings that are worth repeating, by name: `recipe:eufcc-340k/softmax`."""

import tomllib
from importlib.resources import files
from typing import Any

from eufcc_cli.core.errors import ModelError

RECIPE = "recipe:"
"""The beginning of a recipe's name where a configuration is expected."""
_SECTIONS = ("common", "vision", "clip")


def recipe_names() -> list[str]:
    """Every recipe as COLLECTION/METHOD.

    >>> recipe_names()[:2]
    ['eufcc-340k/multilabel', 'eufcc-340k/softmax']
    """
    return [
        f"{path.name.removesuffix('.toml')}/{method}"
        for path in sorted(files(__package__).iterdir(), key=lambda path: path.name)
        if path.name.endswith(".toml")
        for method in tomllib.loads(path.read_text(encoding="utf-8"))
        if method not in _SECTIONS
    ]


def read_recipe(spec: str) -> dict[str, Any]:
    """The settings of `recipe:COLLECTION/METHOD`; ModelError, naming the others, for an unknown one.

    >>> read_recipe("recipe:eufcc-340k/softmax")["method"]
    'softmax'
    """
    name = spec.removeprefix(RECIPE)
    if name not in recipe_names():
        raise ModelError(f"`config` {spec}: no such recipe", hint=f"there are {', '.join(recipe_names())}")
    collection, method = name.split("/")
    content = tomllib.loads((files(__package__) / f"{collection}.toml").read_text(encoding="utf-8"))
    own = dict(content[method])
    return {**content["common"], **content[own.pop("kind")], "method": method, **own}
