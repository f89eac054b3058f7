"""How many keys a person presses to decide a thousand suggestions by the term view of the real page.

    python -m tests.benchmarks review_keys

plays a person at the page in Chromium, who knows the truth and takes the shortest way that the page's keys
allow. Decided are made suggestions with calibrated probabilities, nine of ten right, and, where
EUFCC_REVIEW="ROOT SUGGESTIONS.jsonl" is given, real ones of which the root's tables know the truth.
"""

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from eufcc_cli.core.files import Root
from eufcc_cli.core.tagging.review.review_state import Review
from tests.core.report.chromium import BINARY
from tests.core.tagging.review.conftest import line, serving, suggestion, write_lines
from tests.core.tagging.review.person import Person, chromium

WINDOWS = ((1920, 1080), (1366, 768))

_TILES = """() => {
  const end = document.querySelector("#sheet").getBoundingClientRect().bottom + 8;
  return [...document.querySelectorAll("#sheet .tile")].map((tile) => ({
  row: Number(tile.id.slice(5)), index: Number(tile.dataset.index),
  decided: tile.classList.contains("decided"), marked: tile.classList.contains("marked"),
  label: tile.querySelector("kbd")?.textContent.toLowerCase() ?? "",
  visible: tile.getBoundingClientRect().bottom <= end,
  }));
}"""


def made_suggestions(
    folder: Path, images: int = 175, seed: int = 1
) -> tuple[Path, dict[tuple[int, str], bool]]:
    """About 1,000 suggestions and the truth {(image, tag)}: calibrated, so that nine of ten are right.

    Each image has two leaves of a hierarchy of three levels; few leaves are frequent, many are rare. A tag
    of probability p is right in a share p of the cases, a narrower one only where the broader one is.
    """
    rng = np.random.default_rng(seed)
    leaves = 60
    share = 1 / np.arange(1, leaves + 1)
    lines, truth = [], {}
    Image.new("RGB", (96, 96), (90, 120, 150)).save(folder / "0.png")
    for i in range(images):
        tags: dict[str, tuple[list[str], float]] = {}
        for leaf in rng.choice(leaves, 2, replace=False, p=share / share.sum()).tolist():
            path = [f"top {leaf % 4}", f"middle {leaf % 12}", f"leaf {leaf}"]
            narrow, above, is_right = float(rng.beta(4.2, 0.7)), 1.0, True
            for level, power in enumerate((0.3, 0.6, 1.0)):
                if path[level] in tags:
                    above, is_right = tags[path[level]][1], truth[i, path[level]]
                    continue
                p = above * narrow**power / (narrow ** (power - 0.3) if level else 1.0)
                is_right = is_right and float(rng.random()) < p / above
                if p < 0.2:  # as `tag` lists them
                    break
                tags[path[level]], truth[i, path[level]] = (path[: level + 1], p), is_right
                above = p
        listed = [suggestion(path, round(p, 4)) for path, p in tags.values()]
        lines.append({**line(i, {"materials": listed}), "image": "0.png", "id": str(i)})
    return write_lines(folder / "made.jsonl", lines), truth


