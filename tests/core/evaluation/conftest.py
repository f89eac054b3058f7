from pathlib import Path

import pytest

from eufcc_cli.core.files import Root
from tests.core.evaluation.tiny import make_root, save_model


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Root:
    """A small collection with three models: ml, s, hn."""
    folder: Path = tmp_path_factory.mktemp("collection")
    made = make_root(folder)
    save_model(made, "ml", "multilabel", 0)
    save_model(made, "s", "softmax", 1)
    save_model(made, "hn", "hsoftmax-nodes", 2)
    return made
