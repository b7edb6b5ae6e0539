"""What a config means: the parts it names, and the names of all that they make."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from kd_lab.compression import apply
from kd_lab.compression.step import check_all
from kd_lab.core import machine
from kd_lab.core.cache import Cache, fingerprint
from kd_lab.core.code_hash import code_hash, file_alone_hash
from kd_lab.core.errors import UserError
from kd_lab.core.formats import check_saved
from kd_lab.core.instantiate import TARGET, build
from kd_lab.core.moved import with_current_names
from kd_lab.data.dataset import MULTI_CLASS, without_transfer
from kd_lab.data.same_tokenizer import same_tokenizer
from kd_lab.data.tokenized import fingerprint_parts as tokens_parts
from kd_lab.data.tokenizer import Tokenizer, TokenizerBase
from kd_lab.evaluation.scoring import Evaluation
from kd_lab.pipeline.refusals import check_recovery, check_task, check_teacher, check_words
from kd_lab.pipeline.teacher import TeacherSpec, as_member, members, reads_with, teacher_fingerprint
from kd_lab.training import fit
from kd_lab.training.answers_teacher import AnswersTeacher
from kd_lab.training.ensemble_teacher import EnsembleTeacher
from kd_lab.training.fit import FitSpec
from kd_lab.training.ready_teacher import ReadyTeacher

_JUDGING = ("cell", "fitting", "timed_steps", "costs", "run", "plan", "provenance", "teacher")  # a result depends on


def resolved_config(config: DictConfig) -> dict[str, Any]:
    """The resolved config as plain data, classes by the names that they have now."""
    settings: dict[str, Any] = with_current_names(
        OmegaConf.to_container(config, resolve=True, throw_on_missing=True), tell=True
    )
    return settings


class Plan:
    """The parts of a cell and the fingerprints of its artifacts, settled before any of them is made.

    Raises:
        UserError: the parts do not go together.
    """

    def __init__(self, config: DictConfig) -> None:
        self.config = config
        self.cache = Cache(Path(config.paths.cache).expanduser())
        self.taught_on = self._part("dataset")  # what a student reads that learns from a teacher
        self.dataset = without_transfer(self.taught_on)  # what all others read, and what is judged
        self._tokenizer: TokenizerBase = self._part("tokenizer").of(self.taught_on, self.cache)
        self.student = self._spec("", config.seed)
        self.teacher = None if config.teacher is None else self._teacher("teacher")
        self.tokenizer = self._student_reader()
        self.steps = {name: self._part(f"compression.{name}") for name in config.compression}
        check_saved(check_all(self.steps, self.student.model.kind, self.student.model), "compression")
        check_task(config.get("task", MULTI_CLASS), self.dataset, self.student, self.teacher)  # none of older cells
        check_recovery(config.recovery, self.student, self.steps)
        check_words(self.tokenizer, self.steps)
        check_teacher(self.student, self.teacher, self.taught_on, lambda one: self.reader(one) is self.tokenizer)
        if not (self.student.loss.needs or getattr(self.student.loss, "uses_unlabelled", False)):
            self.taught_on = self.dataset
        self.evaluation: Evaluation = self._part("evaluation")
        others = config.get("also_on") or {}  # none of older cells
        self.also_on = {str(name): without_transfer(self._part(f"also_on.{name}")) for name in others}

    def check_trainers(self) -> None:
        """Refuses, before any fit, what would not be fitted here as it is asked for.

        Not a part of making a plan: a report opens the plans of cells that ran on other machines.

        Raises:
            UserError: there is no such device here, or it does not compute in that precision, or a model has no
                positions for so long a text.
        """
        self.student.trainer.check("trainer")
        check_length(self.student.model, self.tokenizer, "tokenizer.max_tokens")
        for where, spec in (members(self.teacher) if self.teacher else {}).items():
            if isinstance(spec, FitSpec):
                spec.trainer.check(f"{where}.trainer")
                check_length(spec.model, self.reader(spec), "tokenizer.max_tokens")
            elif isinstance(spec, ReadyTeacher):
                check_length(spec, spec.tokenizer, f"{where}.max_tokens")

    def _part(self, where: str) -> Any:
        return build(resolved_config(OmegaConf.select(self.config, where)), where)

    def _teacher(self, where: str) -> TeacherSpec:
        """What `where` names: the parts of a fit, a class of its own, or several of either."""
        settings = OmegaConf.select(self.config, where)
        if TARGET not in settings:
            return self._spec(f"{where}.", settings.seed)
        if "members" not in settings:
            found = self._part(where)
            if not isinstance(found, ReadyTeacher | AnswersTeacher):
                got, cure = type(found).__name__, "Choose one by its name, e.g. teacher=ready."
                raise UserError(f"{where}._target_", expected="a teacher", got=got, cure=cure)
            return found
        plain = {name: value for name, value in resolved_config(settings).items() if name not in (TARGET, "members")}
        inner = {}
        for name in map(str, settings.members):
            with as_member(name):
                inner[name] = self._teacher(f"{where}.members.{name}")
        return EnsembleTeacher(members=inner, **plain)

    def reader(self, spec: TeacherSpec) -> TokenizerBase:
        """What turns texts into the pieces that a teacher knows; the object `tokenizer` itself where they are alike."""
        found = reads_with(spec, self._tokenizer, self._model_reader)
        return self.tokenizer if _alike(found, self.tokenizer) else found

    def _student_reader(self) -> TokenizerBase:
        if not self.student.model.starts_from_teacher or self.teacher is None:
            return self._model_reader(self.student.model)
        return reads_with(self.teacher, self._tokenizer, self._model_reader)

    def _model_reader(self, model: Any) -> TokenizerBase:
        """That of the checkpoint whose weights a model takes; the config's for other models, and where it is alike."""
        configured = self._tokenizer
        checkpoint = getattr(model, "reads_with", None)
        if checkpoint is None:
            return configured
        found = Tokenizer(checkpoint, configured.max_tokens)
        try:
            there = found.path.parent
        except UserError:  # said when its weights are needed; a report opens plans of cells that ran elsewhere
            return configured
        if not found.path.is_file():
            cure = (
                "transformers.AutoTokenizer.from_pretrained(NAME).save_pretrained(DIR) writes one, of a slow one too."
            )
            raise UserError(str(there), expected="a checkpoint with its tokenizer.json", got="none", cure=cure)
        return configured if _alike(found, configured) else found

    def _spec(self, prefix: str, seed: int) -> FitSpec:
        model, loss, optimizer, trainer = (
            self._part(prefix + part) for part in ("model", "loss", "optimizer", "trainer")
        )
        check_saved(model.kind, f"{prefix}model")
        return FitSpec(model, loss, optimizer, trainer, seed)

    @cached_property
    def fingerprints(self) -> dict[str, str]:
        """The name of every artifact, known before any is made."""
        tokens = fingerprint(tokens_parts(self.dataset, self.tokenizer))
        teacher = self.teacher_fingerprint(self.teacher) if self.teacher else ""
        apart = self.taught_on is not self.dataset
        taught = fingerprint(tokens_parts(self.taught_on, self.tokenizer)) if apart else tokens
        student = fingerprint(fit.fingerprint_parts(self.student, taught, teacher or None))
        small = (
            fingerprint(apply.fingerprint_parts(student, self.steps, self.config.recovery)) if self.steps else student
        )
        code = [  # of what says how a model is judged, and what its result holds
            code_hash(
                "kd_lab.evaluation.latency",
                "kd_lab.evaluation.inference",
                "kd_lab.evaluation.predictions",
                self.evaluation,
            ),
            file_alone_hash(*(f"kd_lab.pipeline.{name}" for name in _JUDGING)),
        ]
        result = {"compressed": small, "teacher": teacher, "evaluation": self.evaluation, "code": code}
        result["out_of_scope"] = getattr(self.dataset, "out_of_scope", None)  # the class that is judged apart
        if self.also_on:
            parts = {name: tokens_parts(one, self.tokenizer) for name, one in self.also_on.items()}
            result["also_on"] = [parts, code_hash("kd_lab.evaluation.cross_dataset")]
        named = {"tokens": tokens, "teacher": teacher, "fit": student, "compressed": small}
        named |= {"transfer": taught} if apart else {}
        return {**{name: value for name, value in named.items() if value}, "result": fingerprint(result)}

    def teacher_fingerprint(self, spec: TeacherSpec) -> str:
        """The name of a teacher, or of a part of it."""
        tokens_of = lambda one: fingerprint(tokens_parts(self.dataset, self.reader(one)))  # noqa: E731
        return teacher_fingerprint(spec, tokens_of, self.dataset)

    @cached_property
    def timing_parts(self) -> dict[str, Any]:
        """All that a time depends on: what is computed, by what and on what; not the values of the weights.

        Nor what else is true of this process, such as its own threads, or packages that compute nothing.
        """
        judged, reference = self.evaluation, self._reference()
        trimmed = {"taught": self.fingerprints.get("transfer")} if "trim_vocabulary" in self.steps else {}
        return {
            **trimmed,  # by which pieces it keeps
            "tokens": self.fingerprints["tokens"],
            "model": self.student.model,
            "steps": list(self.steps.items()),
            "reference": reference,
            "asked": {"threads": judged.threads_used, "requests": judged.requests, "rounds": judged.rounds},
            "machine": [machine.processor(), machine.versions(machine.COMPUTING)],
            "code": code_hash("kd_lab.evaluation.latency", judged, self.student.model, reference, self.steps),
        }

    def _reference(self) -> Any:
        """What the student's times are held against: the teacher's architecture, where it is a model."""
        if isinstance(self.teacher, FitSpec):
            alone = self.reader(self.teacher) is self.tokenizer
            return self.teacher.model if alone else [self.teacher.model, self.reader(self.teacher)]
        return self.teacher if isinstance(self.teacher, ReadyTeacher) else None

    def teacher_folder(self) -> Path | None:
        """Where the teacher's model lies, or would; None where it is no model."""
        if not isinstance(self.teacher, FitSpec | ReadyTeacher):
            return None
        return self.cache.root / "fit" / self.fingerprints["teacher"] / "model"


def _alike(one: TokenizerBase, other: TokenizerBase) -> bool:
    """Whether two make the same pieces of every text."""
    if one is other:
        return True
    there = one.path.is_file() and other.path.is_file()
    return there and one.max_tokens == other.max_tokens and same_tokenizer(one.path, other.path)


def check_length(model: Any, tokenizer: TokenizerBase, where: str) -> None:
    """Refuses texts longer than a model has positions for."""
    longest = getattr(model, "longest_input", None)
    if longest is not None and tokenizer.max_tokens > longest:
        expected, got = f"at most {longest}, as {model.name} has positions", str(tokenizer.max_tokens)
        raise UserError(where, expected=expected, got=got, cure=f"Choose {where}={longest}.")
