"""Settings as the fields of a dataclass: type, default, help and bounds stand once, in the field.

A field made by `setting` is checked by `check_settings`, and `commands/options.py` makes it an option of a
command. Messages name a setting in backquotes, `` `batch_size` ``; the command line shows that as
`--batch-size`, and `` `device=cpu` `` as `--device cpu`.
"""

import dataclasses
import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

from eufcc_cli.core.errors import ModelError


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What is known of a setting beside its name, type and default."""

    help: str
    panel: str | None = None
    """The heading under which the command's help lists it."""
    choices: tuple[str, ...] = ()
    above: float | None = None
    minimum: float | None = None
    below: float | None = None
    maximum: float | None = None
    methods: tuple[str, ...] = ()
    """The methods that take it; all where empty."""
    default_text: str | None = None
    """The default in words, where it depends on other settings."""
    metavar: str | None = None

    def problem(self, value: Any) -> str | None:
        """What is wrong with a value of the right type, None if nothing is."""
        if value is None or isinstance(value, bool):
            return None
        if self.choices:
            return None if value in self.choices else "no such choice"
        if isinstance(value, str):
            return None
        # Written so that NaN, of which every comparison is false, never passes.
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


def setting(default: Any, help: str, **about: Any) -> Any:
    """A dataclass field that is a setting; `about` are the further fields of `Setting`."""
    return dataclasses.field(default=default, metadata={"setting": Setting(help=help, **about)})


def settings_of(config: Any) -> Mapping[str, tuple[dataclasses.Field[Any], Setting]]:
    """The settings among the fields of a dataclass (or an object of it), by name, in their order."""
    return {
        field.name: (field, field.metadata["setting"])
        for field in dataclasses.fields(config)
        if "setting" in field.metadata
    }


def setting_types(config: type) -> dict[str, Any]:
    """The types of a dataclass's settings: bool, int, float or str, or one of them or None."""
    hints = get_type_hints(config)
    return {name: hints[name] for name in settings_of(config)}


def check_settings(config: Any, method: str) -> None:
    """Raise ModelError for the first setting whose value cannot work, or that `method` does not take."""
    for name, (field, about) in settings_of(config).items():
        value = getattr(config, name)
        if problem := about.problem(value):
            hint = f"choose {', '.join(about.choices)}" if about.choices else None
            raise ModelError(f"`{name}` {value}: {problem}", hint=hint)
        if about.methods and method not in about.methods and value != field.default:
            raise ModelError(
                f"`{name}`: not an option of {method}", hint=f"it is one of {', '.join(about.methods)}"
            )


def typed_settings(values: Mapping[str, Any], types: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Settings from a mapping (a configuration file), keys with dashes or underscores.

    Raises ModelError, naming `source`, for an unknown key or a value of the wrong type.
    """
    settings = {}
    for key, value in values.items():
        name = key.replace("-", "_")
        if name not in types:
            near = difflib.get_close_matches(name, types, n=3)
            hint = f"did you mean {', '.join(near)}?" if near else "known: " + ", ".join(sorted(types))
            raise ModelError(f"{source}: unknown setting {key}", hint=hint)
        settings[name] = _typed(value, types[name], f"{source}: {key}")
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
