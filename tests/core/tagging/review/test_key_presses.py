"""The term view's keys: few of them decide a thousand suggestions, each as the truth says."""

from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eufcc_cli.core.files import Root
from tests.benchmarks.review_keys import decide_all, made_suggestions
from tests.core.report.chromium import needs_chromium
from tests.core.tagging.review.conftest import line, serving, suggestion, write_lines
from tests.core.tagging.review.person import Person

pytest.importorskip("playwright.sync_api", reason="no playwright (pip install playwright)")
pytestmark = needs_chromium


def test_few_keys_decide_many_suggestions(tmp_path: Path, browser: Any) -> None:
    """A third of what `python -m tests.benchmarks review_keys` decides; sheets are fuller there."""
    path, truth = made_suggestions(tmp_path, images=60)
    with serving(path, Root(tmp_path)) as (review, url):
        terms = review.suggestions.terms
        right = np.array([truth[i, terms[t].tag] for i, t in zip(review.image, review.term, strict=True)])
        assert len(right) > 300
        curator = decide_all(review, url, browser, right, (1920, 1080))
        assert curator.keys <= 0.2 * len(right)


def test_labels_and_sheets(tmp_path: Path, browser: Any) -> None:
    """No label begins another; sheets hold each term once, never with a broader one, and fit into a view."""
    tags = [(["metal"], 9), (["metal", "gold"], 3), (["metal", "iron"], 2), (["wood"], 4), (["clay"], 1)]
    lines = [
        line(i, {"materials": [suggestion(path, 0.9) for path, count in tags if i < count]}) for i in range(9)
    ]
    lines[0]["tags"]["subjects"] = [suggestion(["portrait"], 0.8)]  # type: ignore[index]
    with serving(write_lines(tmp_path / "t.jsonl", lines), Root(tmp_path)) as (_, url):
        person = Person(browser, url)
        for count in (0, 1, 10, 21, 22, 30, 31, 119, 120, 121, 500):
            labels = person.page.evaluate(f"import('./sheets.js').then(m => m.labelsFor({count}))")
            assert len(labels) == min(count, 120)
            assert not any(one.startswith(other) for one, other in permutations(labels, 2))
            assert [len(one) for one in labels] == sorted(map(len, labels))
        sheets = person.page.evaluate(
            """async () => {
              const { get } = await import("./api.js");
              const { sheetsOf } = await import("./sheets.js");
              const { terms } = await get("terms");
              const names = (sheet) => sheet.map((one) => one.path.at(-1));
              return [18, 8, 1].map((room) => sheetsOf(terms, room).map(names));
            }"""
        )
        assert [sorted(map(sorted, found)) for found in sheets] == [
            [["clay", "metal", "wood"], ["gold", "iron"], ["portrait"]],
            [["clay", "gold", "wood"], ["iron"], ["metal"], ["portrait"]],
            [["clay"], ["gold"], ["iron"], ["metal"], ["portrait"], ["wood"]],
        ]
        person.context.close()


def test_terms_of_few_images_share_a_sheet(tmp_path: Path, browser: Any) -> None:
    tags = [(["metal", "gold"], 2), (["wood"], 2), (["clay"], 1)]
    lines = [
        line(i, {"materials": [suggestion(path, 0.9 - i / 2) for path, count in tags if i < count]})
        for i in range(2)
    ]
    with serving(write_lines(tmp_path / "t.jsonl", lines), Root(tmp_path)) as (review, url):
        person = Person(browser, url)
        assert sorted(person.term.split(", ")) == ["clay", "gold", "wood"]
        labels = person.page.locator("#sheet .tile .of-term").all_inner_texts()
        assert sorted(labels) == ["clay", "gold", "gold", "wood", "wood"]
        gold = next(i for i, mark in enumerate(person.marks()) if mark.startswith("0.png, gold"))
        person.press(*["ArrowRight"] * (gold + 1), "t")  # the line of gold alone
        assert sum("not marked" in mark for mark in person.marks()) == 1
        person.press(" ")
        assert review.decided == 1
        person.press("u")
        assert review.decided == 0
        assert len(person.marks()) == 5  # the sheet stays
        person.press("Enter")
        assert review.decided == 5
        assert (review.verdict == 2).sum() == 1
        person.press("u")
        assert sorted(person.term.split(", ")) == ["clay", "gold", "wood"]
        person.context.close()
