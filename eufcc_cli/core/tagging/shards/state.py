"""How far a plan is: shards done, failed and left, and at which rate."""

import json
from collections import Counter
from dataclasses import dataclass

from eufcc_cli.core.errors import DataError
from eufcc_cli.core.tagging.shards.place import Place
from eufcc_cli.core.tagging.shards.plan import PLAN, Plan, read_plan


@dataclass(frozen=True)
class State:
    """What the notes in a folder add up to."""

    plan: Plan
    done: int
    """Shards."""
    failed: dict[int, str]
    """Shards that were tried and are not done, with the reason."""
    images: int
    """Images in the shards that are done."""
    reasons: dict[str, int]
    """Why images among them have no suggestions, and how many."""
    seconds: float
    """Of all processes together."""
    nodes: int

    @property
    def left(self) -> int:
        """Shards that are neither done nor failed."""
        return self.plan.shards - self.done - len(self.failed)

    @property
    def rate(self) -> float:
        """Images a second of one process, with reading and writing."""
        return self.images / self.seconds if self.seconds else 0.0


def state_of(place: Place) -> State:
    """Add up the notes in a folder; raises DataError where there is no plan."""
    plan = read_plan(place)
    if plan is None:
        raise DataError(
            f"`status` {place.address}: no {PLAN} there", hint="give the `output` of a job with `shard_size`"
        )
    notes = [json.loads(place.read(f"_done/{name}") or b"{}") for name in place.names("_done")]
    failed = [json.loads(place.read(f"_failed/{name}") or b"{}") for name in place.names("_failed")]
    reasons: Counter[str] = Counter()
    for note in notes:
        reasons.update(note["failed"])
    return State(
        plan,
        len(notes),
        {note["shard"]: note["problem"] for note in failed},
        sum(note["images"] for note in notes),
        dict(reasons.most_common()),
        sum(note["seconds"] for note in notes),
        len({note["node"] for note in notes}),
    )
