"""What may be imposed on a model's weights while it is trained: zeros that stay, values that INT8 can hold."""

from __future__ import annotations

from collections.abc import Sequence


class WeightConstraint:
    """What a step imposes on a model's weights while the model is trained on; by itself nothing."""

    def before_forward(self) -> None:
        """Puts the weights into the state in which the model is used; may be called several times in a row.

        Called before each forward pass, and once more when training has ended: the model leaves in this state.
        """

    def before_update(self) -> None:
        """Puts the weights into the state that the optimizer is to change; gradients stay as they are."""

    def after_update(self, share: float) -> None:
        """The optimizer has changed the weights; `share` of all updates are done, in (0, 1]."""


class CombinedConstraints(WeightConstraint):
    """Several holds at once, each in its turn."""

    def __init__(self, constraints: Sequence[WeightConstraint]) -> None:
        self._holds = constraints

    def before_forward(self) -> None:
        """Each puts the weights into the state in which the model is used."""
        for constraint in self._holds:
            constraint.before_forward()

    def before_update(self) -> None:
        """Each puts the weights into the state that the optimizer is to change, the last one first."""
        for constraint in reversed(self._holds):
            constraint.before_update()

    def after_update(self, share: float) -> None:
        """Each is told that the optimizer has changed the weights."""
        for constraint in self._holds:
            constraint.after_update(share)
