"""softmax-wce: softmax, rare tags weigh more."""

from typing import TYPE_CHECKING, ClassVar

from eufcc_cli.core.errors import ModelError
from eufcc_cli.core.model.methods.method import register_method
from eufcc_cli.core.model.methods.softmax import Softmax

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

    from eufcc_cli.core.taxonomy.vocabulary import FacetVocabulary


@register_method("softmax-wce")
class WeightedSoftmax(Softmax):
    """Softmax whose terms weigh in proportion to 1 / (images with the tag), 1 on average."""

    paper: ClassVar = "Softmax (WCE)"

    def prepare(self, vocabulary: "FacetVocabulary", tag_counts: "np.ndarray | None") -> None:
        import numpy as np
        import torch

        super().prepare(vocabulary, tag_counts)
        self.weights = None
        if tag_counts is not None:
            # A tag without training images never is a target: its weight takes no part in the mean.
            rarity = 1.0 / np.maximum(tag_counts, 1)
            mean = rarity[tag_counts > 0].mean() if (tag_counts > 0).any() else 1.0
            self.weights = torch.from_numpy(rarity / mean).float()[:, None]

    def targets(self, truth: "Tensor", dtype: "torch.dtype") -> "Tensor":
        if self.weights is None:
            raise ModelError("softmax-wce: cannot be trained without the number of images of each tag")
        return super().targets(truth, dtype) * self.weights
