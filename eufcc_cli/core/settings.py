"""Settings as the fields of a dataclass, with type, default, help and bounds.

A field made by `setting` is checked by `check_settings`, and `commands/options.py` makes it an option of a
command. Messages name a setting in backquotes, `` `batch_size` ``; the command line shows that as
`--batch-size`, and `` `device=cpu` `` as `--device cpu`.
"""

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

from eufcc_cli.core.errors import ModelError, did_you_mean


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A setting's help, bounds and choices, beside its name, type and default."""

    help: str
    panel: str | None = None
    """The heading under which the command's help lists it."""
    choices: Collection[str] = ()
    above: float | None = None
    minimum: float | None = None
    below: float | None = None
    maximum: float | None = None
    methods: tuple[str, ...] = ()
    """The methods that the setting belongs to; empty: all."""
    vision_only: bool = False
    """Whether CLIP methods do not have it."""
    default_text: str | None = None
    """The default in words, if it depends on other settings."""
    metavar: str | None = None

    def problem(self, value: Any) -> str | None:
        """The problem with a value of the right type, None if there is none."""
        if value is None or isinstance(value, bool):
            return None
        if self.choices:
            return None if value in self.choices else "no such choice"
        if isinstance(value, str):
            return None
        # Written so that NaN, for which every comparison is false, never passes.
        holds = (
            (self.above is None or value > self.above)
            and (self.minimum is None or value >= self.minimum)
            and (self.below is None or value < self.below)
            and (self.maximum is None or value <= self.maximum)
            and value - value == 0
        )
        return None if holds else f"must {self._bounds()}"

    def _bounds(self) -> str:
        low, high = (
            x if x is not None else y for x, y in ((self.above, self.minimum), (self.below, self.maximum))
        )
        if low is not None and high is not None:
            left, right = "(["[self.above is None], ")]"[self.below is None]
            return f"lie in {left}{low:g}, {high:g}{right}"
        if low is not None:
            return (
                "not be negative"
                if self.minimum == 0
                else f"be {'above' if self.above is not None else 'at least'} {low:g}"
            )
        if high is not None:
            return f"be {'below' if self.below is not None else 'at most'} {high:g}"
        return "be a finite number"


@dataclass(frozen=True, kw_only=True)
class Declared:
    """A setting as its dataclass declares it."""

    name: str
    type: Any
    """bool, int, float or str, or one of them or None."""
    default: Any
    about: Setting


def setting(default: Any, help: str, **about: Any) -> Any:
    """A dataclass field that is a setting; `about` are the further fields of `Setting`."""
    return dataclasses.field(default=default, metadata={"setting": Setting(help=help, **about)})


def settings_of(config: Any) -> dict[str, Declared]:
    """The settings among the fields of a dataclass, or of an object of it, by name, in their order."""
    if not dataclasses.is_dataclass(config):
        return {}
    return {
        field.name: Declared(
            name=field.name,
            type=_type(config if isinstance(config, type) else type(config), field),
            default=field.default,
            about=field.metadata["setting"],
        )
        for field in dataclasses.fields(config)
        if "setting" in field.metadata
    }


def _type(config: type, field: "dataclasses.Field[Any]") -> Any:
    """The field's type, also if `from __future__ import annotations` has made it a string."""
    if not isinstance(field.type, str):
        return field.type
    owner = next(base for base in config.__mro__ if field.name in vars(base).get("__annotations__", {}))
    single = type("", (), {"__annotations__": {field.name: field.type}, "__module__": owner.__module__})
    return get_type_hints(single)[field.name]


def check_settings(config: Any) -> None:
    """Raise ModelError for the first setting of a dataclass with an invalid value."""
    for name, declared in settings_of(config).items():
        value, about = getattr(config, name), declared.about
        if problem := about.problem(value):
            hint = f"choose {', '.join(about.choices)}" if about.choices else None
            raise ModelError(f"`{name}` {value}: {problem}", hint=hint)


def typed_settings(values: Mapping[str, Any], known: Mapping[str, Declared], source: str) -> dict[str, Any]:
    """Settings from a mapping (a configuration file), keys with dashes or underscores.

    Raises ModelError, naming `source`, for an unknown key or a value of the wrong type.
    """
    settings = {}
    for key, value in values.items():
        name = key.replace("-", "_")
        if name not in known:
            hint = did_you_mean(name, known, "known: " + ", ".join(sorted(known)))
            raise ModelError(f"{source}: unknown setting {key}", hint=hint)
        settings[name] = _typed(value, known[name].type, f"{source}: {key}")
    return settings


def _typed(value: Any, annotation: Any, where: str) -> Any:
    shown = (
        getattr(annotation, "__name__", str(annotation)) if isinstance(annotation, type) else str(annotation)
    )
    allowed: Collection[str] = [part.strip() for part in shown.split("|")]
    if value is None and "None" in allowed:
        return None
    kind = type(value).__name__
    if kind in allowed:
        return value
    if kind == "int" and "float" in allowed:
        return float(value)
    raise ModelError(f"{where} = {value!r}: must be {shown}", hint="see `eufcc train --help`")
