"""The types of what `__init__.py` imports when it is asked for."""

from eufcc_cli.api import Evaluation as Evaluation
from eufcc_cli.api import Scored as Scored
from eufcc_cli.api import Tagger as Tagger
from eufcc_cli.api import build_trees as build_trees
from eufcc_cli.api import evaluate as evaluate
from eufcc_cli.api import load_model as load_model
from eufcc_cli.api import predict as predict
from eufcc_cli.api import print_trees as print_trees
from eufcc_cli.api import rank_metrics as rank_metrics
from eufcc_cli.api import train as train
from eufcc_cli.core.errors import EufccError as EufccError
from eufcc_cli.core.files import Root as Root
from eufcc_cli.core.model.methods import register_method as register_method
from eufcc_cli.core.model.methods import setting as setting
from eufcc_cli.core.training.configuration.config import TrainConfig as TrainConfig

__version__: str
