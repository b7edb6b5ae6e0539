"""Makes a classifier answer "out of scope" more readily, at a price in accuracy in scope that is said beforehand."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kd_lab.compression.context import CompressionContext
from kd_lab.compression.step import Preparing, Step, need_torch
from kd_lab.core.errors import UserError
from kd_lab.core.misfit import check_fields
from kd_lab.core.option_types import NonEmpty, ShareBelowOne
from kd_lab.evaluation.inference import predict
from kd_lab.evaluation.metrics import scope_counts
from kd_lab.models.base import TorchClassifier
from kd_lab.models.saved_model import Classifier
from kd_lab.models.spec import ModelSpec

_WHERE = "compression.out_of_scope"


@dataclass(frozen=True)
class OutOfScope:
    """Raises the bias of the class "out of scope", as far as validation's accuracy in scope bears it.

    Training rows out of scope are few, and so the class is answered too seldom. A constant added to its logit is the
    logit adjustment of Menon et al. (arXiv:2007.07314, section 4.1) for that class alone; here it is no prior but the
    largest that costs at most `cost`. Rows in scope decide it, of which validation has many; it has few of the
    others. The weights, the size and the time of an answer stay as they are.

    Args:
        label: the class; of conf/ that is `dataset.out_of_scope`.
        cost: how much of validation's accuracy in scope may be lost, a fraction from 0 to below 1.
    """

    label: NonEmpty | None = None
    cost: ShareBelowOne = 0.01

    def __post_init__(self) -> None:
        if self.label is None:
            cure = f"Name it, {_WHERE}.label=CLASS, or leave this step out."
            raise UserError(_WHERE, expected="a data set with a class out of scope", got="none", cure=cure)
        check_fields(self, _WHERE)

    def check(self, kind: type, model: ModelSpec | None = None) -> type:
        """The class that was given, or a UserError where it is none of torch."""
        need_torch("out_of_scope", kind, "Put out_of_scope before every step that quantizes or exports.")
        return kind

    def check_after(self, name: str, steps: Mapping[str, Step], lasting: Sequence[str]) -> None:
        """Refuses a later step that trains on: the loss would take the bias back."""
        others = [other for other in steps if other != name]
        training = [other for other in others if getattr(steps[other], "epochs", 0)]
        after = [other for other in training if list(steps).index(other) > list(steps).index(name)]
        if after:
            kept = [other for other in others if other not in after or not isinstance(steps[other], Preparing)]
            place = max((kept.index(other) + 1 for other in training if other in kept), default=0)
            cure = f"Use compression=[{','.join([*kept[:place], name, *kept[place:]])}]."
            raise UserError(
                f"compression.{name}", expected="no training behind it", got=f"{after[0]} after it", cure=cure
            )

    def check_classes(self, classes: Sequence[str], multi_label: bool) -> None:
        """Refuses a data set without that class, and rows that may bear several labels."""
        if multi_label:
            cure = "Leave this step out."
            raise UserError(_WHERE, expected="one label a row", got="task=multi_label", cure=cure)
        if self.label not in classes:
            some = f"{', '.join(classes[:10])}{', ...' if len(classes) > 10 else ''}"
            cure = f"Use e.g. {_WHERE}.label={classes[0]}."
            raise UserError(f"{_WHERE}.label", expected=f"one of {some}", got=repr(self.label), cure=cure)

    def apply(self, classifier: Classifier, context: CompressionContext) -> TorchClassifier:
        """A classifier of the same class that differs in one number.

        Raises:
            UserError: as `check_classes`.
        """
        self.check(type(classifier))
        assert isinstance(classifier, TorchClassifier)
        self.check_classes(context.tokens.classes, context.tokens.multi_label)
        model = copy.deepcopy(classifier).cpu().eval()
        outside = context.tokens.classes.index(str(self.label))
        validation = context.tokens.split("validation")
        labelled = torch.from_numpy(validation.labelled)
        labels = torch.from_numpy(validation.gold())[labelled]
        logits = predict(model, validation, context.tokens.pad_id, "cpu", "32-true")[labelled]
        added = largest_bias(logits, labels, outside, self.cost)
        with torch.no_grad():
            _last_bias(model, len(context.tokens.classes))[outside] += added
        adjusted = logits.index_add(1, torch.tensor([outside]), torch.full((len(logits), 1), added))
        before, after = (_rates(said, labels, outside) for said in (logits, adjusted))
        told = {name: [before[name], after[name]] for name in before}
        context.note("out_of_scope", {"bias_added": added, "validation": told})
        return model


def largest_bias(logits: Tensor, labels: Tensor, outside: int, cost: float) -> float:
    """The largest constant that, added to a class's logits, turns at most a share of the other rows wrong.

    Args:
        logits: (N, C).
        labels: (N,) int64.
        outside: the class.
        cost: that share of all rows of other classes.

    Returns:
        the constant, halfway between the last row that it turns and the first that it spares; 0 where it may turn none,
        or no row of another class is right.
    """
    inside = labels != outside
    others = logits.double().clone()
    others[:, outside] = -torch.inf
    right = inside & (logits.argmax(1) == labels)
    margins = (others.amax(1) - logits.double()[:, outside])[right].sort().values
    turned = int(cost * int(inside.sum()) + 1e-9)
    while 0 < turned < len(margins) and margins[turned - 1] == margins[turned]:  # copies of a text turn together
        turned -= 1
    if not turned or not len(margins):
        return 0.0
    if turned >= len(margins):
        return float(margins[-1]) + 1.0
    return float(margins[turned - 1 : turned + 1].mean())


def _last_bias(model: TorchClassifier, classes: int) -> Tensor:
    """The bias of the layer that gives the logits."""
    last = [part for part in model.modules() if isinstance(part, nn.Linear) and part.out_features == classes][-1]
    bias: Tensor = last.bias
    return bias


def _rates(logits: Tensor, labels: Tensor, outside: int) -> dict[str, float]:
    return {name: hits / rows for name, (hits, rows) in scope_counts(logits.argmax(1), labels, outside).items()}
