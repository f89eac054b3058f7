"""The plan of a job in shards: what is tagged, by which model, with which options, in how many parts."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from eufcc_cli.core.errors import DataError, EufccError
from eufcc_cli.core.progress import SILENT, Progress
from eufcc_cli.core.tagging.shards.place import Place
from eufcc_cli.core.tagging.shards.shard_inputs import Line, to_bytes

PLAN = "_plan.json"
_SCHEMA = 1


def inputs_name(number: int) -> str:
    return f"_inputs/part-{number:05}.jsonl"


def done_name(number: int) -> str:
    return f"_done/{number:05}.json"


def failed_name(number: int) -> str:
    return f"_failed/{number:05}.json"


def tries_name(number: int) -> str:
    return f"_tries/{number:05}"


@dataclass(frozen=True)
class Plan:
    """What a folder of shards holds, or will hold; shard i has the images from i * shard_size on."""

    images: int
    shard_size: int
    inputs: str
    """SHA-256 over the lines of all images."""
    form: str
    """jsonl or parquet."""
    model: str
    options: dict[str, Any]
    """What the suggestions depend on, besides the images: digests, precision, calibration, choice."""
    schema: int = _SCHEMA

    @property
    def shards(self) -> int:
        return -(-self.images // self.shard_size)

    def images_in(self, number: int) -> int:
        """How many images a shard has."""
        return min(self.shard_size, self.images - number * self.shard_size)

    def part_name(self, number: int) -> str:
        return f"part-{number:05}.{self.form}"

    def to_bytes(self) -> bytes:
        content = {**asdict(self), "shards": self.shards}
        return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def read_plan(place: Place) -> Plan | None:
    """The plan of a folder, None where there is none; raises DataError where it is cut or another's."""
    content = place.read(PLAN)
    if content is None:
        return None
    try:
        fields = json.loads(content)
        fields.pop("shards")
        plan = Plan(**fields)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(
            f"{place.address}/{PLAN}: not a plan of eufcc: {error}",
            hint="choose another `output`, or delete that folder and run it again",
        ) from error
    if plan.schema != _SCHEMA:
        raise DataError(
            f"{place.address}/{PLAN}: of schema {plan.schema}, not {_SCHEMA}", hint="update eufcc"
        )
    return plan


def make_plan(
    place: Place,
    lines: Iterable[Line],
    shard_size: int,
    form: str,
    model: str,
    options: dict[str, Any],
    progress: Progress = SILENT,
) -> Plan:
    """Plan a job, or check that what a folder holds was planned the same way.

    The images of every shard are written down before the plan, which comes last. Raises EufccError, naming
    the first difference, where the folder holds another plan.
    """
    options = json.loads(json.dumps(options))  # as they will be read
    there = read_plan(place)
    digest = hashlib.sha256()
    images = 0
    with progress.task("planning", None) as bar:
        listed = iter(lines)
        for number, some in enumerate(iter(lambda: list(islice(listed, shard_size)), [])):
            content = to_bytes(some)
            digest.update(content)
            images += len(some)
            if there is None:
                place.write(inputs_name(number), content)
            bar.advance(len(some))
    if not images:
        raise EufccError("no image there: nothing to plan", hint="name files, folders or URLs")
    plan = Plan(images, shard_size, digest.hexdigest(), form, model, options)
    if there is None:
        place.write(PLAN, plan.to_bytes())
    elif difference := next(_differences(asdict(there), asdict(plan)), None):
        raise EufccError(
            f"`output` {place.address} holds another plan: {difference}",
            hint="choose another `output`, or give the options and images that it was planned with",
        )
    return plan


def _differences(there: dict[str, Any], asked: dict[str, Any], above: str = "") -> Iterator[str]:
    for key in ["shard_size", "form", "model", *sorted({*there, *asked} - {"shard_size", "form", "model"})]:
        if key not in there and key not in asked:
            continue
        old, new = there.get(key), asked.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _differences(old, new, f"{above}{key}.")
        elif old != new:
            yield f"{above}{key} is {_short(old)} there, and {_short(new)} now"


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) < 60 else f"{text[:57]}…"
