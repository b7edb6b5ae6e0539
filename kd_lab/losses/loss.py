"""What every loss is: named terms, each with a weight, and the checks that a run makes before it starts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from kd_lab.core.errors import UserError
from kd_lab.core.types import Batch, ModelShape, Outputs
from kd_lab.losses.base import NO_TEACHER, Perturbed, Term, require

T = TypeVar("T", Outputs, Batch)


class Loss(nn.Module):
    """total = sum over terms of weight * term; a term of weight 0 is not computed.

    Args:
        terms: name -> term.
        weights: name -> weight, at least 0; the same names.
        later: names of terms whose weight is above 0 in some later epoch: they count all along.
    """

    def __init__(self, terms: Mapping[str, Term], weights: Mapping[str, float], later: Collection[str] = ()) -> None:
        super().__init__()
        self.terms = nn.ModuleDict(dict(terms.items()))
        self.weights = dict(weights.items())
        self.used = [name for name, weight in weights.items() if weight != 0 or name in later]

    def forward(self, student: Outputs, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """(total, {term: its size before weighting, detached}), all scalars.

        Of rows of which the teacher says nothing, its terms are not taken: their mean is that of the others.

        Raises:
            UserError: the student or the teacher did not say what a term needs.
        """
        total = torch.zeros((), device=student.logits.device)
        sizes = {}
        partly = batch.teacher is not None and batch.teacher.answered is not None
        answered = _answered(student, batch) if partly else (student, batch)
        for name, term in self._active().items():
            for field in sorted(term.returns):
                require(student, field, "student", name)
            for field in sorted(term.needs):
                require(batch.teacher, field, "teacher", name)
            if not term.needs:
                size = term(student, batch)
            elif answered is not None:
                size = term(*answered)
            else:
                size = student.logits.sum() * 0
            sizes[name] = size.detach()
            total = total + self.weights[name] * size
        return total, sizes

    @property
    def needs(self) -> frozenset[str]:
        """Fields of `Outputs` that the teacher must fill; empty when no teacher is needed."""
        return frozenset[str]().union(*(term.needs for term in self._active().values()))

    @property
    def returns(self) -> frozenset[str]:
        """Fields of `Outputs` that the student must fill."""
        return frozenset[str]().union(*(term.returns for term in self._active().values()))

    def prepare(self, counts: Tensor, rows: int) -> None:
        """Tells each term, before a fit, what `Term.prepare` says."""
        for term in self._active().values():
            term.prepare(counts, rows)

    @property
    def uses_unlabelled(self) -> bool:
        """Whether rows without a label count though no teacher judges them."""
        return any(term.uses_unlabelled for term in self._active().values())

    @property
    def has_weights(self) -> bool:
        """Whether a term has weights of its own, for `build` to make."""
        return any(term.has_weights for term in self._active().values())

    @property
    def perturbs(self) -> bool:
        """Whether a term asks the student again."""
        return any(term.perturbs for term in self._active().values())

    def perturb_by(self, perturbed: Perturbed | None) -> None:
        """Tells the terms that ask the student again how to, for a fit; None after it."""
        for term in self._active().values():
            term.perturbed = perturbed if term.perturbs else None

    def build(self, student: Outputs, batch: Batch) -> None:
        """Has each term make its own weights anew, before a fit, for outputs of these shapes."""
        for term in self._active().values():
            term.build(student, batch)

    def at_epoch(self, epoch: int, epochs: int) -> None:
        """Told, before each epoch of a fit, that it is the `epoch`th, from 0, of `epochs`."""

    def check(self, classes: int, teacher: bool, multi_label: bool = False) -> None:
        """Refuses, before any work is done, a run that this loss cannot train.

        Args:
            classes: C, how many classes the data has.
            teacher: whether the run has a teacher.
            multi_label: whether a row may bear several of them.

        Raises:
            UserError: a term needs a teacher and there is none, or cannot work with such classes.
        """
        for name, term in self._active().items():
            if multi_label and not term.multi_label:
                cure = "Choose another loss, e.g. loss=hybrid."
                raise UserError(f"loss term {name!r}", expected="one label a row", got="task=multi_label", cure=cure)
            if term.needs and not teacher:
                fields = " and ".join(sorted(term.needs))
                cure = f"{NO_TEACHER[:-1]}, or learn from labels alone: loss=cross_entropy."
                raise UserError(f"loss term {name!r}", expected=f"a teacher, for its {fields}", got="none", cure=cure)
            term.check_classes(name, classes)
        if not any(term.stands_alone for term in self._active().values()):
            raise UserError(
                f"loss of {' and '.join(self._active())}",
                expected="a term beside it that says which class is right",
                got="none: one class for every text would do",
                cure="Choose loss=hybrid, or add one, e.g. +loss/term@loss.terms.kl=kl +loss.weights.kl=1.",
            )

    def check_models(self, student: ModelShape | None, teacher: ModelShape | None) -> None:
        """Refuses, before any fit, a student and a teacher whose outputs this loss cannot compare.

        Args:
            student, teacher: None where it is not known what they give: then found out in the first step.

        Raises:
            UserError: one of them does not give what a term needs, or both differ where they must be alike.
        """
        for name, term in self._active().items():
            for who, shape, fields in (("student", student, term.returns), ("teacher", teacher, term.needs)):
                lacking = sorted(fields - shape.gives) if shape else []
                if shape and lacking:
                    raise UserError(
                        f"loss term {name!r}",
                        expected=f"a {who} that gives {' and '.join(lacking)}",
                        got=f"one that gives {', '.join(sorted(shape.gives))}",
                        cure="Choose loss=hybrid, which needs logits alone.",
                    )
            if student and teacher:
                term.check_models(name, student, teacher)

    def _active(self) -> dict[str, Term]:
        """The terms that count, by name."""
        return {name: cast("Term", self.terms[name]) for name in self.used}


def _answered(student: Outputs, batch: Batch) -> tuple[Outputs, Batch] | None:
    """The rows of which the teacher says something; None where there are none."""
    assert batch.teacher is not None
    assert batch.teacher.answered is not None
    rows = batch.teacher.answered.nonzero().squeeze(1)
    if not len(rows):
        return None
    own, said = _taken(student, rows), _taken(batch.teacher._replace(answered=None), rows)
    return own, _taken(batch._replace(teacher=None), rows)._replace(teacher=said)


def _taken(of_batch: T, rows: Tensor) -> T:
    """The rows of each tensor."""
    parts: dict[str, Any] = {name: part if part is None else part[rows] for name, part in of_batch._asdict().items()}
    taken: T = of_batch._replace(**parts)
    return taken
