"""The first half of a cell's story: its texts, its teacher, and the fit of its student."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

import numpy as np
import torch
from omegaconf import DictConfig

from kd_lab.core.cache import fingerprint
from kd_lab.core.errors import UserError
from kd_lab.core.progress import say
from kd_lab.data.dataset import Dataset
from kd_lab.data.tokenized import Tokens, tokenise
from kd_lab.data.tokenizer import TokenizerBase
from kd_lab.data.tokenizer_file import TOKENIZER
from kd_lab.evaluation import scoring
from kd_lab.losses.loss import Loss
from kd_lab.models.base import TorchClassifier
from kd_lab.pipeline.plan import Plan
from kd_lab.pipeline.teacher import (
    CellTeacher,
    FileTeacher,
    ModelTeacher,
    SeveralTeachers,
    TeacherSpec,
    as_member,
    name_of,
)
from kd_lab.pipeline.timed_steps import TimedSteps
from kd_lab.training import fit, teacher_outputs
from kd_lab.training.answers_teacher import AnswersTeacher
from kd_lab.training.checkpointing import Observe, ignore
from kd_lab.training.ensemble_teacher import EnsembleTeacher
from kd_lab.training.fit import FitSpec, Fitted, Teacher
from kd_lab.training.labels_alone import labels_alone_hint
from kd_lab.training.lightning_module import TeacherOutputs
from kd_lab.training.loop import learned_from
from kd_lab.training.ready_teacher import ReadyTeacher
from kd_lab.training.uneven_classes import uneven_classes_hint

EXACT = "32-true"  # the precision in which rows are judged, whatever the fit ran in


class FittingCell(TimedSteps, Plan):
    """A plan that is carried out as far as the fit."""

    def __init__(self, config: DictConfig) -> None:
        super().__init__(config)
        self.outputs: set[str] = set()  # the cached outputs of the teacher that were read

    def tokens(self) -> Tokens:
        """The data set as word pieces."""
        return self._tokens("tokens", self.dataset)

    def taught_tokens(self, tokens: Tokens) -> Tokens:
        """What the student learns from: the same, and below train's rows the text that only a teacher judges."""
        return tokens if self.taught_on is self.dataset else self._tokens("transfer", self.taught_on)

    def _tokens(self, step: str, dataset: Dataset) -> Tokens:
        tokens = self.read_with(self.tokenizer, step, dataset)
        for text in tokens.warnings:
            self.warn(f"dataset {dataset.name}: {text}")
        train = tokens.split("train")
        labelled = len(train.labelled)
        if without := len(train) - labelled:
            say(f"dataset {dataset.name}: {labelled:,} rows of train with a label, {without:,} without")
        return tokens

    def read_with(self, tokenizer: TokenizerBase, step: str, dataset: Dataset) -> Tokens:
        """A data set as the pieces of a tokenizer."""
        whose = "" if tokenizer is self.tokenizer else " for the teacher"
        made = getattr(dataset, "augmentation", None)
        if made is not None and made.factor and made.mask and not tokenizer.is_piece(made.mask_word):
            by = f"the {'teacher' if whose else 'student'}'s tokenizer"
            cure = "choose its own by dataset.augmentation.mask_word, or dataset.augmentation.mask=0"
            self.warn(f"{by} has no piece {made.mask_word}, and reads others for it: {cure}")
        with self.timed(f"{step}{whose}", f"tokenise {dataset.name}{whose}") as advance:
            return tokenise(dataset, tokenizer, self.cache, advance)

    def fitted(
        self,
        role: str,
        spec: FitSpec,
        tokens: Tokens,
        teacher: Teacher | None,
        observe: Observe = ignore,
        tokenizer: TokenizerBase | None = None,
    ) -> Fitted:
        """The student or the teacher, fitted.

        Args:
            tokenizer: what it reads with; None is the student's.
        """
        if not spec.trainer.max_epochs:
            self.warn(f"the {role} was not fitted (max_epochs=0): only its size and speed mean anything")
        if role == "student":
            self._say_uneven(spec, tokens)
        card = tokens.card
        outputs = teacher.outputs.get("train") if teacher else None
        learned = learned_from(tokens.split("train"), spec.loss, outputs)
        if left_out := len(tokens.split("train")) - len(learned) if spec.loss.needs else 0:
            self.warn(f"{left_out:,} rows of train have neither a label nor an answer of the teacher's: left out")
        total = spec.trainer.max_epochs * len(learned)
        with self.timed(f"fit {role}", f"fit {role} {spec.model.name}, rows", total) as advance:
            files = {TOKENIZER: (tokenizer or self.tokenizer).path}
            return fit.fit(spec, tokens, teacher, self.cache, card, files, advance, observe)

    def _say_uneven(self, spec: FitSpec, tokens: Tokens) -> None:
        """Says what there is for uneven classes, once a cell: of its student; a user's own loss may be no `Loss`."""
        if isinstance(spec.loss, Loss) and not tokens.multi_label:
            labels = np.asarray(tokens.split("train").labels)
            hint = uneven_classes_hint(labels, tokens.classes, spec.trainer, spec.loss)
            if hint is not None:
                say(f"dataset {self.dataset.name}: {hint}")

    def _prepared(self, role: str, spec: TeacherSpec, tokens: Tokens, taught: Tokens) -> CellTeacher:
        """The teacher, ready to be asked: fitted where it is to be fitted.

        Args:
            role: what its steps are called by.
            tokens, taught: the data set, and what the student learns from, as the student reads them.
        """
        if isinstance(spec, EnsembleTeacher):
            members = []
            for name, one in spec.members.items():
                with as_member(name):
                    members.append(self._prepared(f"{role} {name}", one, tokens, taught))
            return SeveralTeachers(spec, members, self.teacher_fingerprint(spec))
        if isinstance(spec, AnswersTeacher):
            named = self.teacher_fingerprint(spec)
            answers = FileTeacher(spec, self.dataset, self.taught_on, tokens, self.cache, named)
            answers.tell()
            return answers
        if (reader := self.reader(spec)) is not self.tokenizer:
            tokens = self.read_with(reader, "tokens", self.dataset)
            apart = self.taught_on is not self.dataset
            taught = self.read_with(reader, "transfer", self.taught_on) if apart else tokens
        if isinstance(spec, ReadyTeacher):
            made = spec.prepared(tokens, self.cache)
        else:
            made = self.fitted(role, spec, tokens, None, tokenizer=reader)
        load = cache(made.load)  # at most once for all that it says

        def ask(rows: Tokens, split: str, precision: str) -> torch.Tensor:
            return self.logits(made, rows, split, precision, load, role)

        return ModelTeacher(spec, made, tokens, taught, load, ask)

    def asked(self, tokens: Tokens, taught: Tokens) -> CellTeacher | None:
        """The teacher, ready to be asked; how well it does on validation is said first.

        Args:
            taught: what the student learns from, see `taught_tokens`.

        Raises:
            UserError: a ready teacher is no better than the most frequent class, and not to go on all the same.
        """
        if self.teacher is None:
            return None
        teacher = self._prepared("teacher", self.teacher, tokens, taught)
        alone = isinstance(teacher, FileTeacher) and teacher.labels_alone and not tokens.multi_label
        if alone and (hint := labels_alone_hint(self.student.loss, len(tokens.classes))):
            self.warn(f"teacher {name_of(self.teacher)}: {hint}")
        logits = teacher.logits("validation", EXACT)
        if not scoring.says_enough(logits):
            return teacher
        say(f"teacher {name_of(self.teacher)}: {(look := scoring.first_look(tokens, logits))}")
        if text := scoring.majority_class_warning(tokens, logits):
            if isinstance(self.teacher, ReadyTeacher) and self.teacher.at_chance == "stop":
                raise UserError(
                    f"teacher.path {self.teacher.path}",
                    expected="a teacher that is better on validation than the most frequent class",
                    got=f"{look}, its classes matched {teacher.about().get('labels')}",
                    cure="Say which class is which by teacher.labels={THEIRS: OURS, ...}, or teacher.at_chance=go_on.",
                )
            self.warn(text)
        return teacher

    def teaching(self, teacher: CellTeacher | None) -> Teacher | None:
        """The teacher with answers for the student's loss: from the cache where logits suffice, else live."""
        if teacher is None:
            return None
        needs, precision = self.student.loss.needs, self.student.trainer.resolve_device_and_precision()[1]
        if not needs:
            return Teacher(teacher.fingerprint, {}, teacher.fitted)
        splits = ("train", "validation")
        if needs <= {"logits"}:
            logits = {split: teacher.logits(split, precision) for split in splits}
            partial = not isinstance(teacher, ModelTeacher)  # which says something of every row
            return Teacher(teacher.fingerprint, self._answers(logits, partial), teacher.fitted)
        assert isinstance(teacher, ModelTeacher)  # `Plan` refuses others
        live = teacher.load()
        live.returns = needs | {"logits"}
        outputs = dict.fromkeys(splits, teacher_outputs.LiveTeacherOutputs(live, precision))
        return Teacher(teacher.fingerprint, outputs, teacher.fitted)

    def logits(
        self,
        fitted: Fitted,
        tokens: Tokens,
        split: str,
        precision: str,
        load: Callable[[], TorchClassifier] | None = None,
        role: str = "teacher",
    ) -> torch.Tensor:
        """What the fitted teacher, or another model that is learned from, says about a split, computed once.

        Args:
            load: gives the model where it is loaded already, or will be needed again.
        """
        on = (self.student.trainer.resolve_device_and_precision()[0], precision)
        if role != "uncompressed":
            parts = teacher_outputs.fingerprint_parts(fitted.fingerprint, tokens.fingerprint, split, precision)
            self.outputs.add(fingerprint(parts))
        label = f"{role} on {split} in {precision}"
        with self.timed(label, f"{label}, rows", len(tokens.split(split))) as advance:
            return teacher_outputs.logits_of(
                fitted.fingerprint, load or fitted.load, tokens, split, on, self.cache, advance
            )

    def _answers(self, logits: Mapping[str, torch.Tensor], partial: bool = False) -> Mapping[str, TeacherOutputs]:
        """Cached logits of each split, where the student is fitted.

        Args:
            partial: whether rows may be NaN, of which nothing is said.
        """
        device = self.student.trainer.resolve_device_and_precision()[0]
        cached = {
            split: teacher_outputs.CachedTeacherOutputs(one, partial and bool(one[:, 0].isnan().any()))
            for split, one in logits.items()
        }
        return {split: one.to_device(device) for split, one in cached.items()}
