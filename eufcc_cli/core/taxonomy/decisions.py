"""What people decided about tags: an append-only file of JSON lines; the last line about a tag counts."""

import json
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock

from eufcc_cli.core.errors import DataError, cannot_write
from eufcc_cli.core.taxonomy.tables.annotations import canonical

log = logging.getLogger("eufcc")

ACCEPTED = "accepted"
REJECTED = "rejected"
ADDED = "added"
UNDECIDED = "undecided"
VERDICTS = (ACCEPTED, REJECTED, ADDED, UNDECIDED)
"""`undecided` withdraws an earlier verdict."""


class DecisionKey(NamedTuple):
    """The subject of a decision: an image (its id, or else its name), a facet and a tag."""

    image: str
    facet: str
    tag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One line of a decisions file."""

    time: str
    reviewer: str
    image: str
    id: str | None = None
    facet: str
    tag: str
    verdict: str
    score: float | None = None
    """The probability that the model gave the tag; None for an added one."""
    model: str | None = None
    digest: str | None = None
    """SHA-256 of the model that suggested the tag."""

    @property
    def key(self) -> DecisionKey:
        return DecisionKey(self.id or self.image, self.facet, self.tag)

    @property
    def is_true(self) -> bool:
        """True if the image has the tag, according to the reviewer."""
        return self.verdict in (ACCEPTED, ADDED)

    def line(self) -> str:
        """The decision as a line of the file, without fields that are None."""
        values = ((name, getattr(self, name)) for name in _FIELDS)
        content = {name: value for name, value in values if value is not None}
        return json.dumps(content, ensure_ascii=False) + "\n"


_FIELDS = tuple(field.name for field in fields(Decision))


def now() -> str:
    """The time of a decision, in UTC: `2026-11-26T10:11:12Z`."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


@dataclass
class Decisions:
    """The decisions of one or more files: the last one for each image, facet and tag, in order."""

    latest: dict[DecisionKey, Decision] = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)

    def add(self, decision: Decision) -> None:
        """Add a decision; it replaces an earlier one about the same image, facet and tag."""
        self.latest.pop(decision.key, None)
        if decision.verdict != UNDECIDED:
            self.latest[decision.key] = decision

    def __len__(self) -> int:
        return len(self.latest)

    def __iter__(self) -> Iterator[Decision]:
        return iter(self.latest.values())

    def by_image(self) -> dict[str, list[Decision]]:
        """The decisions of each image, by its id, or else by its name.

        A decision with an id is found by its image's name as well.
        """
        found: dict[str, list[Decision]] = {}
        for decision in self:
            for key in dict.fromkeys((decision.key.image, decision.image)):
                found.setdefault(key, []).append(decision)
        return found


def decisions_path(suggestions: Path) -> Path:
    """The default decisions file for a suggestions file.

    >>> decisions_path(Path("scans/tags.jsonl")).as_posix()
    'scans/tags.decisions.jsonl'
    """
    return suggestions.with_name(f"{suggestions.stem}.decisions.jsonl")


def read_decisions(paths: Path | Sequence[Path]) -> Decisions:
    """Read decisions files, in the order given: the last line about an image, facet and tag counts.

    Raises DataError, naming file and line, for a line that is not a decision.
    """
    decisions = Decisions(files=[paths] if isinstance(paths, Path) else list(paths))
    for path in decisions.files:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DataError(
                f"{path}: cannot read: {error.strerror or error}",
                hint="`eufcc tag --review SUGGESTIONS` writes one",
            ) from error
        for number, line in enumerate(content.split(b"\n"), start=1):
            if decision := parse(line, f"{path}: line {number}"):
                decisions.add(decision)
    return decisions


def parse(line: bytes, where: str) -> Decision | None:
    """The decision of a line; None, with a warning, for an incomplete line, as a killed process may leave it.

    Raises DataError for other content.
    """
    if not line.strip():
        return None
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        log.warning("%s: the line is incomplete and is not counted", where)
        return None
    if not isinstance(content, dict):
        raise DataError(f"{where}: not a decision: {str(content)[:60]}", hint=_HINT)
    texts = {name: _text(content, name, where) for name in ("image", "facet", "tag", "verdict")}
    others = {
        name: _text(content, name, where, needed=False)
        for name in ("time", "reviewer", "id", "model", "digest")
    }
    if texts["verdict"] not in VERDICTS:
        raise DataError(f"{where}: verdict {texts['verdict']!r} is not one of {', '.join(VERDICTS)}")
    score = content.get("score")
    if score is not None and (isinstance(score, bool) or not isinstance(score, int | float)):
        raise DataError(f"{where}: score {score!r} is not a number")
    if score is not None and not 0 <= score <= 1:
        raise DataError(f"{where}: score {score!r} is not a probability")
    return Decision(
        time=others["time"] or "",
        reviewer=others["reviewer"] or "",
        image=texts["image"] or "",
        id=others["id"] or None,
        facet=texts["facet"] or "",
        tag=canonical(texts["tag"] or ""),
        verdict=texts["verdict"] or "",
        score=score,
        model=others["model"],
        digest=others["digest"],
    )


_HINT = 'a line is {"time": …, "reviewer": …, "image": …, "facet": …, "tag": …, "verdict": …}'


def _text(content: dict[str, Any], name: str, where: str, *, needed: bool = True) -> str | None:
    value = content.get(name)
    if value is None and not needed:
        return None
    if not isinstance(value, str) or (needed and not value):
        raise DataError(f"{where}: {name!r} is missing or no text", hint=_HINT)
    return value


class DecisionsFile:
    """A decisions file that several programs may append to and read at the same time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = FileLock(path.with_name(f".{path.name}.lock"))
        self._offset = 0
        self._line = 0

    def append(self, decisions: Iterable[Decision]) -> None:
        """Add decisions; they are on the disk when this returns.

        Raises EufccError if they cannot be written: then none of them is saved.
        """
        content = "".join(decision.line() for decision in decisions).encode()
        if not content:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._lock, self.path.open("a+b", buffering=0) as file:
                end = file.seek(0, os.SEEK_END)
                if end:  # a killed process may have left an incomplete line
                    file.seek(end - 1)
                    if file.read(1) != b"\n":
                        content = b"\n" + content
                try:
                    rest = memoryview(content)
                    while rest:
                        rest = rest[file.write(rest) :]
                    os.fsync(file.fileno())
                except OSError:
                    file.truncate(end)
                    raise
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def read_new(self) -> list[Decision]:
        """The decisions that this or another program appended since the last call; at first, all of them.

        A last line without an end is left for the next call: another program may be writing it. Raises
        DataError as `read_decisions` does.
        """
        try:
            with self.path.open("rb") as file:
                file.seek(self._offset)
                content = file.read()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise DataError(f"{self.path}: cannot read: {error.strerror or error}") from error
        whole = content[: content.rfind(b"\n") + 1]
        found = []
        for line in whole.splitlines(keepends=True):
            self._offset += len(line)
            self._line += 1
            if decision := parse(line, f"{self.path}: line {self._line}"):
                found.append(decision)
        return found
