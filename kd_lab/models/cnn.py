"""Convolutions over word vectors: Kim's network for sentences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kd_lab.core.errors import UserError
from kd_lab.core.option_types import NonEmpty, ShareBelowOne, Units, WindowWidths
from kd_lab.core.types import Batch, ModelShape, Outputs
from kd_lab.models.embedding_classifier import EmbeddingClassifier
from kd_lab.models.fused.dropout import QuickDropout
from kd_lab.models.spec import BuildContext
from kd_lab.models.word_vectors import StartsFromWordVectors


class CnnClassifier(EmbeddingClassifier):
    """Embedding -> convolutions of several widths, ReLU -> maximum over time -> linear head (Kim, arXiv:1408.5882).

    As in Kim's own code a window may reach beyond either end of the text, where the vectors are 0, so that a text of
    one token has windows too; one that holds padding alone counts as none. The convolution is written as a linear
    layer over the windows' vectors, which says the same and which all quantizers know. Kim's bound on the norm of
    the head's rows is left to the optimizer's weight decay.
    """

    head: tuple[str, ...] = ("embedding", "windows", "classifier")

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        self.widths = [int(width) for width in config["widths"]]
        self.windows = nn.ModuleList(nn.Linear(width * config["embedding"], config["maps"]) for width in self.widths)
        self.dropout = QuickDropout(config["dropout"])
        self.classifier = nn.Linear(len(self.widths) * config["maps"], config["classes"])

    def forward(self, batch: Batch) -> Outputs:
        """Logits (B, C) and, when asked for, of each token the maps of the windows that begin at it, (B, T, H)."""
        mask = batch.attention_mask
        vectors = self.embedding(batch.input_ids)
        vectors = vectors * mask[..., None].to(vectors.dtype)
        maps = [self._maps(vectors, mask, *each) for each in zip(self.widths, self.windows, strict=True)]
        pooled = torch.cat([one.amax(1) for one in maps], -1)
        logits = self.classifier(self.dropout(pooled))
        if "hidden" not in self.returns:
            return Outputs(logits.float())
        starts = [one[:, width - 1 :] for width, one in zip(self.widths, maps, strict=True)]
        return Outputs(logits.float(), torch.cat(starts, -1).float())

    def _maps(self, vectors: Tensor, mask: Tensor, width: int, layer: nn.Module) -> Tensor:
        """(B, T + width - 1, maps), at least 0: what each window of this width says; 0 where it holds no token."""
        beyond = width - 1
        places = vectors.shape[1] + beyond
        wide = F.pad(vectors, (0, 0, beyond, beyond))
        windows = torch.cat([wide[:, shift : shift + places] for shift in range(width)], -1)
        said = torch.relu(layer(windows))
        return said * F.pad(mask, (beyond, 0), value=1)[..., None].to(said.dtype)


@dataclass(frozen=True)
class Cnn(StartsFromWordVectors):
    """How to build Kim's network, its word vectors by the options of `StartsFromWordVectors`.

    Widths, maps and dropout are his; his word vectors have 300 entries.

    Args:
        name: what results call it.
        widths: pieces in a window, one convolution for each.
        maps: feature maps of each.
        dropout: probability before the head.
    """

    name: NonEmpty = "cnn"
    widths: WindowWidths = (3, 4, 5)
    maps: Units = 100
    dropout: ShareBelowOne = 0.5

    kind: ClassVar[type[CnnClassifier]] = CnnClassifier

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(set(self.widths)) < len(self.widths):
            cure = "Name each once, e.g. model.widths=[3,4,5]."
            raise UserError("model.widths", expected="each width once", got=str(list(self.widths)), cure=cure)

    @property
    def shape(self) -> ModelShape:
        """What a loss can ask it for: what its windows say."""
        return ModelShape(frozenset({"logits", "hidden"}), self.maps * len(self.widths))

    def build(self, context: BuildContext) -> CnnClassifier:
        """The student in training mode."""
        shape = {"embedding": self.embedding, "widths": list(self.widths), "maps": self.maps, "dropout": self.dropout}
        return self.started(CnnClassifier({**self.sizes(context), **shape}), context)
