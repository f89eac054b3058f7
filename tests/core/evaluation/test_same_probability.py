"""The report's cards show the probability that `tag` shows, broader terms never below narrower ones."""

from pathlib import Path

import pytest

from eufcc_cli.core.evaluation.results import Measures, measure
from eufcc_cli.core.evaluation.scores.eval_split import read_split
from eufcc_cli.core.evaluation.scores.scoring import ModelScorer
from eufcc_cli.core.files import Root
from eufcc_cli.core.model.checkpoint import load_model
from eufcc_cli.core.report.samples import choose
from eufcc_cli.core.tagging.records import Catalogue
from eufcc_cli.core.tagging.selection import Choice
from eufcc_cli.core.tagging.tagger import Tagger


def test_the_same_probability_in_the_report_and_in_tag(trained: Path) -> None:
    root = Root(trained)
    model = load_model("small", root, "cpu", "fp32")
    assert "calibration" in model.config
    split = read_split(root, "test_id")
    source = ModelScorer(model, root, "small", keep=False)
    samples = choose(measure(source, split, source.scores(split), Measures(details=True)))
    tagger = Tagger([model], Choice(threshold=0.0), root)
    tagged = {
        result.input.id: result for result in tagger.tag(Catalogue.read(root.table("test_id"), root).inputs())
    }
    compared = 0
    for sample in (sample for some in samples.values() for sample in some):
        for facet in sample.facets:
            by_tag = {tag.tag: tag.score for tag in tagged[sample.image_id].tags[facet.facet]}
            shown = {found.tag: found.probability for found in facet.predicted}
            for found in facet.predicted:
                assert found.probability == pytest.approx(by_tag[found.tag], rel=1e-3, abs=1e-5)
                above = [shown[name] for name in found.path.split(" › ") if name in shown]
                assert all(p >= found.probability * (1 - 1e-6) for p in above)
                compared += 1
    assert compared > 20
