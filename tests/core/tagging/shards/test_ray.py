"""Shards on a Ray cluster: the same bytes whatever is killed, and one clear error for what cannot be done.

One cluster serves the whole module; the last test ends it.
"""

import importlib.util
import pickle
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from eufcc_cli.core.errors import CollectError
from eufcc_cli.core.files import Root
from eufcc_cli.core.model.checkpoint import load_model
from eufcc_cli.core.tagging.selection import Choice
from eufcc_cli.core.tagging.shards import engines
from eufcc_cli.core.tagging.shards.engines import left
from eufcc_cli.core.tagging.shards.place import Place
from eufcc_cli.core.tagging.shards.plan import Plan, make_plan
from eufcc_cli.core.tagging.shards.shard import Job, Shards, options_of
from eufcc_cli.core.tagging.shards.shard_inputs import plan_lines
from eufcc_cli.core.tagging.tagger import Tagger
from tests.core.tagging.shards.test_shards import digests

pytestmark = [
    pytest.mark.one_processor,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed"),
]

SHARDS = 40
Call = tuple[Job, Plan, list[int], str, float]
"""What `run_on_ray` is called with."""
_CLUSTER = """
import ray
ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
print(ray.get_runtime_context().gcs_address, flush=True)
input()
"""
# It takes the next result when it is told to, so that what is killed is killed in the middle. Ray prints
# what it notices of dead workers, too: not among the results.
_DRIVER = """
import pickle, sys
told, sys.stdout = sys.stdout, sys.stderr
from eufcc_cli.core.errors import EufccError
from eufcc_cli.core.tagging.shards.engines import run_on_ray
for call in pickle.load(open(sys.argv[1], "rb")):
    try:
        for done in run_on_ray(*call):
            print(done.shard, file=told, flush=True)
            input()
    except EufccError as error:
        print("error:", error, file=told, flush=True)
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a cluster of this machine."""
    command = [sys.executable, "-c", _CLUSTER]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_worker_niceness", "0")  # at Ray's own 15 other tests would leave them no time
        patch.setenv("RAY_memory_monitor_refresh_ms", "0")  # others may fill the memory
        for patience in ("agent_register_timeout_ms", "health_check_timeout_ms"):
            patch.setenv(f"RAY_{patience}", "600000")  # on a busy machine Ray starts slowly
        for patience in ("worker_register_timeout_seconds", "gcs_server_port_wait_time_s"):
            patch.setenv(f"RAY_{patience}", "600")
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
            process.kill()


class Work:
    """A plan of forty images in as many shards, in a folder of its own, and who tags them here."""

    def __init__(self, root: Path, output: Path) -> None:
        tagger = Tagger([load_model("small", Root(root), "cpu")], Choice(top=1), Root(root))
        self.output = output
        self.job = Job(str(output), root, ("small",), Choice(top=1), device="cpu", workers=1)
        photos = sorted((root / "data" / "images").rglob("*.jpg"))[:SHARDS]
        lines = plan_lines(map(str, photos))
        self.place = Place(self.job.output)
        self.plan: Plan = make_plan(self.place, lines, 1, "jsonl", "small", options_of(tagger, self.job))
        self.shards = Shards(self.job, self.plan, tagger)

    def left(self) -> list[int]:
        return left(self.plan, self.place)

    def finish(self) -> None:
        for number in self.left():
            self.shards.tag(number)
        self.place.clear_unfinished()

    def driver(
        self, cluster: str, *calls: tuple[Job, Plan, list[int], str, float]
    ) -> "subprocess.Popen[str]":
        """A process that does what is left, or these calls, on a cluster."""
        path = self.output.with_suffix(".pickle")
        path.write_bytes(pickle.dumps(calls or [(self.job, self.plan, self.left(), cluster, 60.0)]))
        command = [sys.executable, "-c", _DRIVER, str(path)]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def work(trained: Path, tmp_path: Path) -> Work:
    return Work(trained, tmp_path / "job")


