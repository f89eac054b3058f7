"""Option types that commands share, and options made from settings."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from eufcc_cli.console import with_options
from eufcc_cli.core.settings import Setting, setting_types, settings_of

_MACHINE, _CLIP = "Machine", "CLIP models"


def _machine(*names: str, **about: Any) -> Any:
    return typer.Option(*names, rich_help_panel=_MACHINE, **about)


def _clip(*names: str, **about: Any) -> Any:
    return typer.Option(*names, rich_help_panel=_CLIP, **about)


Model = Annotated[
    list[str] | None,
    typer.Option(
        metavar="RUN",
        help="A run's name, a model's folder or safetensors file, hf-hub:ORG/NAME, or clip:NAME (any "
        "open_clip model as it is). Several score together, as an ensemble.",
        show_default="the newest run",
    ),
]
Device = Annotated[str, _machine(help="auto, cpu, cuda, cuda:1, mps.")]
Precision = Annotated[str, _machine(help="auto, fp32, bf16, fp16.")]
Decoders = Annotated[
    int | None, _machine("--workers", min=1, help="Images decoded at once.", show_default="one per core")
]
Compile = Annotated[bool, _machine("--compile", help="Compile the network: minutes at first, then faster.")]
AllowPrivateHosts = Annotated[
    bool,
    typer.Option(
        "--allow-private-hosts",
        help="Connect to private and local addresses too, and through the environment's proxies.",
    ),
]
Photos = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="DIR",
        help="A folder where images are looked for by their ids or file names, in it or anywhere below it, "
        "beside data/images and images/ (repeatable). Photographs that were moved are found there again.",
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Replace what another command wrote there.")]

Weights = Annotated[
    Path | None,
    _clip(help="Weights for clip:NAME, in safetensors, instead of published ones."),
]
Prompts = Annotated[
    Path | None,
    _clip(
        help='Prompts: a TOML file with lines like materials = "an image of an object made of {tag}", or '
        "lists of such, which are averaged.",
        show_default="those of the training",
    ),
]
Phrase = Annotated[
    str | None,
    _clip(
        "--text",
        help="A tag in words: name, path, or parent (its name with its parent's).",
        show_default="that of the training",
    ),
]
Names = Annotated[
    str | None,
    _clip(
        metavar="LANGUAGE|FILE",
        help="What tags are called in texts: tags (themselves), a language such as fr, or a CSV file with "
        "columns tag,name.",
        show_default="English, where they have English names; that of the training",
    ),
]
AddTag = Annotated[
    list[str] | None,
    _clip(
        metavar="TERM",
        help="Score this tag, too, though no model was trained on it (repeatable; FACET:TERM for one facet).",
    ),
]


# --- Options made from settings -----------------------------------------------------------------------


def with_settings(config: type) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command's function, which takes `**settings`, an option for every setting of a dataclass."""

    def extend(command: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(command)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        types = setting_types(config)
        made = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=field.default,
                annotation=Annotated[types[name], _option(name, field.default, about)],
            )
            for name, (field, about) in settings_of(config).items()
        ]
        own = [p.replace(kind=p.KEYWORD_ONLY) for p in own]
        main = [p for p in made if p.annotation.__metadata__[0].rich_help_panel is None]
        rest = [p for p in made if p not in main]
        command.__signature__ = signature.replace(parameters=[*main, *own, *rest])  # type: ignore[attr-defined]
        return command

    return extend


def _option(name: str, default: Any, about: Setting) -> Any:
    option = option_of(name)
    spellings, listed = _Spellings(), len(about.choices) > 5
    text = f"{about.help} One of {', '.join(about.choices)}." if listed else about.help
    return typer.Option(
        # A switch that is off needs no other to turn it off.
        *([option] if default is False else []),
        help=with_options(text, spellings),
        rich_help_panel=about.panel,
        metavar=f"[{'|'.join(about.choices)}]" if about.choices and not listed else about.metavar,
        autocompletion=(lambda: list(about.choices)) if about.choices else None,
        show_default=with_options(about.default_text, spellings) if about.default_text else True,
    )


def option_of(setting: str) -> str:
    """A setting's name as an option.

    >>> option_of("batch_size")
    '--batch-size'
    """
    return "--" + setting.replace("_", "-")


class _Spellings(dict[str, str]):
    """Every name is an option's."""

    def __missing__(self, key: str) -> str:
        return option_of(key)

    def __contains__(self, key: object) -> bool:
        return True
