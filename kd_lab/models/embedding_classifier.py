"""What the small students that begin with word vectors have alike."""

from __future__ import annotations

from typing import Any

from torch import nn

from kd_lab.models.base import TorchClassifier
from kd_lab.models.factorised_embedding import FactorisedEmbedding


class EmbeddingClassifier(TorchClassifier):
    """A classifier whose first layer is `embedding`, one vector for each word piece, whole or factorised.

    Its config says `vocabulary` (V), `embedding` (the vectors' width), `pad_id`, and `embedding_rank` where the
    table is factorised.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        vocabulary, rank, pad_id = config["vocabulary"], config.get("embedding_rank"), config["pad_id"]
        self.embedding: nn.Embedding | FactorisedEmbedding
        if rank is None:
            self.embedding = nn.Embedding(vocabulary, config["embedding"], padding_idx=pad_id)
        else:
            self.embedding = FactorisedEmbedding(vocabulary, rank, config["embedding"], pad_id)
