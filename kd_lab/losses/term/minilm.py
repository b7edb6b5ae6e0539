"""MiniLM: whom the last layer's tokens attend to, and how their values relate."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from kd_lab.core.types import Batch, Outputs
from kd_lab.losses.relations import divergence, scores
from kd_lab.losses.token_term import TokenTerm

_CURE = "Give the student the teacher's heads and tokenizer, or choose loss=minilm_v2."


class MiniLm(TokenTerm):
    """KL(A_t || A_s) + KL(V_t || V_s) of the last layer, each a mean over real tokens and heads, in nats.

    A = softmax(q k' / sqrt(D)), V = softmax(v v' / sqrt(D)), over real tokens; D is each model's own, so the widths may
    differ, as may the numbers of layers. 0 when student equals teacher. The teacher must have as many heads as the
    student and read the same tokens. Source: Wang et al., arXiv:2002.10957, equations 5 to 9.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"attention", "values"})
    returns: ClassVar[frozenset[str]] = frozenset({"logits", "attention", "values"})
    same_heads: ClassVar[bool] = True

    def forward(self, student: Outputs, batch: Batch) -> Tensor:
        """From two attention (B, A, T, T) and values (B, A, T, D), D of each its own, to a scalar.

        Raises:
            UserError: the numbers of heads or tokens differ.
        """
        a_s, a_t = self.pair(student, batch, "attention", _CURE)
        v_s, v_t = (scores(one, batch.attention_mask) for one in self.both(student, batch, "values"))
        return divergence(a_s, a_t, batch.attention_mask) + divergence(v_s, v_t, batch.attention_mask)
