"""Who works on the shards of a plan: this process, one of a job array, or a Ray cluster."""

import logging
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from eufcc_cli.core.allocation import collect_rarely
from eufcc_cli.core.errors import CollectError, EufccError, first_line
from eufcc_cli.core.machine import cores
from eufcc_cli.core.tagging.shards.place import Place
from eufcc_cli.core.tagging.shards.plan import Plan
from eufcc_cli.core.tagging.shards.shard import Done, Job, Shards, shard_errors

MOST_TRIES = 4
"""Of one shard in one run, where its process or machine ends."""
_CORES_EACH = 4  # of a Ray worker without a GPU
_CONNECTING = 10.0  # seconds
_CLOSING = 5.0  # seconds
_STARTING = 300.0  # seconds for a machine to join, or a worker to load its models
_POLL = 5.0  # seconds
_STARTS = 3  # of a cluster on this machine: Ray gives each 30 s, which a busy machine may exceed

log = logging.getLogger("eufcc")


def left(plan: Plan, place: Place, part: tuple[int, int] = (0, 1)) -> list[int]:
    """The shards that are not done, of those that are number `part[0]` of `part[1]` in turn."""
    done = {int(name.partition(".")[0]) for name in place.names("_done")}
    return [number for number in range(part[0], plan.shards, part[1]) if number not in done]


def run_on_ray(
    job: Job, plan: Plan, numbers: Sequence[int], address: str | None, shard_timeout: float
) -> Iterator[Done]:
    """Tag shards on a Ray cluster, one actor for each GPU, or for every few cores, as they are done.

    address None: a cluster of this machine only. An actor that crashes, or takes longer than `shard_timeout`
    seconds for a shard, is replaced, and its shard given to another. Raises EufccError, naming shard and
    machine, where that does not help.
    """
    try:
        import ray
        from ray.exceptions import GetTimeoutError, RayError, RayTaskError
    except ImportError as error:
        raise EufccError("`engine` ray is not installed", hint='`pip install "eufcc[ray]"`') from error

    _connect(ray, address)
    idle: list[_Actor] = []
    running: dict[Any, tuple[_Actor, int, float]] = {}
    try:
        needs = _needs(ray, job)
        images = len(numbers) * plan.shard_size // _most(ray, needs)
        # Two calls at a time: a worker is closed while it tags, too.
        options = {"max_restarts": 0, "max_concurrency": 2, "scheduling_strategy": "SPREAD"}
        worker: Any = ray.remote(**options, **needs)(_Worker)
        waiting = list(reversed(numbers))
        tries: dict[int, int] = {}
        here = ray.get_runtime_context().get_node_id()
        while waiting or running:
            while waiting and len(running) < _most(ray, needs):
                actor = idle.pop() if idle else _Actor(worker.remote(job, plan, images))
                number = waiting.pop()
                limit = time.monotonic() + shard_timeout + _STARTING
                running[actor.handle.tag.remote(number)] = (actor, number, limit)
            ready, _ = ray.wait(list(running), num_returns=1, timeout=1.0)
            if not ready:
                _check_alive(ray, here)
            late = [ref for ref, (_, _, limit) in running.items() if time.monotonic() > limit]
            for ref in {*ready, *late}:
                actor, number, _ = running.pop(ref)
                try:
                    if ref in late and ref not in ready:
                        ray.kill(actor.handle)
                        raise GetTimeoutError(f"it took more than {shard_timeout:g} s")
                    answer = ray.get(ref)
                except RayTaskError as error:
                    raise EufccError(f"shard {number} on {actor.node(ray)}: {error.cause!r}") from error
                except RayError as error:
                    tries[number] = tries.get(number, 0) + 1
                    reason = first_line(error)
                    place = f"shard {number} on {actor.node(ray)}"
                    log.warning("%s: its worker ended (%s); another takes it", place, reason)
                    if tries[number] >= MOST_TRIES:
                        raise CollectError(
                            f"{place}: every worker that took it ended, {MOST_TRIES} times: {reason}",
                            hint="check that machine's memory and logs, then run it again",
                        ) from error
                    waiting.append(number)
                    continue
                idle.append(actor)
                if isinstance(answer, EufccError):
                    raise answer
                yield answer
    finally:
        _close(ray, [*idle, *(actor for actor, _, _ in running.values())])
        ray.shutdown()


def _needs(ray: Any, job: Job) -> dict[str, Any]:
    """What Ray sets aside for one worker: a GPU where there are some, else a few cores."""
    if job.device == "cuda":
        return {"num_gpus": 1}
    total = _resources(ray)
    if job.device == "auto" and total.get("GPU", 0) >= 1:
        return {"num_gpus": 1}
    return {"num_cpus": max(1, min(job.workers or _CORES_EACH, int(total.get("CPU", 1))))}


