"""Option types that commands share, and options made from settings."""

import functools
import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from eufcc_cli.console import with_options
from eufcc_cli.core.settings import Declared
from eufcc_cli.core.tagging.shards.choices import EngineName


def in_panel(panel: str) -> Callable[..., Any]:
    """`typer.Option` for options that the help lists under one heading."""
    return functools.partial(typer.Option, rich_help_panel=panel)


_machine, _clip, _shards = map(in_panel, ("Machine", "CLIP models", "Many machines"))

Model = Annotated[
    list[str] | None,
    typer.Option(
        metavar="RUN",
        help="A run's name, a model's folder or safetensors file, hf-hub:ORG/NAME, or clip:NAME (any "
        "published open_clip model). Several models form an ensemble.",
        show_default="the newest run",
    ),
]
Device = Annotated[str, _machine(help="auto, cpu, cuda, cuda:1, mps.")]
Precision = Annotated[str, _machine(help="auto, fp32, bf16, fp16.")]
Decoders = Annotated[
    int | None, _machine("--workers", min=1, help="Images decoded in parallel.", show_default="one per core")
]
Threads = Annotated[
    int | None,
    _machine(
        min=1,
        help="Threads that compute on the processor.",
        show_default="OMP_NUM_THREADS, else one per core",
    ),
]
Compile = Annotated[bool, _machine("--compile", help="Compile the network: minutes at first, then faster.")]
AllowPrivateHosts = Annotated[
    bool,
    typer.Option(
        "--allow-private-hosts",
        help="Connect to private and local IP addresses too, and through the environment's proxies.",
    ),
]
Photos = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="DIR",
        help="A folder in which to search for images by their ids or file names, subfolders included, "
        "besides data/images and images/ (repeatable). Photographs that were moved are found there too.",
    ),
]
_LANGUAGE = re.compile("[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")


def _language(code: str | None) -> str | None:
    if code is not None and not _LANGUAGE.fullmatch(code):
        raise typer.BadParameter(f"{code} is not a language tag like en or pt-BR")
    return code and code.lower()


Language = Annotated[
    str | None,
    typer.Option(
        metavar="CODE",
        callback=_language,
        help="Show the names of tags in this language: en, es, fr, de, ca, or one in labels/names.csv.",
        show_default="the tags themselves",
        rich_help_panel="Output",
    ),
]
ReplaceTables = Annotated[
    bool, typer.Option("--force", help="Replace tables that this command did not write.")
]
_splits, _servers = in_panel("Splits"), in_panel("Servers")
ValShare = Annotated[float, _splits("--val", help="Share of images for val.")]
TestShare = Annotated[
    float, _splits("--test", help="Share of images for test_id: providers that are in train too.")
]
OodShare = Annotated[
    float, _splits("--ood", help="Share of images for test_ood: providers that are not in train.")
]
Seed = Annotated[
    int, _splits("--seed", min=0, help="Random seed: the same table and seed give the same splits.")
]
Resplit = Annotated[
    bool, _splits("--resplit", help="Divide from the beginning: test images may move to train.")
]
EntityUrl = Annotated[str, _servers(envvar="EUFCC_ENTITY_URL", help="Europeana's Entity API.")]
SparqlUrl = Annotated[str, _servers(envvar="EUFCC_SPARQL_URL", help="AAT's SPARQL endpoint.")]
ENTITY_URL = "https://api.europeana.eu/entity"
SPARQL_URL = "http://vocab.getty.edu/sparql.json"
AatRoots = Annotated[
    Path | None,
    typer.Option(
        help="A JSON file with the top AAT concepts of each facet.", show_default="eufcc's own list"
    ),
]
Weights = Annotated[
    Path | None, _clip(help="Weights for clip:NAME, in safetensors, instead of published ones.")
]
LogitAdjustment = Annotated[
    float,
    typer.Option(
        metavar="TAU",
        min=0,
        help="Rank tags as if all had been equally frequent in training: 1 fully, 0 not at all. Rare tags "
        "rise, frequent ones fall; scores are then not calibrated.",
    ),
]
Prompts = Annotated[
    Path | None,
    _clip(
        help='A TOML file with prompts, such as materials = "an image of an object made of {tag}", or '
        "with lists of prompts, which are averaged.",
        show_default="those of the training",
    ),
]
Phrase = Annotated[
    str | None,
    _clip(
        "--text",
        help="The words for a tag: its name, its path, or parent (its name and its parent's).",
        show_default="that of the training",
    ),
]
Wordings = Annotated[
    list[str] | None,
    _clip(
        "--names",
        metavar="LANGUAGE|FILE",
        help="Names of tags in texts: tags (themselves), a language such as fr, or a CSV file with "
        "columns tag,name (repeatable: a row of results for each).",
        show_default="that of the training; for clip:NAME both English names and the tags",
    ),
]
Names = Annotated[
    str | None,
    typer.Option(
        metavar="LANGUAGE|FILE",
        help="Names of tags in results (unless --language) and in the texts that CLIP models read: "
        "tags (themselves), a language such as fr, or a CSV file with columns tag,name.",
        show_default="results: the tags; texts: those of the training, or English names where there are any",
        rich_help_panel="Output",
    ),
]
FlagTerms = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Mark the tags that a list calls contentious, with its note: CSV with columns "
        "term,language,note, or SKOS such as the DE-BIAS vocabulary. Nothing is hidden or replaced.",
        rich_help_panel="Output",
    ),
]
AddTag = Annotated[
    list[str] | None,
    _clip(
        metavar="TERM",
        help="Also score this tag, which was not in the training (repeatable; FACET:TERM for one facet).",
    ),
]


