"""The arithmetic that a model cannot do without: multiplications and additions of its matrix products, for real tokens.

Of each row, with n word pieces and no padding, a layer of width H and feed-forward width F multiplies
2 n (4 H^2 + 2 H F) for its weights and 4 n^2 H for attention. Where the last layer is computed for the first token
alone, it is 4 n H^2 + 4 H^2 + 4 H F and 4 n H. The head takes 2 H^2 + 2 H C. Embeddings, normalisation, softmax,
activations and the optimizer count for nothing. A training step is three forward passes: one, and two for gradients.
"""

from __future__ import annotations

import numpy as np

from kd_lab.models.architectures import LAYOUTS
from kd_lab.models.base import TorchClassifier


def forward(model: TorchClassifier, lengths: np.ndarray, *, all_tokens: bool) -> float | None:
    """Operations of a forward pass, the mean over rows; None for a model whose arithmetic is not known here.

    Args:
        model: an encoder of full shape.
        lengths: (N,) word pieces in each row.
        all_tokens: whether the last layer is computed for all tokens.
    """
    layout = LAYOUTS.get(model.config.get("model_type", ""))
    if layout is None:
        return None
    layers, width, grown = (model.config[name] for name in (layout.layer_count, layout.width, layout.feed_forward))
    tokens = lengths.astype(np.float64)
    layer = 2 * tokens * (4 * width**2 + 2 * width * grown) + 4 * tokens**2 * width
    first = 4 * tokens * width**2 + 4 * width**2 + 4 * width * grown + 4 * tokens * width
    head = 2 * width**2 + 2 * width * model.config["num_labels"]
    return float(((layers - 1) * layer + (layer if all_tokens else first) + head).mean())


def of_sides(student: TorchClassifier, teacher: TorchClassifier, lengths: np.ndarray) -> dict[str, float]:
    """Side -> operations of a training step for one row; empty where they are not known.

    What a side computes needlessly, for padding or for tokens that no head reads, counts where the peers' own code does
    it for real tokens: ours computes less, and is given less.
    """
    ours = forward(student, lengths, all_tokens=False)
    theirs, taught = (forward(model, lengths, all_tokens=True) for model in (student, teacher))
    if ours is None or theirs is None or taught is None:
        return {}
    peer = 3 * theirs + taught
    return {"a": peer, "b": peer, "ours": 3 * ours, "bare": 3 * ours, "eager": 3 * ours}