@dataclass
class Curator:
    """Somebody who decides sheets by the keyboard and counts the keys."""

    person: Person
    right: np.ndarray
    """bool [rows]: whether each suggestion is true."""
    keys: int = 0
    sheets: int = 0
    pressed: dict[str, int] = field(default_factory=dict)

    def press(self, *keys: str) -> None:
        self.person.press(*keys)
        self.keys += len(keys)
        for key in keys:
            kind = key if key in "artl" or len(key) > 1 else "label"
            self.pressed[kind] = self.pressed.get(kind, 0) + 1

    def sheet(self) -> list[dict[str, Any]]:
        """All undecided pictures of the sheet, by going down as far as there are some."""
        seen: dict[int, dict[str, Any]] = {}
        while True:
            tiles = self.person.page.evaluate(_TILES)
            seen |= {tile["index"]: tile for tile in tiles}
            below = [tile for tile in tiles if not tile["visible"] and not tile["decided"]]
            if not below or max(tile["index"] for tile in tiles if tile["visible"]) >= max(seen):
                break
            self.press("PageDown")
        return [tile for _, tile in sorted(seen.items()) if not tile["decided"]]

    def decide(self) -> None:
        """Decide one sheet with the fewest keys."""
        tiles = self.sheet()
        right = [bool(self.right[tile["row"]]) for tile in tiles]
        self.sheets += 1
        if all(right) or not any(right):
            self.press("a" if all(right) else "r")
            return
        ways = [([], [tile["marked"] for tile in tiles])]
        if self.person.page.locator("#sheet .tile .of-term").count() == 0:
            # T behind a picture, to which L and the arrows lead
            line_at = sum(tile["marked"] for tile in tiles)
            for last in range(len(tiles)):
                step = "ArrowLeft" if last < line_at - 1 else "ArrowRight"
                moves = ["l", *[step] * abs(last - max(0, line_at - 1)), "t"]
                ways.append((moves, [index <= last for index in range(len(tiles))]))
        moves, marked = min(
            ways, key=lambda way: len(way[0]) + sum(map(len, self.labels(tiles, way[1], right)))
        )
        self.press(*moves, *"".join(self.labels(tiles, marked, right)), "Enter")

    def labels(self, tiles: list[dict[str, Any]], marked: list[bool], right: list[bool]) -> list[str]:
        """The labels of the pictures whose mark is wrong."""
        wrong = [
            tile
            for tile, is_marked, is_right in zip(tiles, marked, right, strict=True)
            if is_marked != is_right
        ]
        return [tile["label"] or "?" * 1000 for tile in wrong]


def decide_all(review: Review, url: str, browser: Any, right: np.ndarray, window: tuple[int, int]) -> Curator:
    """Decide everything; every decision has to be as the truth says."""
    person = Person(browser, url, *window)
    curator = Curator(person, right)
    while review.decided < review.suggested:
        curator.decide()
    assert person.problems == []
    person.context.close()
    assert np.array_equal(review.verdict[: review.suggested] == 1, right)
    return curator


def report(name: str, path: Path, root: Root, browser: Any, truth: Any) -> None:
    for window in WINDOWS:
        path.with_name(f"{path.stem}.decisions.jsonl").unlink(missing_ok=True)
        with serving(path, root) as (review, url):
            terms = review.suggestions.terms
            right = np.array(
                [truth(review, i, terms[t]) for i, t in zip(review.image, review.term, strict=True)],
                dtype=bool,
            )
            curator = decide_all(review, url, browser, right, window)
            count = review.suggested
            print(
                f"{name}, {window[0]} x {window[1]}: {count:,} suggestions, {right.mean():.0%} right, "
                f"{len(terms)} terms: {curator.keys} keys on {curator.sheets} sheets "
                f"({1000 * curator.keys / count:.0f} for 1,000) {curator.pressed}",
                flush=True,
            )


def in_record(review: Review, image: int, term: Any) -> bool:
    record = review.suggestions.images[image].record.get(term.facet, [])
    return any(term.tag in path for path in record)


def main() -> None:
    if BINARY is None:
        print("no chromium on this machine")
        return
    with tempfile.TemporaryDirectory() as name, chromium() as browser:
        folder = Path(name)
        path, truth = made_suggestions(folder)
        report("made", path, Root(folder), browser, lambda _, image, term: truth[int(image), term.tag])
        if given := os.environ.get("EUFCC_REVIEW"):
            root, suggestions = given.split(" ", 1)
            copy = folder / Path(suggestions).name
            copy.write_bytes(Path(suggestions).read_bytes())
            report(copy.stem, copy, Root(Path(root)), browser, in_record)


if __name__ == "__main__":
    main()
