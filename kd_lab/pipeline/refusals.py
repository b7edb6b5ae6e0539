"""What a plan is refused for before anything is made: parts that are each right and do not fit together.

Each of these raises a `UserError`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from kd_lab.compression import apply
from kd_lab.compression.prune.vocabulary import read_word_piece
from kd_lab.core.errors import UserError
from kd_lab.core.types import ModelShape
from kd_lab.data.dataset import MULTI_CLASS, MULTI_LABEL, Dataset
from kd_lab.data.tokenizer import TokenizerBase
from kd_lab.data.word_tokenizer import Vocabulary
from kd_lab.losses.loss import Loss
from kd_lab.pipeline.teacher import TeacherSpec, members
from kd_lab.training.answers_teacher import AnswersTeacher
from kd_lab.training.fit import FitSpec
from kd_lab.training.ready_teacher import ReadyTeacher
from kd_lab.training.settings import MULTI_CLASS_ONLY, MULTI_LABEL_ONLY
from kd_lab.training.uneven_classes import class_weights


def check_task(task: str, dataset: Dataset, student: FitSpec, teacher: TeacherSpec | None) -> None:
    """Refuses a data set, a student or a figure of another task."""
    if task != getattr(dataset, "task", MULTI_CLASS):
        cure = "Choose task=multi_class, or dataset=csv, parquet or hub."
        raise UserError(f"dataset {dataset.name}", expected="several labels a row", got="one", cure=cure)
    fits = {"": student} | ({f"{place}.": one for place, one in members(teacher).items()} if teacher else {})
    if task == MULTI_LABEL and getattr(student.model, "fits_itself", False):
        got, cure = f"{student.model.name}, which says one", "Choose another model, e.g. model=static."
        raise UserError("model", expected="a student that says several labels a row", got=got, cure=cure)
    for place, trainer in ((place, one.trainer) for place, one in fits.items() if isinstance(one, FitSpec)):
        if task == MULTI_LABEL and trainer.sampling == "balanced":
            weights = class_weights(student.loss) if not place else None
            cure = f"Choose {weights}." if weights else f"Choose {place}trainer.sampling=shuffle."
            expected = "shuffle, of task=multi_label"
            raise UserError(f"{place}trainer.sampling", expected=expected, got="balanced", cure=cure)
        if trainer.monitor in (MULTI_CLASS_ONLY if task == MULTI_LABEL else MULTI_LABEL_ONLY):
            expected, cure = f"a figure of task={task}", f"Choose {place}trainer.monitor=f1_macro."
            raise UserError(f"{place}trainer.monitor", expected=expected, got=trainer.monitor, cure=cure)


def check_recovery(recovery: str, student: FitSpec, steps: Mapping[str, Any]) -> None:
    """Refuses a student that learns from no teacher, and a recovery whose states would no longer fit each other."""
    if recovery not in ("student", "teacher"):
        cure = "Choose one: whose outputs a step of compression learns from while it trains on."
        raise UserError("recovery", expected="student or teacher", got=repr(recovery), cure=cure)
    more = getattr(student.loss, "uses_unlabelled", False)
    if getattr(student.model, "fits_itself", False) and (student.loss.needs or more):
        cure = "Choose teacher=none loss=cross_entropy, or another model."
        needs = ", ".join(sorted(student.loss.needs))
        got = f"a loss that needs the teacher's {needs}" if needs else "a loss that learns from texts without one"
        raise UserError(f"model {student.model.name}", expected="labels alone to learn from", got=got, cure=cure)
    heads = () if student.loss.needs <= {"logits", "hidden", "all_hidden"} else ("prune_heads",)
    changing = [name for name in ("trim_vocabulary", "prune_lstm", *heads) if name in steps]
    by_fit = apply.epochs(steps) and recovery == "teacher"
    if changing and by_fit and student.loss.needs - {"logits"}:
        raise UserError(
            f"compression.{changing[0]}",
            expected="a loss of logits alone: after this step pieces, width or heads are not the teacher's",
            got=f"a loss that needs {', '.join(sorted(student.loss.needs))}",
            cure="Choose recovery=student or loss=hybrid, or let no step train: compression.STEP.epochs=0.",
        )


def check_words(tokenizer: TokenizerBase, steps: Collection[str]) -> None:
    """Refuses to trim a vocabulary of whole words, which do not fall apart into others, or of pieces unlike BERT's.

    Raises:
        UserError: it would be.
    """
    if "trim_vocabulary" not in steps:
        return
    if isinstance(tokenizer, Vocabulary):
        cure = "Leave it out, and keep fewer words by tokenizer.words=N."
        raise UserError("compression.trim_vocabulary", expected="word pieces", got="tokenizer=words", cure=cure)
    read_word_piece(tokenizer.path)


def check_teacher(
    student: FitSpec, teacher: TeacherSpec | None, taught_on: Dataset, reads_alike: Callable[[TeacherSpec], bool]
) -> None:
    """Refuses a loss, a start or rows that the teacher has nothing for.

    Args:
        taught_on: what the student learns from.
        reads_alike: whether a teacher reads the student's pieces.
    """
    if teacher is None:
        return
    _check_augmentation(student, teacher, taught_on)
    for one in members(teacher).values():
        if isinstance(one, AnswersTeacher):
            one.id_columns(taught_on)
    asked = sorted(student.loss.needs - {"logits"})
    alone = "its weights, for their start in the student" if student.model.starts_from_teacher else ""
    needed = f"its {' and '.join(asked)}, for the loss" if asked else alone
    if not needed:
        return
    start = "Choose another start, e.g. model.init=random."
    cure = "Choose loss=kl or logit_mse, or another teacher." if asked else start
    if not isinstance(teacher, FitSpec | ReadyTeacher):
        got = "a file of answers" if isinstance(teacher, AnswersTeacher) else "several"
        raise UserError("teacher", expected=f"a model that gives {needed}", got=got, cure=cure)
    if not reads_alike(teacher):
        got = "a teacher with another tokenizer"
        raise UserError("teacher", expected=f"the student's pieces, to give {needed}", got=got, cure=cure)
    if asked and isinstance(student.loss, Loss):  # a user's own may be none
        model = teacher.model if isinstance(teacher, FitSpec) else teacher
        student.loss.check_models(_shape(student.model), _shape(model))


def _check_augmentation(student: FitSpec, teacher: TeacherSpec, taught_on: Dataset) -> None:
    """Refuses rows made out of others where nobody can say anything of them: a file has no answers to these."""
    augmentation = getattr(taught_on, "augmentation", None)
    files = all(isinstance(one, AnswersTeacher) for one in members(teacher).values())
    if augmentation is not None and augmentation.factor and files and student.loss.needs:
        expected = "a teacher that can be asked of the rows that are made"
        cure = "Choose another teacher, e.g. teacher=minilm, or dataset.augmentation.factor=0."
        raise UserError("dataset.augmentation.factor", expected=expected, got="a file of answers", cure=cure)


def _shape(model: Any) -> ModelShape | None:
    """What a loss can ask a model for; None where it does not say so before it is built."""
    try:
        shape: ModelShape | None = getattr(model, "shape", None)
    except UserError:  # its checkpoint is not here: said when its weights are needed
        return None
    return shape