def test_what_no_worker_can_do_names_shard_and_machine(work: Work, cluster: str) -> None:
    (work.output / "part-00001.jsonl").mkdir()  # which no file can replace
    blind = replace(work.job, models=("elsewhere",))
    calls = [
        (blind, work.plan, [0], cluster, 60.0),
        (work.job, work.plan, [1], cluster, 60.0),
        (work.job, work.plan, [0], "127.0.0.1:1", 60.0),
    ]
    with work.driver(cluster, *calls) as driver:
        unseen, unwritable, unreachable = driver.communicate(timeout=600)[0].splitlines()
    assert re.match(r"error: shard 0 on \S+: .*elsewhere", unseen)
    assert re.match(r"error: shard 1 on \S+: \S+part-00001.jsonl: cannot write: ", unwritable)
    assert re.match(r"error: `ray_address` 127.0.0.1:1: no cluster can be reached", unreachable)


def test_the_bytes_are_the_same_whatever_is_killed(
    work: Work, cluster: str, trained: Path, tmp_path: Path
) -> None:
    whole = Work(trained, tmp_path / "whole")
    whole.finish()
    expected = digests(tmp_path / "whole")

    with work.driver(cluster) as driver:
        step(driver, 3)
        assert kill("ray::_Worker", 1)
        answers = step(driver, 6)  # of others, that took its shard
        assert len(set(answers)) == 6
        assert 0 < len(work.left()) <= SHARDS - 8
        assert kill("raylet", 1)  # as when a machine fails
        kill("ray::_Worker", SHARDS)  # if they have not ended with it
        driver.kill()  # which would notice when Ray does, in half a minute
    assert work.left()

    work.finish()
    assert digests(tmp_path / "job") == expected


def test_a_machine_too_slow_for_rays_time_limit_is_tried_again() -> None:
    late, wrong = Exception("The current node timed out during startup."), Exception("no space")

    def starts(*outcomes: Exception | None) -> int:
        """How often Ray is started."""
        waiting = list(outcomes)

        def init(**_: Any) -> None:
            if error := waiting.pop(0):
                raise error

        engines._connect(SimpleNamespace(init=init, shutdown=lambda: None), None)
        return len(outcomes) - len(waiting)

    assert starts(None, late) == 1
    assert starts(late, late, None) == 3
    for outcomes, reason in (([late] * 3, "timed out"), ([wrong, None], "no space")):
        with pytest.raises(CollectError, match=f"Ray does not start on this machine: .*{reason}"):
            starts(*outcomes)


def test_a_cluster_that_just_starts_is_waited_for(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "_POLL", 0.0)
    job = replace(work.job, device="auto")

    def needs(*states: dict[str, float]) -> dict[str, Any]:
        waiting = iter(states)
        return engines._needs(SimpleNamespace(cluster_resources=lambda: next(waiting)), job)

    assert needs({"memory": 1e9}, {}, {"CPU": 8.0, "GPU": 1.0}) == {"num_gpus": 1}
    assert needs({"CPU": 8.0}, {"CPU": 8.0, "GPU": 1.0}) == {"num_cpus": 1}
    monkeypatch.setattr(engines, "_STARTING", 0.0)
    with pytest.raises(CollectError, match="no machine with cores or GPUs"):
        needs({})


def step(driver: "subprocess.Popen[str]", times: int) -> list[str]:
    """The next results of a driver."""
    assert driver.stdin is not None and driver.stdout is not None
    found: list[str] = []
    for _ in range(times):
        found.append(driver.stdout.readline())
        assert found[-1].strip().isdecimal(), found
        driver.stdin.write("\n")
        driver.stdin.flush()
    return found


def kill(name: str, most: int) -> int:
    """Kill the cluster's processes whose command has this name, as many as there are, or this many."""
    killed = 0
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it has just ended by itself
            if killed < most and name in " ".join(process.cmdline()[:1]):
                process.kill()
                killed += 1
    return killed
