import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from defusedxml import ElementTree

from eufcc_cli.core.evaluation.results import Measures, measure
from eufcc_cli.core.report import plots
from eufcc_cli.core.report.html import render_page
from eufcc_cli.core.report.samples import choose
from eufcc_cli.core.taxonomy.names import Names
from tests.core.report.chromium import Chromium, needs_chromium
from tests.core.report.conftest import HOSTILE


@pytest.fixture(scope="module")
def page(comparison):
    return render_page(comparison, paper=True)


class Elements(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.text = set(), [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text.append(data)


def test_everything_from_the_data_is_escaped_and_nothing_is_loaded(page):
    found = Elements(page)
    assert found.tags == {
        "html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "h4", "ul", "ol", "li", "div",
        "table", "thead", "tbody", "tr", "th", "td", "figure", "figcaption", "img", "article", "strong",
        "span", "footer", "p",
    }  # fmt: skip
    text = " ".join(found.text)
    assert HOSTILE in text
    assert "49" not in re.findall(r"& (\S+) 50%", text)
    sources = [value for name, value in found.attributes if name == "src"]
    assert sources
    assert all(
        source.startswith(("data:image/svg+xml;base64,", "data:image/jpeg;base64,")) for source in sources
    )
    assert {name for name, _ in found.attributes if name.startswith("on")} == set()
    assert not re.search(r"https?://", page)


def test_the_page_is_the_same_each_time(comparison, page):
    assert render_page(comparison, paper=True) == page


def test_plots_are_images_of_their_own_and_readable_without_colour(comparison):
    for svg in (plots.facets_plot(comparison), plots.depths_plot(comparison)):
        root = ElementTree.fromstring(svg)
        words = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
        for name in ("ml", HOSTILE, "test_id", "test_ood"):
            assert name in words
    providers = plots.providers_plot(comparison.results[:1])
    assert "museum 0" in providers
    assert "&lt;script&gt;" in providers
    assert "<pattern" in plots.facets_plot(comparison)


def test_samples_are_the_worst_the_best_and_others(comparison):
    result = comparison.results[0]
    chosen = choose(result, each=3)
    assert {name: len(some) for name, some in chosen.items()} == {"worst": 3, "best": 3, "random": 3}
    ids = [sample.image_id for some in chosen.values() for sample in some]
    assert len(set(ids)) == 9
    means = {}
    for facet in result.facets.values():
        for row, value in zip(facet.rows, facet.values["r_precision"], strict=True):
            means.setdefault(result.split.ids[row], []).append(value)
    means = {image_id: sum(values) / len(values) for image_id, values in means.items()}
    ordered = sorted(means.values())
    assert sorted(sample.r_precision for sample in chosen["worst"]) == ordered[:3]
    assert sorted(sample.r_precision for sample in chosen["best"]) == ordered[-3:]
    for some in chosen.values():
        for sample in some:
            assert sample.r_precision == pytest.approx(means[sample.image_id])
            for facet in sample.facets:
                probabilities = [found.probability for found in facet.predicted]
                assert probabilities == sorted(probabilities, reverse=True)
                for found in facet.predicted:
                    assert (found.verdict == "correct") == (found.tag in facet.true)
    assert choose(result, each=3, seed=1)["random"] != chosen["random"]


def test_a_split_of_few_images_shows_each_once(comparison):
    result = comparison.results[0]
    split = result.split
    few = type(split)(split.name, split.table, split.frame[:4].reset_index(drop=True))
    source = type("Few", (), {"name": "few", "method": "x", "vocabulary": result.vocabulary})
    from eufcc_cli.core.evaluation.scores.eval_split import Scores
    from tests.core.evaluation.tiny import random_source

    tables = random_source(comparison.root, "few").tables["test_id"]
    scores = Scores(few.frame.index.to_numpy(), {facet: table[:4] for facet, table in tables.items()})
    small = measure(source, few, scores, Measures(details=True, threshold=0.5))
    chosen = choose(small)
    assert sum(map(len, chosen.values())) == small.images == 3
    assert render_page(replace(comparison, results=[small], differences=[], bootstrap=None))


@needs_chromium
def test_in_a_browser(comparison, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(render_page(comparison, paper=True), encoding="utf-8")
    with Chromium(tmp_path / "profile") as browser:
        for width in (1200, 400):
            browser.open(path, width)
            assert browser.evaluate("document.documentElement.scrollWidth") <= width
            assert browser.evaluate("document.body.innerText").count("R-Prec") > 4
        assert browser.evaluate(
            "[...document.images].every(image => image.complete && image.naturalWidth > 0)"
        )
        assert browser.evaluate("document.querySelectorAll('.card img').length") > 10
        assert browser.messages == []
        assert [url for url in browser.requested() if not url.startswith("data:")] == [path.as_uri()]
        colours = "[...document.querySelectorAll('.legend li')].map(item => getComputedStyle(item).color)"
        assert len(set(browser.evaluate(colours))) == 3
        marks = "[...document.querySelectorAll('.legend li')].map(item => item.innerText[0])"
        assert browser.evaluate(marks) == ["✓", "≈", "✗"] * 2


def test_tags_are_shown_by_their_names_in_a_language(comparison, monkeypatch):
    def texts(page):
        return set(Elements(page).text)

    names = Names()
    names.add("materials", "bronze", "fr", "airain")
    monkeypatch.setattr("eufcc_cli.core.taxonomy.names.read_names", lambda path: names)
    french, plain = render_page(comparison, language="fr"), render_page(comparison)
    assert "airain" in texts(french)
    assert "bronze" not in texts(french)
    assert "metal › airain (bronze)" in french  # the tag stays what it is
    assert "bronze" in texts(plain)
    assert "airain" not in plain