def _resources(ray: Any) -> dict[str, float]:
    """What the cluster's machines have: those of a cluster that just starts are waited for.

    A head without cores of its own would else decide that there are no GPUs.
    """
    limit = time.monotonic() + _STARTING
    while time.monotonic() < limit:
        total: dict[str, float] = ray.cluster_resources()
        if total.get("GPU") or total.get("CPU"):
            return total
        log.info("waiting for the cluster's machines")
        time.sleep(_POLL)
    raise CollectError(
        f"the cluster has no machine with cores or GPUs, {_STARTING:g} s after the start",
        hint="`ray status` shows what it waits for",
    )


def _most(ray: Any, needs: dict[str, Any]) -> int:
    """How many workers the cluster has room for, as large as it is now."""
    total = ray.cluster_resources()
    if "num_gpus" in needs:
        return max(1, int(total.get("GPU", 0)))
    return max(1, int(total.get("CPU", 1)) // needs["num_cpus"])


def _check_alive(ray: Any, node: str) -> None:
    """Raise CollectError where the cluster has given up this machine; the driver would wait for minutes."""
    if not any(one["Alive"] for one in ray.nodes() if one["NodeID"] == node):
        raise CollectError(
            f"{socket.gethostname()}: Ray has ended on this machine",
            hint="check its memory and Ray's logs, start Ray again, and run the same command",
        )


class _Actor:
    """A worker, and the name of its machine, which is known before it may die."""

    def __init__(self, handle: Any) -> None:
        self.handle = handle
        self._node = handle.node.remote()

    def node(self, ray: Any) -> str:
        from ray.exceptions import RayError

        try:
            return str(ray.get(self._node, timeout=1.0))
        except RayError:
            return "a machine that it did not reach"


def _close(ray: Any, actors: Sequence[_Actor]) -> None:
    """End the decoding processes of actors: Ray kills these, and their shared memory would stay."""
    from ray.exceptions import RayError

    with suppress(RayError):
        if closing := [actor.handle.close.remote() for actor in actors]:
            ray.wait(closing, num_returns=len(closing), timeout=_CLOSING)


def _connect(ray: Any, address: str | None) -> None:
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        _start(ray, options)
        return
    try:
        if ":" in address:  # Ray itself would try for minutes
            host, _, port = address.rpartition("/")[2].rpartition(":")
            socket.create_connection((host, int(port)), _CONNECTING).close()
        ray.init(address=address, **options)
    except (OSError, ValueError, RuntimeError) as error:
        reason = first_line(error)
        raise CollectError(
            f"`ray_address` {address}: no cluster can be reached there: {reason}",
            hint="start one with `ray start --head`, set its token (`ray get-auth-token` prints it) in "
            "RAY_AUTH_TOKEN here, or leave `ray_address` out for this machine only",
        ) from error


def _start(ray: Any, options: dict[str, Any]) -> None:
    """Start a cluster on this machine, again if it is too slow for Ray's own time limit."""
    for last in (*[False] * (_STARTS - 1), True):
        try:
            ray.init(address="local", num_cpus=cores(), include_dashboard=False, **options)
            return
        except Exception as error:  # the time limit raises no other class
            ray.shutdown()
            if last or "timed out" not in str(error).lower():
                raise CollectError(
                    f"Ray does not start on this machine: {first_line(error)}",
                    hint="see its logs, in /tmp/ray/session_latest/logs, or choose `engine=local`",
                ) from error
            log.warning("Ray did not start in time on this machine; trying again")


class _Worker:
    """An actor: it loads the models once, and tags shard after shard."""

    def __init__(self, job: Job, plan: Plan, images: int) -> None:
        """images: about how many it will tag."""
        collect_rarely()
        self._job, self._plan, self._images = job, plan, images
        self._shards: Shards | None = None

    def node(self) -> str:
        return socket.gethostname()

    def tag(self, number: int) -> Done | EufccError:
        """Tag a shard; an error that no other worker would mend is an answer, too."""
        try:
            with shard_errors(number):
                if self._shards is None:
                    job = replace(self._job, workers=self._decoders())
                    self._shards = Shards(job, self._plan, images=self._images)
            return self._shards.tag(number)
        except EufccError as error:
            return EufccError(str(error), hint=error.hint)

    def close(self) -> None:
        """End the processes that decode."""
        if self._shards is not None:
            self._shards.__exit__()

    def _decoders(self) -> int:
        """This worker's share of its machine's cores."""
        import ray

        context = ray.get_runtime_context()
        assigned = context.get_assigned_resources().get("CPU", 0)
        here = next(node["Resources"] for node in ray.nodes() if node["NodeID"] == context.get_node_id())
        return self._job.workers or int(assigned or here.get("CPU", 1) // max(1, here.get("GPU", 1))) or 1