Plugin = Annotated[
    list[str] | None,
    typer.Option(
        metavar="MODULE",
        envvar="EUFCC_PLUGIN",
        help="Import a Python module, or .py file, that registers methods or timm backbones (repeatable).",
    ),
]


ShardSize = Annotated[
    int | None,
    _shards(
        metavar="N",
        min=1,
        help="Write results in parts of N images to the folder that --output names, which may be a URL such "
        "as s3://bucket/folder. Run it again to do the missing parts.",
        show_default=False,
    ),
]
Engine = Annotated[EngineName, _shards(help="Where shards are processed: in this process, or by Ray.")]
RayAddress = Annotated[
    str | None,
    _shards(metavar="ADDRESS", help="A Ray cluster: auto, or HOST:PORT.", show_default="this machine only"),
]
Shard = Annotated[
    str | None,
    _shards(
        metavar="I/N",
        help="Do every Nth shard, starting with shard I (from 0): for job arrays, such as Slurm's.",
        show_default="all",
    ),
]
ShardTimeout = Annotated[
    float, _shards(metavar="SECONDS", min=0.0, help="With ray: the time limit of a shard.")
]
MaxUnreadable = Annotated[
    float,
    _shards(
        min=0.0,
        max=1.0,
        help="Largest share of a shard's images that may fail to be fetched; a shard with more failures "
        "is not marked done.",
    ),
]
Status = Annotated[
    str | None,
    _shards(
        metavar="FOLDER",
        help="Print which shards in this folder are done, failed and left.",
        show_default=False,
    ),
]


# --- Options made from settings -----------------------------------------------------------------------


def with_settings(command: Callable[..., Any], settings: Mapping[str, Declared]) -> Callable[..., Any]:
    """A command's function, which takes `**settings`, with an option for every setting."""

    @functools.wraps(command)
    def extended(**given: Any) -> Any:
        return command(**given)

    own = [p for p in inspect.signature(command).parameters.values() if p.kind is not p.VAR_KEYWORD]
    own = [p.replace(kind=p.KEYWORD_ONLY) for p in own]
    made = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=declared.default,
            annotation=Annotated[declared.type, _option(declared)],
        )
        for name, declared in settings.items()
    ]
    main = [p for p in made if settings[p.name].about.panel is None]
    rest = [p for p in made if settings[p.name].about.panel is not None]
    extended.__signature__ = inspect.Signature([*main, *own, *rest])  # type: ignore[attr-defined]
    return extended


def _option(declared: Declared) -> Any:
    about, listed = declared.about, len(declared.about.choices) > 5
    text = f"{about.help} One of {', '.join(about.choices)}." if listed else about.help
    if about.methods and len(about.methods) < 3:
        text = f"{', '.join(about.methods)}: {text[:1].lower()}{text[1:]}"
    return typer.Option(
        # A switch that is off needs no other to turn it off.
        *([option_of(declared.name)] if declared.default is False else []),
        help=with_options(text, option_of),
        rich_help_panel=about.panel,
        metavar=f"[{'|'.join(about.choices)}]" if about.choices and not listed else about.metavar,
        autocompletion=(lambda: list(about.choices)) if about.choices else None,
        show_default=with_options(about.default_text, option_of) if about.default_text else True,
    )


def option_of(setting: str) -> str:
    """A setting's name as an option.

    >>> option_of("batch_size")
    '--batch-size'
    """
    return "--" + setting.replace("_", "-")
