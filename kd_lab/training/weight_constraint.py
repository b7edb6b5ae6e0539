"""What may be imposed on a model's weights while it is trained: zeros that stay, values that INT8 can hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Hold(Protocol):
    """What a step imposes on a model's weights while the model is trained on."""

    def before_forward(self) -> None:
        """Puts the weights into the state in which the model is used; may be called several times in a row.

        Called before each forward pass, and once more when training has ended: the model leaves in this state.
        """

    def before_update(self) -> None:
        """Puts the weights into the state that the optimizer is to change; gradients stay as they are."""

    def after_update(self, share: float) -> None:
        """The optimizer has changed the weights; `share` of all updates are done, in (0, 1]."""


class Together:
    """Several holds at once, each in its turn."""

    def __init__(self, holds: Sequence[Hold]) -> None:
        self._holds = holds

    def before_forward(self) -> None:
        """Each puts the weights into the state in which the model is used."""
        for hold in self._holds:
            hold.before_forward()

    def before_update(self) -> None:
        """Each puts the weights into the state that the optimizer is to change, the last one first."""
        for hold in reversed(self._holds):
            hold.before_update()

    def after_update(self, share: float) -> None:
        """Each is told that the optimizer has changed the weights."""
        for hold in self._holds:
            hold.after_update(share)
