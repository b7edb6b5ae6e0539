"""Direction of the student's last token states against the teacher's."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from kd_lab.core.types import Batch, Outputs
from kd_lab.losses.token_term import TokenTerm


class HiddenCosine(TokenTerm):
    """mean over the batch's real tokens of 1 - cos(h_s, h_t), from 0 to 2; padding does not count.

    h: last-layer token states (H,). 0 when student equals teacher, or is a positive multiple of it. The teacher must be
    as wide as the student and read the same tokens. Source: DistilBERT, arXiv:1910.01108, section 2 (L_cos).
    """

    needs: ClassVar[frozenset[str]] = frozenset({"hidden"})
    returns: ClassVar[frozenset[str]] = frozenset({"logits", "hidden"})
    same_width: ClassVar[bool] = True

    def forward(self, student: Outputs, batch: Batch) -> Tensor:
        """From two hidden (B, T, H) and the attention mask (B, T) to a scalar.

        Raises:
            UserError: the teacher has another width or read other tokens, or one of them gave no hidden states.
        """
        cure = "Give the student the teacher's width and tokenizer, or leave this term out."
        student_hidden, teacher_hidden = self.pair(student, batch, "hidden", cure)
        real = batch.attention_mask.bool()
        distance = 1 - F.cosine_similarity(student_hidden[real], teacher_hidden[real], dim=-1)
        return distance.sum() / real.sum().clamp(min=1)
