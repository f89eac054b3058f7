import pytest

from eufcc_cli.core.evaluation.bootstrap import Bootstrap
from eufcc_cli.core.evaluation.comparison import Comparison, compare
from eufcc_cli.core.evaluation.results import Measures
from eufcc_cli.core.evaluation.scores.ensembles import Ensemble
from eufcc_cli.core.evaluation.scores.eval_split import read_split
from eufcc_cli.core.files import Root
from tests.core.evaluation.tiny import make_root, random_source

HOSTILE = """<script>alert(1)</script>"><img src=x onerror=alert(2)> & {{ 7 * 7 }} 50% a_b \\ ~ ^"""


@pytest.fixture(scope="package")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Root:
    return make_root(tmp_path_factory.mktemp("collection"))


@pytest.fixture(scope="package")
def comparison(collection: Root) -> Comparison:
    """Two models and their ensemble on both tests, with everything measured, and names that want to harm."""
    splits = [read_split(collection, name) for name in ("test_id", "test_ood")]
    for split in splits:
        split.frame.loc[2, "repository.keeper"] = HOSTILE
        split.frame.loc[2, "idInSource"] = f"{HOSTILE}{split.name}"
    ml = random_source(collection, "ml", 0, method="multilabel")
    softmax = random_source(collection, HOSTILE, 1, method="softmax")
    made = compare(
        [ml, softmax, Ensemble([ml, softmax])],
        splits,
        collection,
        measures=Measures(threshold=0.3, details=True),
        bootstrap=Bootstrap(50),
    )
    assert made is not None
    return made
