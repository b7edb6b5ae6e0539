"""What every way of making a classifier smaller has in common, and how several follow each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from kd_lab.core.errors import UserError
from kd_lab.models.base import TorchClassifier
from kd_lab.models.saved_model import Classifier

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kd_lab.compression.context import CompressionContext
    from kd_lab.models.spec import ModelSpec


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

    def apply(self, classifier: Classifier, context: CompressionContext) -> Classifier:
        """A smaller classifier, in evaluation mode on the CPU; the one that was given stays as it was.

        Raises:
            UserError: it cannot take this classifier.
        """


@runtime_checkable
class Preparing(Protocol):
    """A step that makes sense only before certain others."""

    def check_after(self, name: str, steps: Mapping[str, Step], lasting: Sequence[str]) -> None:
        """Refuses what follows it.

        Args:
            name: its own among the steps.
            steps: all of them, in order.
            lasting: names of those that leave a torch model.

        Raises:
            UserError: with a list of steps that works.
        """


@runtime_checkable
class OfAClass(Protocol):
    """A step that is about one of the classes."""

    def check_classes(self, classes: Sequence[str], multi_label: bool) -> None:
        """Refuses a data set that has no such class, or whose rows may bear several.

        Raises:
            UserError: with what to change.
        """


@runtime_checkable
class Claiming(Protocol):
    """A step whose notes say of the model what a later step may change."""

    def still(self, model: TorchClassifier) -> dict[str, Any]:
        """Those notes as they are true of the model after the last step that changes its float weights."""


def check_all(steps: Mapping[str, Step], kind: type, model: ModelSpec | None = None) -> type:
    """The class that `apply_all` makes of a classifier of class `kind`; costs nothing, so ask before a long fit.

    Args:
        steps: name -> step, in order.
        kind: of the fitted classifier.
        model: how it is built, where that is known.

    Raises:
        UserError: a step cannot take what the step before it makes.
    """
    lasting, fitted = [], kind  # names of the steps that leave a torch model, for cures
    for name, step in steps.items():
        _need_taken(name, fitted)
        kind = step.check(kind, model)
        if issubclass(kind, TorchClassifier):
            lasting.append(name)
    for name, step in steps.items():
        if isinstance(step, Preparing):
            step.check_after(name, steps, lasting)
    _need_one_int8(steps)
    return kind


def check_classes(steps: Mapping[str, Step], classes: Sequence[str], multi_label: bool) -> None:
    """Refuses a step that the data set has no class for; ask before a long fit.

    Raises:
        UserError: with what to change.
    """
    for step in steps.values():
        if isinstance(step, OfAClass):
            step.check_classes(classes, multi_label)


def apply_all(steps: Mapping[str, Step], classifier: Classifier, context: CompressionContext) -> Classifier:
    """The classifier after all steps, each given what the one before it made.

    Args:
        steps: name -> step, in order.
        classifier: what the first step is given; it stays as it was.
        context: its surroundings; afterwards those of what is returned.

    Raises:
        UserError: a step cannot take what it is given.
    """
    check_all(steps, type(classifier))
    first = classifier
    trained: TorchClassifier | None = None  # the last model of float weights; what follows only writes it otherwise
    for name, step in steps.items():
        context.step = name
        classifier = step.apply(classifier, context)
        trained = classifier if isinstance(classifier, TorchClassifier) else trained
    context.step, context.trained = None, trained or (first if isinstance(first, TorchClassifier) else None)
    for name, step in steps.items():
        if trained is not None and isinstance(step, Claiming) and name in context.notes:
            context.notes[name] |= step.still(trained)
    return classifier


def _need_taken(name: str, kind: type) -> None:
    """Refuses a step that a class of classifiers, which says in `takes` what it takes, does not."""
    takes: tuple[str, ...] | None = getattr(kind, "takes", None)
    if takes is not None and name not in takes:
        got, cure = kind.__name__, f"It takes {', '.join(takes)}: compression=[{takes[0]}]."
        raise UserError(f"compression.{name}", expected="a network", got=got, cure=cure)


def _need_one_int8(steps: Mapping[str, Step]) -> None:
    """Refuses to quantize an ONNX graph twice, which the class of what a step makes does not tell."""
    found = [name for name, step in steps.items() if getattr(step, "int8", False)]
    if found[1:]:
        kept = [name for name in steps if name not in found[1:]]
        raise UserError(
            f"compression.{found[1]}",
            expected="a model with float weights",
            got=f"the INT8 graph of {found[0]}",
            cure=f"Quantize once: compression=[{','.join(kept)}].",
        )


def need_torch(name: str, kind: type, cure: str) -> None:
    """Refuses any classifier that is not made of torch parameters, for the step called `name`.

    Raises:
        UserError: `kind` is not a TorchClassifier.
    """
    if not issubclass(kind, TorchClassifier):
        expected = "a torch model with float weights"
        raise UserError(f"compression.{name}", expected=expected, got=kind.__name__, cure=cure)
