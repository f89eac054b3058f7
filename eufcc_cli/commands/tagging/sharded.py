"""`eufcc tag --shard-size N`, `--shard I/N`, `--engine ray` and `--status`: what outgrows one machine."""

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from eufcc_cli import console
from eufcc_cli.commands.common import SOME_FAILED, ModelLoader
from eufcc_cli.core.errors import number_of
from eufcc_cli.core.files import Root
from eufcc_cli.core.tagging.shards.choices import PART_FORMATS, EngineName

if TYPE_CHECKING:
    from eufcc_cli.core.tagging.display import Display
    from eufcc_cli.core.tagging.records import Catalogue
    from eufcc_cli.core.tagging.selection import Choice
    from eufcc_cli.core.tagging.shards.shard import Done
    from eufcc_cli.core.tagging.shards.shard_inputs import Line
    from eufcc_cli.core.tagging.tagger import Tagger

_NOT_WITH = ("fill", "accept", "review", "decisions", "skip_existing", "compile_", "embed")


def check_sharded_usage(options: dict[str, Any]) -> None:
    """Reject, as wrong usage, what does not go with shards."""
    problem = None
    sharded = [name for name in ("shard", "ray_address") if options[name]]
    if options["engine"] is not EngineName.LOCAL:
        sharded.append("engine")
    if options["shard_size"] is None:
        if sharded:
            problem = f"--{sharded[0].replace('_', '-')} goes with --shard-size N"
    elif options["output"] is None:
        problem = "--shard-size needs --output FOLDER, or a URL like s3://bucket/folder"
    elif options["shard"] and options["engine"] is not EngineName.LOCAL:
        problem = "--shard is for job arrays, which have no engine: leave --engine out"
    elif options["ray_address"] and options["engine"] is not EngineName.RAY:
        problem = "--ray-address goes with --engine ray"
    elif options["format_"] not in (None, *PART_FORMATS):
        problem = f"--shard-size writes {' or '.join(PART_FORMATS)}, not {options['format_']}"
    elif with_it := next((name for name in _NOT_WITH if options[name] not in (None, False)), None):
        problem = f"--{with_it.strip('_').replace('_', '-')} does not go with --shard-size"
    elif "-" in (options["images"] or []):
        problem = "--shard-size lists the images again when it resumes: give a file of a table, not -"
    if problem:
        raise typer.BadParameter(problem)


def tag_sharded(
    options: dict[str, Any],
    root: Root,
    load: ModelLoader,
    tagger: "Tagger",
    choice: "Choice",
    display: "Display",
    catalogue: "Catalogue | None",
    batch_size: int | None,
) -> None:
    """Plan, tag the shards that are not done, and say what is left."""
    from eufcc_cli.core.tagging.shards.engines import left, run_on_ray
    from eufcc_cli.core.tagging.shards.place import Place
    from eufcc_cli.core.tagging.shards.plan import make_plan
    from eufcc_cli.core.tagging.shards.shard import Job, Shards, options_of

    part = _part(options["shard"])
    job = Job(
        output=_address(options["output"]),
        root=root.path.absolute(),
        models=tuple(load.names),
        choice=choice,
        display=display,
        device=load.device,
        precision=load.precision,
        weights=load.weights,
        texts=load.texts,
        logit_adjustment=load.logit_adjustment,
        plugins=tuple(options["plugin"] or ()),
        batch_size=batch_size,
        workers=options["workers"],
        allow_private_hosts=options["allow_private_hosts"],
        max_unreadable=options["max_unreadable"],
    )
    place = Place(job.output)
    plan = make_plan(
        place,
        _lines(options["images"] or [], catalogue),
        options["shard_size"],
        options["format_"] or PART_FORMATS[0],
        tagger.name,
        options_of(tagger, job),
        console.progress(),
    )
    numbers = left(plan, place, part)
    console.note(
        f"{number_of(plan.images, 'image')} in {number_of(plan.shards, 'shard')}; {len(numbers):,} to do here"
    )
    failed = images = undone = 0
    with ExitStack() as stack:
        if options["engine"] is EngineName.RAY:
            found = run_on_ray(job, plan, numbers, options["ray_address"], options["shard_timeout"])
        else:
            shards = stack.enter_context(Shards(job, plan, tagger, len(numbers) * plan.shard_size))
            found = map(shards.tag, numbers)
        bar = stack.enter_context(console.progress().task("tagging", len(numbers), "shards"))
        for done in found:
            images += done.images
            failed += sum(done.failed.values())
            undone += _note_problem(done)
            bar.advance(**({"failed": failed} if failed else {}))
    if not left(plan, place):
        place.clear_unfinished()
    sentence = f"{number_of(len(numbers) - undone, 'shard')} done with {number_of(images, 'image')}"
    sentence += f"; {number_of(failed, 'image')} could not be tagged" if failed else ""
    sentence += f"; {number_of(undone, 'shard')} failed: run it again to retry" if undone else ""
    console.note(sentence)
    if failed or undone:
        raise typer.Exit(SOME_FAILED)


def show_status(address: str) -> None:
    """Print what is done, failed and left of a plan, as a table."""
    from eufcc_cli.core.tagging.shards.place import Place
    from eufcc_cli.core.tagging.shards.state import state_of

    state = state_of(Place(_address(address)))
    console.line(f"shards    {state.plan.shards:,}: {state.done:,} done, {len(state.failed):,} failed, "
                 f"{state.left:,} left")  # fmt: skip
    console.line(f"images    {state.images:,} of {state.plan.images:,}")
    if state.images:
        machines = number_of(state.nodes, "machine")
        console.line(f"rate      {state.rate:.1f} images a second and process, on {machines}")
    for reason, number in state.reasons.items():
        console.line(f"no tags   {number:,}: {reason}")
    for number, problem in state.failed.items():
        console.line(f"failed    shard {number}: {problem}")


def _note_problem(done: "Done") -> bool:
    if done.problem is None:
        return False
    console.warn(f"shard {done.shard}: {done.problem}; not marked done")
    return True


def _lines(arguments: list[str], catalogue: "Catalogue | None") -> Iterator["Line"]:
    from eufcc_cli.core.tagging.shards.shard_inputs import line_of, plan_lines

    rows = () if catalogue is None else catalogue.inputs()
    return chain(
        plan_lines(arguments), (line_of(item, str(item.path) if item.path else None) for item in rows)
    )


def _part(asked: str | None) -> tuple[int, int]:
    """--shard I/N as numbers, from 0."""
    if asked is None:
        return 0, 1
    number, _, of = asked.partition("/")
    if not (number.isdecimal() and of.isdecimal() and int(number) < int(of)):
        raise typer.BadParameter(
            f"{asked}: give I/N with I from 0 to N - 1, as job arrays count", param_hint="--shard"
        )
    return int(number), int(of)


def _address(output: str | Path) -> str:
    """A URL as it is, though Path has made one slash of two; a folder from the root of the file system.

    >>> _address(Path("s3://bucket/tags"))
    's3://bucket/tags'
    """
    from eufcc_cli.core.tagging.inputs import is_url

    text = re.sub(r"^([A-Za-z][A-Za-z0-9+.-]+):/(?!/)", r"\1://", str(output))  # C:/ is none
    return text if is_url(text) else os.path.abspath(text)  # noqa: PTH100
