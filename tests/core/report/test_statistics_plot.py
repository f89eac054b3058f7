"""The statistics of a collection against loops over its rows, and the published figure as a file."""

from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from PIL import Image

from eufcc_cli.core.errors import EufccError
from eufcc_cli.core.report.statistics_plot import check_plot_file, plot_statistics
from eufcc_cli.core.taxonomy.hierarchy import build_trees
from eufcc_cli.core.taxonomy.statistics import Statistics, statistics
from eufcc_cli.core.taxonomy.tables.annotation_files import read_table
from eufcc_cli.core.taxonomy.tables.annotations import FACETS, PROVIDER, facet_column
from tests import oracles
from tests.core.taxonomy.tables import CELLS, table


@given(CELLS, CELLS)
def test_numbers_equal_those_counted_row_by_row(first: list[str], second: list[str]) -> None:
    tables = {"train": table(materials=first), "val": table(materials=second)}
    tables["train"][PROVIDER] = ["museu"] * len(first)
    numbers = statistics(tables, build_trees(tables.values(), ["materials"]))
    cells = first + second
    facet = numbers.facets["materials"]
    sizes = [len(oracles.tags_of(cell)) for cell in cells if cell]
    assert numbers.images == {"train": len(first), "val": len(second)} and numbers.total == len(cells)
    assert numbers.providers == ({"museu": len(first)} if first else {})
    assert facet.tags_per_image == Counter(sizes) and facet.annotated == len(sizes)
    assert facet.mean == pytest.approx(sum(sizes) / max(len(sizes), 1))
    assert facet.most == max(sizes, default=0)
    assert numbers.coverage("materials") == len(sizes) / max(len(cells), 1)
    assert facet.images_per_tag == sorted(map(len, oracles.images_of(cells).values()), reverse=True)
    counts = {tag: len(images) for tag, images in oracles.images_of(cells).items()}
    assert facet.most_frequent == sorted(counts.items(), key=lambda tag: (-tag[1], tag[0]))[:25]
    depths = Counter(node.depth for node in oracles.tree_of(cells)[None].descendants)
    assert dict(enumerate(facet.tags_per_depth, start=1)) == depths


def example() -> Statistics:
    tables = {"train": table(objectTypes=["a | b", "a", "c $ d $ e", ""], materials=["x", "", "", ""])}
    return statistics(tables, build_trees(tables.values()))


def test_the_figure_is_drawn_in_three_formats(tmp_path: Path) -> None:
    for name in ("plot.png", "plot.SVG", "plot.pdf"):
        plot_statistics(example(), tmp_path / name)
    with Image.open(tmp_path / "plot.png") as image:
        assert image.format == "PNG" and image.width >= 1500
        assert len(image.convert("RGB").getcolors(1 << 24) or []) > 100
    drawing = ElementTree.parse(tmp_path / "plot.SVG").getroot()
    assert drawing.tag.endswith("svg")
    text = (tmp_path / "plot.SVG").read_text()
    for label in ("Tags per image", "Images per tag", "objectTypes (75% of images)", "objectTypes (5 tags)",
                  "Most frequent objectTypes", "Most frequent materials", "c", "x"):  # fmt: skip
        assert f"<!-- {label} -->" in text
    assert (tmp_path / "plot.pdf").read_bytes().startswith(b"%PDF-")


def test_the_same_numbers_make_the_same_file(tmp_path: Path) -> None:
    for ending in ("png", "svg", "pdf"):
        one, two = tmp_path / f"1.{ending}", tmp_path / f"2.{ending}"
        plot_statistics(example(), one)
        plot_statistics(example(), two)
        assert one.read_bytes() == two.read_bytes()


def test_a_collection_without_annotations_can_be_drawn(tmp_path: Path) -> None:
    tables = {"train": table(materials=[""])}
    plot_statistics(statistics(tables, build_trees(tables.values())), tmp_path / "p.png")
    assert (tmp_path / "p.png").stat().st_size > 0


def test_other_formats_are_refused() -> None:
    with pytest.raises(EufccError, match=r"plot\.gif: plots are written as PNG, SVG, PDF") as caught:
        check_plot_file(Path("plot.gif"))
    assert caught.value.hint


def test_real_figures(shared_data: Path) -> None:
    real = read_table(shared_data / "eufcc-340k" / "test_id.csv")
    numbers = statistics({"test_id": real}, build_trees([real]))
    assert numbers.total == 2633 and len(numbers.providers) == real[PROVIDER].nunique() == 120
    coverage = {facet: round(numbers.coverage(facet), 2) for facet in FACETS}
    assert coverage == {"objectTypes": 0.96, "materials": 0.85, "classifications": 0.12, "subjects": 0.09}
    for facet in FACETS:
        sizes = [len(oracles.tags_of(cell)) for cell in real[facet_column(facet)] if cell]
        assert numbers.facets[facet].mean == pytest.approx(sum(sizes) / len(sizes))
