"""What every way of making a classifier smaller has in common, and how several follow each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from kd_lab.classifier import Classifier
from kd_lab.errors import UserError
from kd_lab.models.torch_classifier import TorchClassifier

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kd_lab.compression.around import Around
    from kd_lab.models.build import ModelSpec


class Step(Protocol):
    """One way to make a classifier smaller; its constructor arguments are its options."""

    def check(self, kind: type, model: ModelSpec | None = None) -> type:
        """The class of what `apply` makes of a classifier of class `kind`.

        Args:
            model: how the model that was fitted is built, where that is known.

        Raises:
            UserError: it cannot take that class or that model, or this machine lacks what it needs; the cure says
                what to change.
        """

    def apply(self, classifier: Classifier, around: Around) -> Classifier:
        """A smaller classifier, in evaluation mode on the CPU; the one that was given stays as it was.

        Raises:
            UserError: it cannot take this classifier.
        """


def check_all(steps: Mapping[str, Step], kind: type, model: ModelSpec | None = None) -> type:
    """The class that `apply_all` makes of a classifier of class `kind`; costs nothing, so ask before a long fit.

    Args:
        steps: name -> step, in order.
        kind: of the fitted classifier.
        model: how it is built, where that is known.

    Raises:
        UserError: a step cannot take what the step before it makes.
    """
    for step in steps.values():
        kind = step.check(kind, model)
    return kind


def apply_all(steps: Mapping[str, Step], classifier: Classifier, around: Around) -> Classifier:
    """The classifier after all steps, each given what the one before it made.

    Args:
        steps: name -> step, in order.
        classifier: what the first step is given; it stays as it was.
        around: its surroundings; afterwards those of what is returned.

    Raises:
        UserError: a step cannot take what it is given.
    """
    check_all(steps, type(classifier))
    for step in steps.values():
        classifier = step.apply(classifier, around)
    return classifier


def need_torch(name: str, kind: type, cure: str) -> None:
    """Refuses any classifier that is not made of torch parameters, for the step called `name`.

    Raises:
        UserError: `kind` is not a TorchClassifier.
    """
    if not issubclass(kind, TorchClassifier):
        raise UserError(
            f"compression.{name}", expected="a torch model with float weights", got=f"an {kind.__name__}", cure=cure
        )
