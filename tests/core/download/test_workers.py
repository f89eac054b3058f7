"""Worker processes: results in order, errors as they are, and crashes that take nobody along."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from pickle import PicklingError
from typing import Any

import psutil
import pytest

from eufcc_cli.core.download.store import Rejected, Storing, verify_existing
from eufcc_cli.core.download.workers import Workers
from eufcc_cli.core.errors import CollectError, EufccError
from eufcc_cli.core.worker_processes import CrashError
from tests.core.download import deadly


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))


def spawned() -> set[psutil.Process]:
    """The processes of pools that this one started."""
    found = set()
    for child in psutil.Process().children():
        with suppress(psutil.Error):  # it has just ended
            if "spawn_main" in " ".join(child.cmdline()):
                found.add(child)
    return found


def with_workers(use: Callable[[Workers], Awaitable[Any]], processes: int = 2) -> Any:
    async def run() -> Any:
        async with Workers(processes) as workers:
            return await use(workers)

    return asyncio.run(run())


def test_calls_are_answered_each_with_its_own_result() -> None:
    async def use(workers: Workers) -> list[Any]:
        return await asyncio.gather(*(workers.run(deadly.double, n) for n in range(50)))

    assert with_workers(use) == [2 * n for n in range(50)]


def test_bytes_and_known_kinds_arrive_as_they_are(tmp_path: Path) -> None:
    body = bytes(range(256)) * 2000
    how = Storing(tmp_path, None)
    assert with_workers(lambda workers: workers.run(deadly.told, body, how, Rejected("a", "b"), None)) == [
        len(body), how, Rejected("a", "b"), None, "Path",
    ]  # fmt: skip


def test_errors_come_back() -> None:
    with pytest.raises(EufccError, match="disk full") as error:
        with_workers(lambda workers: workers.run(deadly.fail, "disk full", "make room"))
    assert error.value.hint == "make room"


def test_an_error_is_that_of_its_call_alone() -> None:
    """Of calls sent together, one of which cannot even be sent."""

    async def use(workers: Workers) -> list[Any]:
        divisors: list[Any] = [n % 4 for n in range(12)]
        divisors[9] = lambda: None
        calls = [workers.run(deadly.divide, 6, divisor) for divisor in divisors]
        return await asyncio.gather(*calls, return_exceptions=True)

    results = with_workers(use, processes=1)
    assert isinstance(results[9], AttributeError | PicklingError)
    for n, result in enumerate(results):
        if n % 4 == 0:
            assert isinstance(result, ZeroDivisionError)
            assert "in divide" in "".join(result.__notes__)
        elif n != 9:
            assert result == 6 / (n % 4)


def test_a_crash_is_told_to_its_call_alone() -> None:
    async def use(workers: Workers) -> list[Any]:
        calls = [workers.run(deadly.die_if, n == 5, n) for n in range(20)]
        return await asyncio.gather(*calls, return_exceptions=True)

    results = with_workers(use)
    assert isinstance(results.pop(5), CrashError)
    assert results == [n for n in range(20) if n != 5]


def test_a_batch_loses_only_what_crashes() -> None:
    async def use(workers: Workers) -> dict[int, Any]:
        return {n: result async for n, result in workers.each(deadly.die_at_13, range(40), crashed="crashed")}

    assert with_workers(use) == {n: "crashed" if n == 13 else n for n in range(40)}


def test_when_everything_crashes_it_is_not_the_images_doing() -> None:
    async def use(workers: Workers) -> None:
        for _ in range(100):
            try:
                await workers.run(deadly.die_if, True, 0)
            except CrashError:
                continue

    with pytest.raises(CollectError, match="end unexpectedly"):
        with_workers(use, processes=1)


def test_a_call_that_never_ends_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    async def use(workers: Workers) -> int:
        await workers.run(deadly.double, 1)  # so that it is running before its time is measured
        monkeypatch.setattr("eufcc_cli.core.worker_processes._LONGEST_CALL", 1.0)
        with pytest.raises(CrashError):
            await workers.run(deadly.sleep, 60)
        monkeypatch.setattr("eufcc_cli.core.worker_processes._LONGEST_CALL", 60.0)
        return await workers.run(deadly.double, 4)

    assert with_workers(use) == 8


def test_no_process_is_left() -> None:
    before = spawned()
    with_workers(lambda workers: workers.run(deadly.double, 1))
    assert spawned() <= before


def test_modules_beside_the_user_are_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files in the current folder must not come before Pillow or Python's own modules."""
    for name in ("PIL", "multiprocessing", "pickle"):
        (tmp_path / f"{name}.py").write_text("import os; os.abort()")
    monkeypatch.chdir(tmp_path)
    found = with_workers(
        lambda w: w.run(verify_existing, ("a", tmp_path / "PIL.py"), Storing(tmp_path, None))
    )
    assert found == Rejected("not-image", "not an image: cannot identify image file")


def test_of_a_broken_pool_no_process_is_left_either() -> None:
    """A process that ends without a call breaks its pool: the others are ended before new ones start."""
    before = spawned()

    async def use(workers: Workers) -> set[psutil.Process]:
        await asyncio.gather(*(workers.run(deadly.sleep, 0.2) for _ in range(2)))
        first = spawned() - before
        for process in first:
            process.suspend()  # so that the one that stays does not end by itself
        one, *_ = first
        one.kill()
        while await workers.run(math.sqrt, 4.0) == 2 and not spawned() - before - first:
            await asyncio.sleep(0.01)
        return first & spawned()

    assert with_workers(use) == set()


def test_calls_to_a_process_that_was_just_killed_go_to_another() -> None:
    """As when memory is short, and the event loop is busy at that moment."""

    before = spawned()

    async def use(workers: Workers) -> list[object]:
        assert await workers.run(math.sqrt, 4.0) == 2
        (process,) = spawned() - before
        process.kill()
        time.sleep(0.3)
        calls = []
        for turns in range(4):
            for _ in range(turns):
                await asyncio.sleep(0)
            calls.append(asyncio.create_task(workers.run(math.sqrt, 4.0)))
        return await asyncio.gather(*calls, return_exceptions=True)

    first, *others = with_workers(use, processes=1)
    assert isinstance(first, CrashError) or first == 2
    assert others == [2, 2, 2]
