"""The review page in a real Chromium: both views by keyboard alone and by mouse alone."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eufcc_cli.core.files import Root
from eufcc_cli.core.tagging.review.review_state import Review
from eufcc_cli.core.taxonomy.decisions import read_decisions
from tests.core.report.chromium import needs_chromium
from tests.core.tagging.review.conftest import (
    METAL,
    SILK,
    line,
    make_root,
    make_suggestions,
    serving,
    suggestion,
    write_lines,
)
from tests.core.tagging.review.person import Person
from tests.core.tagging.review.test_state import verdicts

playwright = pytest.importorskip("playwright.sync_api", reason="no playwright (pip install playwright)")
pytestmark = needs_chromium
playwright.expect.set_options(timeout=100_000)  # a busy machine


@pytest.fixture
def opened(tmp_path: Path, root: Root, browser: Any) -> Iterator[tuple[Review, str, Person]]:
    with serving(make_suggestions(tmp_path), root) as (review, url):
        person = Person(browser, url)
        yield review, url, person
        host = url[: url.index("/", 8)]
        assert all(asked.startswith(host) for asked in person.asked)
        person.context.close()
        assert person.problems == []


def of_term(review: Review, tag: str) -> dict[int, str]:
    found = {i: verdicts(review, i).get(tag) for i in range(len(review.suggestions.images))}
    return {i: verdict for i, verdict in found.items() if verdict}


def test_by_term_with_the_keyboard(opened: tuple[Review, str, Person]) -> None:
    review, _, person = opened
    # It decides the most: metal above, bronze below; and there is room for a small one.
    assert person.term == "copper alloy, silk"
    person.open_term("bronze")
    first = person.marks()
    assert first[0].endswith("88 %, marked, contradicts the record")
    assert any(mark.endswith("not marked") for mark in first)
    person.press("ArrowRight", "ArrowRight", " ")
    assert of_term(review, "bronze") == {2: "rejected"}
    person.press("ArrowLeft", "ArrowDown", " ", "ArrowUp", " ", " ")
    assert of_term(review, "bronze")[1] == "accepted"  # twice: as it was
    marked = [mark.split(".")[0] for mark in person.marks() if ", marked" in mark or "accepted" in mark]
    person.press("Enter")
    decided = of_term(review, "bronze")
    assert len(decided) == 24
    assert {str(i) for i, verdict in decided.items() if verdict == "accepted"} == set(marked)
    assert verdicts(review, 0)["metal"] == "accepted"
    assert person.term != "bronze"
    person.press("u")
    assert person.term == "bronze"
    assert set(of_term(review, "bronze")) == {1, 2} | {i for i in of_term(review, "bronze") if i > 2}
    assert len(of_term(review, "bronze")) < 24
    labels = person.labels()
    person.press(*labels[4], *labels[11])
    assert (of_term(review, "bronze")[4], of_term(review, "bronze")[11]) == ("rejected", "rejected")
    person.press(*labels[4])  # again: as it was
    assert of_term(review, "bronze")[4] == "accepted"
    person.open_term("vase")
    person.press("a")
    assert set(of_term(review, "vase").values()) == {"accepted"}
    person.open_term("vase")
    person.press("r")
    assert set(of_term(review, "vase").values()) == {"rejected"}
    term = person.term
    person.press("j", "k")
    assert person.term == term


def test_by_term_with_the_mouse(opened: tuple[Review, str, Person]) -> None:
    review, _, person = opened
    person.open_term("bronze")
    person.click("#sheet .tile img", 3)
    assert of_term(review, "bronze") == {3: "rejected"}
    person.click("#sheet .tile img", 3)
    assert of_term(review, "bronze") == {3: "accepted"}
    person.click("#accept-marked")
    assert len(of_term(review, "bronze")) == 24
    person.click("#undo")
    assert of_term(review, "bronze") == {3: "accepted"}
    person.open_term("vase")
    person.click("#reject-all")
    assert set(of_term(review, "vase").values()) == {"rejected"}
    person.click("#undo")
    assert not of_term(review, "vase")
    person.click("#accept-all")
    assert len(of_term(review, "vase")) == 8
    name = person.term
    person.click("#next-term")
    person.click("#previous-term")
    assert person.term == name
    person.open_term("bronze")
    marks = person.marks()
    clicks = "tiles => [1, 2, 4].forEach(index => tiles[index].querySelector('img').click())"
    person.page.locator("#sheet .tile").evaluate_all(clicks)  # each before the one before is saved
    person.settle()
    rejected = {i for i, verdict in of_term(review, "bronze").items() if verdict == "rejected"}
    assert rejected == {int(marks[index].partition(".")[0]) for index in (1, 2, 4)}


def test_the_line_can_be_moved(opened: tuple[Review, str, Person]) -> None:
    review, _, person = opened
    person.open_term("vase")
    assert all("marked" in mark and "not" not in mark for mark in person.marks())
    person.press("ArrowRight", "t")
    assert [("not marked" in mark) for mark in person.marks()] == [False] * 2 + [True] * 6
    assert person.page.locator("#sheet .rule").is_visible()
    person.press("Enter")
    assert [verdict for _, verdict in sorted(of_term(review, "vase").items())] == ["accepted"] * 2 + [
        "rejected"
    ] * 6
    person.open_term("bronze")
    before = len([mark for mark in person.marks() if "not marked" in mark])
    person.page.locator("#threshold").fill("80")
    assert len([mark for mark in person.marks() if "not marked" in mark]) > before


def test_by_image_with_the_keyboard(opened: tuple[Review, str, Person]) -> None:
    review, _, person = opened
    person.press("v")
    assert person.text("#image-name") == "0.png"
    assert "textile › silk" in person.text("#record")
    assert person.page.locator(".chip").count() == 4
    person.press("2")
    assert verdicts(review, 0) == {"copper alloy": "rejected", "bronze": "rejected"}
    person.press("3")
    assert verdicts(review, 0)["bronze"] == "accepted"
    person.press("u", "Enter")
    assert verdicts(review, 0) == {
        "metal": "accepted",
        "copper alloy": "rejected",
        "bronze": "rejected",
        "vase": "accepted",
    }
    assert person.text("#image-name") == "1.png"
    person.press("j", "ArrowRight", "k")
    assert person.text("#image-name") == "2.png"
    person.press("r")
    assert set(verdicts(review, 2).values()) == {"rejected"}
    assert person.text("#image-name") == "3.png"
    person.press("/")
    person.page.keyboard.type("LLAUTO")
    person.settle()
    person.press("Enter")
    assert verdicts(review, 3) == {"metal": "accepted", "copper alloy": "accepted", "llautó": "added"}
    box = person.page.locator("#add")
    box.focus()
    box.blur()
    box.focus()
    person.page.keyboard.type("ceram")  # its English name
    person.page.wait_for_timeout(200)  # leaving the box a moment ago clears nothing that is typed now
    person.settle()
    assert "ceramic" in person.text("#found").split()
    person.press("ArrowDown", "ArrowUp", "Enter")
    assert verdicts(review, 3)["ceràmica"] == "added"
    person.press("?")
    assert person.page.locator("#help").is_visible()
    person.press("Escape")
    assert not person.page.locator("#help").is_visible()


def test_by_image_with_the_mouse(opened: tuple[Review, str, Person]) -> None:
    review, _, person = opened
    person.click("#by-image")
    person.click(".chip .yes", 2)
    assert verdicts(review, 0) == {"metal": "accepted", "copper alloy": "accepted", "bronze": "accepted"}
    person.click(".chip .no", 0)
    assert verdicts(review, 0) == {"metal": "rejected", "copper alloy": "rejected", "bronze": "rejected"}
    person.click(".chip .no", 0)  # again: as if it had not been decided
    assert "metal" not in verdicts(review, 0)
    person.click("#undo")
    assert verdicts(review, 0)["metal"] == "rejected"
    person.click("#next-image")
    person.click("#accept-rest")
    assert verdicts(review, 1) == {"metal": "accepted", "copper alloy": "accepted", "bronze": "accepted"}
    person.click("#image-list .entry", 5)
    assert person.text("#image-name") == "5.png"
    person.click("#reject-rest")
    assert set(verdicts(review, 5).values()) == {"rejected"}
    person.page.locator("#add").click()
    person.page.keyboard.type("silk")
    person.settle()
    person.click("#found li")
    assert verdicts(review, 6) == {"silk": "added"}
    person.click("#large")
    shown = person.page.locator("#zoom-picture")
    assert shown.evaluate("image => image.decode().then(() => image.naturalWidth)") == 96
    person.click("#close-zoom")


def test_a_number_is_that_of_a_suggestion_of_the_image_where_it_was_typed(
    tmp_path: Path, browser: Any
) -> None:
    tags = {"materials": [suggestion([f"tag {n}"], 0.9) for n in range(12)]}
    path = write_lines(tmp_path / "t.jsonl", [line(0, tags), line(1, tags)])
    with serving(path, Root(tmp_path)) as (review, url):
        person = Person(browser, url)
        person.press("v", "1")  # another digit may follow
        person.click("#next-image")
        assert person.text("#image-name") == "1.png"
        assert (verdicts(review, 0), verdicts(review, 1)) == ({"tag 0": "rejected"}, {})
        person.press("2")
        assert verdicts(review, 1) == {"tag 1": "rejected"}
        person.context.close()
        assert person.problems == []


def test_filters_reload_and_the_last_decision(opened: tuple[Review, str, Person]) -> None:
    review, _, person = opened
    person.press("f")
    person.page.select_option("[name=facet]", "objectTypes")
    person.settle()
    assert person.page.locator("#term-list .entry").count() == 1
    person.page.keyboard.press("Escape")
    person.click("#sheet .tile", 1)
    person.page.locator("#filter-button").click()
    person.page.locator("[name=undecided]").check()
    person.settle()
    assert len(person.marks()) == 7
    person.page.reload()
    person.page.wait_for_selector("#sheet .tile")
    person.settle()
    assert (person.term, len(person.marks())) == ("vase", 7)
    assert person.text("#left") == "80 left of 81"
    person.press("u")  # what was done before the reload
    assert review.decided == 0
    person.page.locator("#filter-button").click()
    person.page.locator("#filters button[type=reset]").click()
    person.settle()
    assert person.page.locator("#term-list .entry").count() == 5
    for _ in range(5):
        person.press("a")
    assert person.text("#left") == "all 81 decided"
    assert person.page.locator("#finished").is_visible()
    assert review.path in person.text("#finished")


def test_two_pages_see_each_other(opened: tuple[Review, str, Person], browser: Any) -> None:
    review, url, ann = opened
    bob = Person(browser, url)
    ann.open_term("bronze")
    ann.press(" ")
    bob.open_term("bronze")
    playwright.expect(bob.page.locator("#left")).to_have_text("80 left of 81")
    assert bob.marks()[-1].startswith("0.png") and "rejected" in bob.marks()[-1]
    assert "already decided" in bob.text("#sheet .rule >> nth=-1")
    bob.press(" ")
    playwright.expect(ann.page.locator("#left")).to_have_text("79 left of 81")
    assert [mark.split(", ")[2] for mark in ann.marks()[:3]] == ["rejected", "rejected", "marked"]
    ann.press("u")
    assert of_term(review, "bronze") == {1: "rejected"}  # hers alone
    ann.press("End", " ")
    bob.press("End", " ")  # before his page has asked what she did
    last = bob.page.locator("#sheet .tile[aria-label^='23.png']")
    playwright.expect(last).to_have_attribute("aria-label", re.compile("accepted"))
    assert bob.problems == []
    bob.context.close()


def test_an_answer_that_was_cut_off_is_said_and_the_next_key_works(
    opened: tuple[Review, str, Person],
) -> None:
    review, _, person = opened
    person.open_term("bronze")
    person.page.route("**/api/decide", lambda route: route.fulfill(body='{"changed": ['))
    person.press(" ")
    assert "does not answer" in person.text("#problem")
    person.page.unroute("**/api/decide")
    person.press(" ")
    assert of_term(review, "bronze") == {0: "rejected"}
    assert not person.page.locator("#problem").is_visible()


def test_hostile_names_are_only_text(tmp_path: Path, browser: Any) -> None:
    hostile = "<img src=x onerror=document.title='bad'>"
    tags = {"materials": [suggestion([hostile, f"{hostile}2"], 0.9), suggestion([hostile], 0.9)]}
    path = write_lines(tmp_path / "t.jsonl", [{**line(0, tags), "image": f"{hostile}.jpg"}])
    with serving(path, Root(tmp_path)) as (_, url):
        person = Person(browser, url)
        assert hostile in person.term
        person.press("v", "/")
        person.page.keyboard.type("<img")
        person.settle()
        assert hostile in person.text("#found")
        assert "review" in person.page.title()
        assert person.problems == []
        person.context.close()


def test_small_and_large_windows(tmp_path: Path, root: Root, browser: Any) -> None:
    with serving(make_suggestions(tmp_path, 8), root) as (_, url):
        for size in ((400, 800), (1200, 800), (3840, 2160)):
            person = Person(browser, url, *size)
            assert not person.wide()
            person.press("f")
            assert not person.wide()
            person.press("Escape", "v")
            assert not person.wide()
            person.press("?")
            assert not person.wide()
            assert person.problems == []
            person.context.close()


def contrast(colours: list[str]) -> float:
    def luminance(colour: str) -> float:
        parts = [float(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
        linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted(map(luminance, colours), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_and_everything_has_a_name(
    tmp_path: Path, root: Root, browser: Any, scheme: str
) -> None:
    with serving(make_suggestions(tmp_path, 8), root) as (_, url):
        person = Person(browser, url)
        person.page.emulate_media(color_scheme=scheme)
        for view in ("terms", "images"):
            pairs = person.page.evaluate(
                """() => {
                  const behind = (node) => {
                    for (let at = node; at; at = at.parentElement) {
                      const colour = getComputedStyle(at).backgroundColor;
                      if (!/, 0\\)$|transparent/.test(colour)) return colour;
                    }
                    return "rgb(255, 255, 255)";
                  };
                  return [...document.querySelectorAll("body *")]
                    .filter((node) => node.offsetParent && !node.matches("option, :disabled, :disabled *")
                      && [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim()))
                    .map((node) => [node.outerHTML.slice(0, 80), getComputedStyle(node).color, behind(node)]);
                }"""
            )
            assert len(pairs) > 20
            poor = [
                (text, round(contrast(colours), 2)) for text, *colours in pairs if contrast(colours) < 4.5
            ]
            assert not poor
            nameless = person.page.evaluate(
                """() => [...document.querySelectorAll("button, input, select, [role]:not([role=status])")]
                  .filter((node) => node.offsetParent && node.getAttribute("aria-hidden") !== "true")
                  .filter((node) => !(node.getAttribute("aria-label") ?? node.getAttribute("aria-labelledby"))
                    && !node.textContent.trim() && !node.labels?.length)
                  .map((node) => node.outerHTML.slice(0, 80))"""
            )
            assert view and not nameless
            person.press("v")
        person.context.close()


def test_ten_thousand_images_are_a_few_elements(tmp_path: Path, browser: Any) -> None:
    make_suggestions(tmp_path, 1)
    lines = [
        line(0, {"materials": [suggestion(METAL, 0.9), suggestion(SILK, 0.6)]}, id=str(i))
        for i in range(10_000)
    ]
    with serving(write_lines(tmp_path / "big.jsonl", lines), Root(tmp_path)) as (review, url):
        person = Person(browser, url)
        shown = person.page.locator("#sheet .tile")
        assert shown.count() < 100
        person.press("End")
        assert shown.last.get_attribute("aria-posinset") == "10000"
        person.page.evaluate("document.querySelector('#sheet').scrollTop = 0")
        person.press("Home", "Enter")
        assert review.decided == 10_000  # all were on the way to the end
        person.press("u")
        assert review.decided == 0
        person.open_term("silk")
        person.press("Enter")
        assert "have not been on the screen" in person.text("#unseen")
        assert review.decided == 0
        person.press("Enter")
        assert review.decided == 10_000
        person.press("v")
        assert person.page.locator("#image-list .entry").count() < 100
        person.context.close()
        assert person.problems == []


def test_a_killed_server_loses_nothing_that_was_shown_as_saved(
    tmp_path: Path, eufcc_command: str, browser: Any
) -> None:
    make_root(tmp_path / "root")
    path = make_suggestions(tmp_path, 60)
    command = [
        eufcc_command,
        "--root",
        tmp_path / "root",
        "tag",
        "--review",
        path,
        "--no-browser",
        "--reviewer",
        "ann",
    ]
    server = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=tmp_path, stderr=subprocess.DEVNULL
    )
    try:
        assert server.stdout is not None
        person = Person(browser, server.stdout.readline().strip(), 1800, 2000)
        person.open_term("metal")
        for presses in range(1, 101):
            person.page.keyboard.press(" ")
            person.page.keyboard.press("ArrowRight")
            if presses == 40:
                person.page.wait_for_selector("#sheet .tile.decided")
                os.kill(server.pid, signal.SIGKILL)
        person.page.wait_for_selector("#problem:not([hidden])")
        person.settle()
        assert "does not answer" in person.text("#problem")
        shown = {
            mark.split(", ")[0]: mark.split(", ")[2]
            for mark in person.marks()
            if "accepted" in mark or "rejected" in mark
        }
        person.context.close()
    finally:
        server.kill()
        server.wait()
    saved = {
        (Path(d.image).name): d.verdict
        for d in read_decisions(tmp_path / "tags.decisions.jsonl")
        if d.tag == "metal"
    }
    assert shown
    assert shown.items() <= saved.items()
    assert len(saved) - len(shown) <= 1
    with serving(path, Root(tmp_path / "root")) as (_, url):
        again = Person(browser, url, 1800, 2000)
        again.open_term("metal")
        left = again.text("#counts").removesuffix(" to decide").split()[-1]
        assert 60 - int(left) >= len(shown)
        again.context.close()


def test_ctrl_c_ends_it_cleanly(tmp_path: Path, eufcc_command: str, browser: Any) -> None:
    path = make_suggestions(tmp_path, 6)
    server = subprocess.Popen(
        [eufcc_command, "tag", "--review", path, "--no-browser"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    assert server.stdout is not None
    person = Person(browser, server.stdout.readline().strip())
    person.press(" ")
    server.send_signal(signal.SIGINT)
    out, err = server.communicate(timeout=200)
    assert server.returncode == 0, err
    assert out == ""
    assert "1 decided now, 1 in all, 20 left" in err
    assert "Traceback" not in err
    person.context.close()
    (decision,) = map(json.loads, (tmp_path / "tags.decisions.jsonl").read_text().splitlines())
    assert (decision["tag"], decision["verdict"]) == ("bronze", "rejected")
