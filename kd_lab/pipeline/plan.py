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
from kd_lab.core.instantiate import build
from kd_lab.core.moved import with_current_names
from kd_lab.data.dataset import without_transfer
from kd_lab.data.tokenized import fingerprint_parts as tokens_parts
from kd_lab.evaluation.scoring import Evaluation
from kd_lab.training import fit
from kd_lab.training.fit import FitSpec


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
        self.tokenizer = self._part("tokenizer")
        self.student = self._spec("", config.seed)
        self.teacher = None if config.teacher is None else self._spec("teacher.", config.teacher.seed)
        self.steps = {name: self._part(f"compression.{name}") for name in config.compression}
        check_saved(check_all(self.steps, self.student.model.kind, self.student.model), "compression")
        self._check_loss()
        if not self.student.loss.needs:
            self.taught_on = self.dataset
        self.evaluation: Evaluation = self._part("evaluation")

    def _check_loss(self) -> None:
        """Refuses, before any fit, a recovery under a loss of hidden states that would no longer fit each other."""
        if self.config.recovery not in ("student", "teacher"):
            cure = "Choose one: whose outputs a step of compression learns from while it trains on."
            raise UserError("recovery", expected="student or teacher", got=repr(self.config.recovery), cure=cure)
        changing = [name for name in ("trim_vocabulary", "prune_lstm") if name in self.steps]
        by_fit = apply.epochs(self.steps) and self.config.recovery == "teacher"
        if changing and by_fit and self.student.loss.needs - {"logits"}:
            raise UserError(
                f"compression.{changing[0]}",
                expected="a loss of logits alone: after this step the teacher reads other pieces or has another width",
                got=f"a loss that needs {', '.join(sorted(self.student.loss.needs))}",
                cure="Choose recovery=student or loss=hybrid, or let no step train: compression.STEP.epochs=0.",
            )

    def check_trainers(self) -> None:
        """Refuses, before any fit, what would not be fitted here as it is asked for.

        Not a part of making a plan: a report opens the plans of cells that ran on other machines.

        Raises:
            UserError: there is no such device here, or it does not compute in that precision.
        """
        self.student.trainer.check("trainer")
        if self.teacher:
            self.teacher.trainer.check("teacher.trainer")

    def _part(self, where: str) -> Any:
        return build(resolved_config(OmegaConf.select(self.config, where)), where)

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
        teacher = fingerprint(fit.fingerprint_parts(self.teacher, tokens, None)) if self.teacher else ""
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
            file_alone_hash(*(f"kd_lab.pipeline.{name}" for name in ("cell", "costs", "run", "plan", "provenance"))),
        ]
        result = {"compressed": small, "teacher": teacher, "evaluation": self.evaluation, "code": code}
        result["out_of_scope"] = getattr(self.dataset, "out_of_scope", None)  # the class that is judged apart
        named = {"tokens": tokens, "teacher": teacher, "fit": student, "compressed": small}
        named |= {"transfer": taught} if apart else {}
        return {**{name: value for name, value in named.items() if value}, "result": fingerprint(result)}

    @cached_property
    def timing_parts(self) -> dict[str, Any]:
        """All that a time depends on: what is computed, by what and on what; not the values of the weights.

        Nor what else is true of this process, such as its own threads, or packages that compute nothing.
        """
        judged, reference = self.evaluation, self.teacher.model if self.teacher else None
        return {
            "tokens": self.fingerprints["tokens"],
            "model": self.student.model,
            "steps": list(self.steps.items()),
            "reference": reference,
            "asked": {"threads": judged.threads_used, "requests": judged.requests, "rounds": judged.rounds},
            "machine": [machine.processor(), machine.versions(machine.COMPUTING)],
            "code": code_hash("kd_lab.evaluation.latency", judged, self.student.model, reference, self.steps),
        }

    def teacher_folder(self) -> Path:
        """Where the fitted teacher's model lies, or would."""
        return self.cache.root / "fit" / self.fingerprints["teacher"] / "model"
