"""A word embedding as the product of two smaller matrices."""

from __future__ import annotations

from torch import Tensor, nn


class FactorisedEmbedding(nn.Module):
    """Looks up r numbers for each word piece and widens them to H: V * r + r * H weights in place of V * H.

    The form is ALBERT's factorised embedding (arXiv:1909.11942, section 3.1).

    Args:
        vocab_size: V, number of word pieces.
        rank: r, numbers kept for each piece.
        width: H, of the vectors that come out.
        pad_id: the piece whose vector gets no gradient, or None.
    """

    def __init__(self, vocab_size: int, rank: int, width: int, pad_id: int | None) -> None:
        super().__init__()
        self.pieces = nn.Embedding(vocab_size, rank, padding_idx=pad_id)
        self.widen = nn.Linear(rank, width, bias=False)

    def forward(self, ids: Tensor) -> Tensor:
        """(B, T) int64 to (B, T, H)."""
        vectors: Tensor = self.widen(self.pieces(ids))
        return vectors
