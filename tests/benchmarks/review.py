"""How many key presses a person needs by the term view: suggestions decided as the truth says.

`python -m tests.benchmarks review` with EUFCC_REVIEW="ROOT SUGGESTIONS.jsonl" decides real suggestions, of
which the root's tables know the truth; without it, made ones, nine of ten of them right.
"""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from eufcc_cli.core.files import Root
from eufcc_cli.core.tagging.review import ordering
from eufcc_cli.core.tagging.review.opening import open_review
from eufcc_cli.core.tagging.review.ordering import Filter
from eufcc_cli.core.tagging.review.review_state import Review
from tests.core.tagging.review.conftest import line, suggestion, write_lines

COLUMNS = 7
"""Pictures in a row of the sheet, at a width of 1,400 pixels."""
THRESHOLD = 0.5


def made_suggestions(
    folder: Path, seed: int = 1, images: int = 167, leaves: int = 16
) -> tuple[Path, Callable[[int, str], bool]]:
    """About 1,000 suggestions, three levels deep, two leaves an image; a wrong leaf in about ten per cent."""
    rng = np.random.default_rng(seed)
    lines, truth = [], {}
    for i in range(images):
        tags = []
        for leaf in rng.choice(leaves, 2, replace=False).tolist():
            path = [f"top {leaf % 4}", f"middle {leaf % 8}", f"leaf {leaf}"]
            depth = 3 if rng.random() > 0.22 else int(rng.integers(0, 3))  # how far down it is right
            score = 0.97
            for level in range(3):
                right = level < depth
                score = min(score, float(np.clip(rng.normal(0.88 if right else 0.42, 0.12), 0.2, 0.99)))
                truth[i, path[level]] = truth.get((i, path[level]), False) or right
                tags.append(suggestion(path[: level + 1], round(score, 4)))
        best = {}
        for tag in sorted(tags, key=lambda tag: -tag["score"]):
            best.setdefault(tag["tag"], tag)
        lines.append(line(i, {"materials": list(best.values())}))
    return write_lines(folder / "made.jsonl", lines), lambda image, tag: truth[image, tag]


def steps(start: int, end: int, line_at: int, size: int) -> int:
    """Arrow keys from one picture to another: along, or up and down and along; Home and End for one press."""

    def place(index: int) -> tuple[int, int]:
        if index < line_at:
            return divmod(index, COLUMNS)
        row, column = divmod(index - line_at, COLUMNS)
        return -(-line_at // COLUMNS) + row, column

    def arrows(a: int, b: int) -> int:
        (row, column), (other_row, other_column) = place(a), place(b)
        return min(abs(a - b), abs(row - other_row) + abs(column - other_column))

    line_key = 1 + arrows(max(0, min(line_at, size) - 1), end)
    return min(arrows(start, end), 1 + arrows(0, end), 1 + arrows(size - 1, end), line_key)


def presses_of_sheet(right: list[bool], scores: list[float]) -> tuple[int, str]:
    """The fewest key presses that decide a sheet rightly, and how: Enter, A, R, toggles, a moved line."""
    size = len(right)
    at = sum(score >= THRESHOLD for score in scores)
    ways = []
    if all(right):
        ways.append((1, "A"))
    if not any(right):
        ways.append((1, "R"))

    def toggling(line_at: int, start: int) -> int:
        cursor, total = start, 0
        for i in (i for i in range(size) if right[i] != (i < line_at)):
            total += min(steps(cursor, i, line_at, size) + 1, len(str(i + 1)))  # or its number
            cursor = i
        return total + 1

    ways.append((toggling(at, 0), "Enter"))
    for line_at in range(1, size + 1):  # T behind another picture
        ways.append((steps(0, line_at - 1, at, size) + 1 + toggling(line_at, line_at - 1), "T"))
    return min(ways)


def decide(review: Review, truth: Callable[[int, str], bool]) -> tuple[int, int]:
    """Decide everything as a person would; key presses, and decisions."""
    presses = 0
    while True:
        terms = [term for term in ordering.terms(review, Filter()) if term["left"]]
        if not terms:
            return presses, review.decided
        term = terms[0]
        rows = [row for row in ordering.sheet(review, term["term"], Filter()) if row[3] == 0]
        right = [truth(row[1], term["path"][-1]) for row in rows]
        presses += presses_of_sheet(right, [row[2] for row in rows])[0]
        review.decide(
            "p", {row[0]: "accepted" if r else "rejected" for row, r in zip(rows, right, strict=True)}
        )


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        if given := os.environ.get("EUFCC_REVIEW"):
            root, path = given.split(" ", 1)
            review, _ = open_review(Path(path), Root(Path(root)), "x", Path(folder) / "d.jsonl")

            def truth(image: int, tag: str) -> bool:
                record = review.suggestions.images[image].record
                return any(tag in found for paths in record.values() for found in paths)
        else:
            path, truth = made_suggestions(Path(folder))
            review, _ = open_review(path, Root(Path(folder)), "x")
        terms = review.suggestions.terms
        right = [
            truth(i, terms[t].tag) for i, t in zip(review.image.tolist(), review.term.tolist(), strict=True)
        ]
        presses, decisions = decide(review, truth)
        print(f"{decisions:,} suggestions, {np.mean(right):.0%} right: {presses:,} key presses")
