"""The methods: what a model's outputs mean, how they are trained, and how scores are computed.

Every vision method reads the same logits z of a facet with tags 1..n. They differ in how the outputs are
grouped and normalised, in the targets of a group, and in how a tag's score is computed:

====================  =======================  ====================================  =====================
method                groups                   target                                score of a tag
====================  =======================  ====================================  =====================
multilabel            each tag                 every true tag                        sigmoid
asl                   each tag                 every true tag, asymmetric focus      sigmoid
multilabel-coherent   each tag                 closed under ancestors                largest sigmoid below it
softmax               one                      uniform over the true tags            softmax
softmax-wce           one                      as softmax, rare tags weigh more      softmax
hsoftmax-levels       the tags of one depth    uniform over a depth's true tags      product along the path
hsoftmax-nodes        the children of one tag  uniform over a tag's true children    product along the path
====================  =======================  ====================================  =====================

All of it is computed in log space, in float32 at least, whatever the precision of the logits. The loss of an
image in a facet is the mean over its groups; an image without true tags has no loss and no gradient.

Inside, arrays are laid out outputs x batch: sums over groups then add whole rows, which is several times
faster than adding single elements, and needs no loop over groups.

A method is one class in one file, registered by its name; its settings are options of `eufcc train`. These
modules import torch inside their functions, because the command's help lists the settings of all methods.
"""

# ruff: noqa: I001  (the methods are listed in the order in which they are registered: the paper's first)
from eufcc_cli.core.model.methods.method import (
    METHODS,
    Method,
    find_method,
    full_precision,
    method_settings,
    register_method,
)
from eufcc_cli.core.model.methods.multilabel import Multilabel
from eufcc_cli.core.model.methods.softmax import Grouped, Softmax
from eufcc_cli.core.model.methods.softmax_wce import WeightedSoftmax
from eufcc_cli.core.model.methods.hsoftmax_levels import Hierarchical, HSoftmaxLevels
from eufcc_cli.core.model.methods.hsoftmax_nodes import HSoftmaxNodes
from eufcc_cli.core.model.methods.asl import AsymmetricLoss
from eufcc_cli.core.model.methods.multilabel_coherent import CoherentMultilabel
from eufcc_cli.core.model.methods.clip_one_tag import ClipMethod, ClipOneTag
from eufcc_cli.core.model.methods.clip_all_tags import ClipAllTags
from eufcc_cli.core.model.methods.clip_one_tag_prompt import ClipOneTagPrompt
from eufcc_cli.core.settings import setting

__all__ = [
    "METHODS",
    "AsymmetricLoss",
    "ClipAllTags",
    "ClipMethod",
    "ClipOneTag",
    "ClipOneTagPrompt",
    "CoherentMultilabel",
    "Grouped",
    "HSoftmaxLevels",
    "HSoftmaxNodes",
    "Hierarchical",
    "Method",
    "Multilabel",
    "Softmax",
    "WeightedSoftmax",
    "find_method",
    "full_precision",
    "method_settings",
    "register_method",
    "setting",
]
