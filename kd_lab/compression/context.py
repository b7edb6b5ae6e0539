"""What a step may need beside the classifier: the data as it reads them, its tokenizer, and a way to train on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kd_lab.compression.zeros import KeepZeros
from kd_lab.core.types import Batch
from kd_lab.data.loader import BatchLoader
from kd_lab.data.tokenized import Tokens
from kd_lab.models.base import TorchClassifier
from kd_lab.training.weight_constraint import CombinedConstraints, WeightConstraint


@dataclass
class CompressionContext:
    """The surroundings of the classifier that a step is given; a step that changes the tokenizer changes them.

    Args:
        tokens: the data set as the classifier reads it.
        tokenizer: the tokenizer.json that made them.
        scratch: a folder for what steps make on the way, such as checkpoints to go on from; it may not be there yet.
        retokenise: a tokenizer.json -> the data set as its pieces, the same rows in the same order.
        training: how `recover` trains a model, in place: under the loss, the teacher and the optimizer of its fit, for
            so many epochs, at a share of the fit's rates; it leaves it in evaluation mode on the CPU.
        notes: what the steps have to say about what they did, by step, for the result.
        pruned: whether a step has set weights to zero that those after it are to keep at zero.
        step: the name of the step that is at work; None where it is used alone, and has its own name.
        trained: after the last step, the last model of float weights in torch; those after it only write it otherwise.
    """

    tokens: Tokens
    tokenizer: Path
    scratch: Path
    retokenise: Callable[[Path], Tokens]
    training: Callable[[TorchClassifier, CompressionContext, int, float, WeightConstraint | None], None]
    notes: dict[str, dict[str, Any]] = field(default_factory=dict)
    pruned: bool = False
    step: str | None = None
    trained: TorchClassifier | None = None

    def note(self, own: str, facts: dict[str, Any]) -> None:
        """Keeps what a step has to say under its name among the steps, or under its `own` where it is used alone."""
        self.notes[self.step or own] = facts

    def recover(
        self, model: TorchClassifier, epochs: int, lr_scale: float, constraint: WeightConstraint | None = None
    ) -> TorchClassifier:
        """The same model after some more epochs under the loss of its fit, in evaluation mode on the CPU.

        Where an earlier step has pruned it, what is zero in its matrices stays zero.

        Args:
            epochs: passes over train; 0 trains nothing, and leaves `constraint` uncalled.
            lr_scale: peak learning rates as a share of the fit's; they fall to 0 by the end.
            constraint: what is imposed on the weights meanwhile.

        Raises:
            FitError: the loss is no longer a number.
        """
        if epochs:
            if self.pruned:
                zeros = KeepZeros(model)
                constraint = zeros if constraint is None else CombinedConstraints([constraint, zeros])
            self.training(model, self, epochs, lr_scale, constraint)
        return model.cpu().eval()

    def read_with(self, tokenizer: Path) -> None:
        """From here on the classifier reads the pieces of this tokenizer.json, which stays where it is."""
        self.tokenizer, self.tokens = tokenizer, self.retokenise(tokenizer)

    def sample(self, rows: int, size: int, seed: int = 0) -> Iterator[Batch]:
        """Rows of train drawn at random, `size` a batch; for calibration."""
        train = self.tokens.split("train")
        source = BatchLoader(train, size, self.tokens.pad_id)
        chosen = np.random.default_rng(seed).permutation(len(train))[:rows]
        for start in range(0, len(chosen), size):
            yield source.batch(chosen[start : start + size])
