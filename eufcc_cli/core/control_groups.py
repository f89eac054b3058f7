"""The limits that Linux's control groups set to this process: containers, batch systems, services.

Both versions are read: one hierarchy for everything (2), and one for each resource (1).
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_ROOT = Path("/")
_NONE = 1 << 60  # version 1 writes an enormous number where there is no limit


def cpu_limit(root: Path = _ROOT) -> float | None:
    """The share of processor time, in cores; None where there is no limit."""
    limits = []
    for folder in _groups(root, "cpu"):
        words = _words(folder / "cpu.max") or (
            *_words(folder / "cpu.cfs_quota_us"),
            *_words(folder / "cpu.cfs_period_us"),
        )
        quota, period = words if len(words) == 2 else ("", "")
        if quota.isdecimal() and period.isdecimal() and int(period):
            limits.append(int(quota) / int(period))
    return min(limits, default=None)


def memory_left(root: Path = _ROOT) -> int | None:
    """Bytes of memory below the lowest limit; None where there is none.

    Files' pages that the system would give up at once are not counted as used.
    """
    left = []
    for folder in _groups(root, "memory"):
        for limit, used, cached in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            most, now = _number(folder / limit), _number(folder / used)
            if most is not None and now is not None and most < _NONE:
                left.append(max(0, most - max(0, now - _statistic(folder / "memory.stat", cached))))
    return min(left, default=None)


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """The folders of the control groups that this process is in, for one resource, up to the top."""
    mounted = root / "sys/fs/cgroup"
    for line in _lines(root / "proc/self/cgroup"):
        number, controllers, path = [*line.split(":", 2), "", ""][:3]
        if number == "0" and not controllers:
            top = mounted
        elif controller in controllers.split(","):
            top = mounted / controller
        else:
            continue
        # In a container the path may be the host's, which is not there, while the top is the container's own.
        inner = PurePosixPath(path.lstrip("/"))
        for part in (inner, *inner.parents):
            if ".." not in part.parts and (top / part).is_dir():
                yield top / part


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _words(file: Path) -> tuple[str, ...]:
    return tuple(word for line in _lines(file)[:1] for word in line.split())


def _number(file: Path) -> int | None:
    words = _words(file)
    return int(words[0]) if words and words[0].isdecimal() else None


def _statistic(file: Path, name: str) -> int:
    found = (line.split() for line in _lines(file))
    return next((int(words[1]) for words in found if len(words) == 2 and words[0] == name), 0)
