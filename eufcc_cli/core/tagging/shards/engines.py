"""Who works on the shards of a plan: this process, one of a job array, or a Ray cluster."""

import logging
import socket
import time
from collections.abc import Iterator, Sequence
from typing import Any

from eufcc_cli.core.errors import CollectError, EufccError
from eufcc_cli.core.machine import cores
from eufcc_cli.core.progress import SILENT, Progress
from eufcc_cli.core.tagging.shards.place import Place
from eufcc_cli.core.tagging.shards.plan import Plan
from eufcc_cli.core.tagging.shards.shard import Done, Job, Shards

MOST_TRIES = 4
"""Of one shard in one run, where its process or machine ends."""
_CORES_EACH = 4  # of a Ray worker without a GPU
_CONNECTING = 10.0  # seconds
_STARTING = 300.0  # seconds for a worker to load its models

log = logging.getLogger("eufcc")


def left(plan: Plan, place: Place, part: tuple[int, int] = (0, 1)) -> list[int]:
    """The shards that are not done, of those that are number `part[0]` of `part[1]` in turn."""
    done = {int(name.partition(".")[0]) for name in place.names("_done")}
    return [number for number in range(part[0], plan.shards, part[1]) if number not in done]


def run_local(shards: Shards, numbers: Sequence[int], progress: Progress = SILENT) -> Iterator[Done]:
    """Tag shards in this process, one after the other."""
    return (shards.tag(number, progress) for number in numbers)


def run_on_ray(
    job: Job, plan: Plan, numbers: Sequence[int], address: str | None, shard_timeout: float
) -> Iterator[Done]:
    """Tag shards on a Ray cluster, one actor for each GPU, or for every few cores, as they are done.

    address None: a cluster of this machine alone. An actor that dies, or takes longer than `shard_timeout`
    seconds for a shard, is replaced, and its shard given to another. Raises EufccError, naming shard and
    machine, where that does not help.
    """
    try:
        import ray
        from ray.exceptions import GetTimeoutError, RayError
    except ImportError as error:
        raise EufccError("`engine` ray is not installed", hint='`pip install "eufcc[ray]"`') from error

    _connect(ray, address)
    try:
        total = ray.cluster_resources()
        gpus = int(total.get("GPU", 0)) if job.device in ("auto", "cuda") else 0
        each = max(1, min(job.workers or _CORES_EACH, int(total.get("CPU", 1))))
        resources: dict[str, Any] = {"num_gpus": 1} if gpus else {"num_cpus": each}
        most = gpus or max(1, int(total.get("CPU", 1)) // each)
        worker: Any = ray.remote(max_restarts=0, scheduling_strategy="SPREAD", **resources)(_Worker)
        waiting = list(reversed(numbers))
        tries: dict[int, int] = {}
        idle: list[Any] = []
        running: dict[Any, tuple[Any, int, float]] = {}
        while waiting or running:
            while waiting and len(running) < most:
                actor = idle.pop() if idle else worker.remote(job, plan)
                number = waiting.pop()
                limit = time.monotonic() + shard_timeout + _STARTING
                running[actor.tag.remote(number)] = (actor, number, limit)
            ready, _ = ray.wait(list(running), num_returns=1, timeout=1.0)
            late = [ref for ref, (_, _, limit) in running.items() if time.monotonic() > limit]
            for ref in {*ready, *late}:
                actor, number, _ = running.pop(ref)
                try:
                    if ref in late and ref not in ready:
                        ray.kill(actor)
                        raise GetTimeoutError(f"it took more than {shard_timeout:g} s")
                    answer = ray.get(ref)
                except RayError as error:
                    tries[number] = tries.get(number, 0) + 1
                    reason = (
                        str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
                    )
                    log.warning("shard %d: its worker ended (%s); another takes it", number, reason)
                    if tries[number] >= MOST_TRIES:
                        raise CollectError(
                            f"shard {number}: every worker that took it ended, {MOST_TRIES} times: {reason}",
                            hint="check that machine's memory and logs, then run it again",
                        ) from error
                    waiting.append(number)
                    continue
                idle.append(actor)
                if isinstance(answer, _Problem):
                    raise EufccError(f"shard {number} on {answer.node}: {answer.message}", hint=answer.hint)
                yield answer
    finally:
        ray.shutdown()


def _connect(ray: Any, address: str | None) -> None:
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if address and ":" in address:  # Ray itself would try for minutes
            host, _, port = address.rpartition("/")[2].rpartition(":")
            socket.create_connection((host, int(port)), _CONNECTING).close()
        if address is None:
            ray.init(address="local", num_cpus=cores(), include_dashboard=False, **options)
        else:
            ray.init(address=address, **options)
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise CollectError(
            f"`ray_address` {address}: no cluster can be reached there: {reason}",
            hint="start one with `ray start --head`, or leave `ray_address` out for this machine alone",
        ) from error


class _Problem:
    """An error that a worker met and no other worker would mend."""

    def __init__(self, error: EufccError) -> None:
        self.message, self.hint, self.node = str(error), error.hint, socket.gethostname()


class _Worker:
    """An actor: it loads the models once, and tags shard after shard."""

    def __init__(self, job: Job, plan: Plan) -> None:
        self._job, self._plan = job, plan
        self._shards: Shards | None = None

    def tag(self, number: int) -> Done | _Problem:
        try:
            if self._shards is None:
                self._shards = Shards(self._job, self._plan)
            return self._shards.tag(number)
        except EufccError as error:
            return _Problem(error)
