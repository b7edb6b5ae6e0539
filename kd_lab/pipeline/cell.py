"""The steps of a cell's story, each from the cache where its artifact is there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from kd_lab.compression import apply
from kd_lab.compression.apply import Recovery
from kd_lab.compression.context import CompressionContext
from kd_lab.core.cache import file_hash, fingerprint
from kd_lab.core.progress import say, step
from kd_lab.data.dataset import Dataset
from kd_lab.data.tokenized import Tokens, tokenise
from kd_lab.data.tokenizer import TokenizerFile
from kd_lab.evaluation import scoring
from kd_lab.evaluation.inference import predict
from kd_lab.losses.term.logit_mse import LogitMse
from kd_lab.losses.weighted_sum import WeightedSum
from kd_lab.models import saved_model
from kd_lab.models.base import TorchClassifier
from kd_lab.models.saved_model import Classifier
from kd_lab.pipeline.costs import Costs, measured_once, sizes
from kd_lab.pipeline.plan import Plan
from kd_lab.serving.text_classifier import TOKENIZER
from kd_lab.training import fit, teacher_outputs
from kd_lab.training.checkpointing import Observe, ignore
from kd_lab.training.fit import FitSpec, Fitted, Teacher
from kd_lab.training.lightning_module import TeacherOutputs
from kd_lab.training.loop import learned_from

EXACT = "32-true"  # the precision in which rows are judged, whatever the fit ran in
JUDGED = ("validation", "test")


class Cell(Plan):
    """A plan that is carried out: its steps, how long each took, and what a user should be warned of."""

    def __init__(self, config: DictConfig) -> None:
        super().__init__(config)
        self.warnings = self.cache.warnings  # of what was damaged there, and all others
        self.durations_s: dict[str, float] = {}
        self.outputs: set[str] = set()  # the cached outputs of the teacher that were read

    @contextmanager
    def timed(self, name: str, label: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
        """A step with a progress bar, its seconds kept under `name`."""
        start = time.perf_counter()
        with step(label, total) as advance:
            yield advance
        self.durations_s[name] = round(time.perf_counter() - start, 3)

    def warn(self, text: str) -> None:
        """Says it now and in the result."""
        if text not in self.warnings:
            self.warnings.append(text)
            say(f"warning: {text}")

    def tokens(self) -> Tokens:
        """The data set as word pieces."""
        return self._tokens("tokens", self.dataset)

    def taught_tokens(self, tokens: Tokens) -> Tokens:
        """What the student learns from: the same, and below train's rows the text that only a teacher judges."""
        return tokens if self.taught_on is self.dataset else self._tokens("transfer", self.taught_on)

    def _tokens(self, step: str, dataset: Dataset) -> Tokens:
        with self.timed(step, f"tokenise {dataset.name}") as advance:
            tokens = tokenise(dataset, self.tokenizer, self.cache, advance)
        for text in tokens.warnings:
            self.warn(f"dataset {dataset.name}: {text}")
        train = tokens.split("train")
        labelled = len(train.labelled)
        if without := len(train) - labelled:
            say(f"dataset {dataset.name}: {labelled:,} rows of train with a label, {without:,} without")
        return tokens

    def fitted(
        self, role: str, spec: FitSpec, tokens: Tokens, teacher: Teacher | None, observe: Observe = ignore
    ) -> Fitted:
        """The student or the teacher, fitted."""
        if not spec.trainer.max_epochs:
            self.warn(f"the {role} was not fitted (max_epochs=0): only its size and speed mean anything")
        card = {
            "labels": tokens.classes,
            "max_tokens": tokens.max_tokens,
            "pad_id": tokens.pad_id,
            "pairs": tokens.split("train").token_type_ids is not None,
        }
        total = spec.trainer.max_epochs * len(learned_from(tokens.split("train"), spec.loss))
        with self.timed(f"fit {role}", f"fit {role} {spec.model.name}, rows", total) as advance:
            files = {TOKENIZER: self.tokenizer.path}
            return fit.fit(spec, tokens, teacher, self.cache, card, files, advance, observe)

    def fitted_teacher(self, tokens: Tokens, taught: Tokens) -> Teacher | None:
        """The teacher, with answers for the student's loss: from the cache where logits suffice, else live.

        Args:
            taught: what the student learns from, see `taught_tokens`.
        """
        if self.teacher is None:
            return None
        fitted = self.fitted("teacher", self.teacher, tokens, None)
        load = cache(fitted.load)  # at most once for all that it says
        if text := scoring.majority_class_warning(tokens, self.logits(fitted, tokens, "validation", EXACT, load)):
            self.warn(text)
        needs, precision = self.student.loss.needs, self.student.trainer.resolve_device_and_precision()[1]
        if not needs:
            return Teacher(fitted, {})
        splits = ("train", "validation")
        if needs <= {"logits"}:
            read = {"train": taught, "validation": tokens}
            logits = {split: self.logits(fitted, read[split], split, precision, load) for split in splits}
            return Teacher(fitted, self._answers(logits))
        live = load()
        live.returns = needs | {"logits"}
        return Teacher(fitted, dict.fromkeys(splits, teacher_outputs.LiveTeacherOutputs(live, precision)))

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
        if role == "teacher":
            parts = teacher_outputs.fingerprint_parts(fitted.fingerprint, tokens.fingerprint, split, precision)
            self.outputs.add(fingerprint(parts))
        label = f"{role} on {split} in {precision}"
        with self.timed(label, f"{label}, rows", len(tokens.split(split))) as advance:
            return teacher_outputs.logits_of(
                fitted.fingerprint, load or fitted.load, tokens, split, on, self.cache, advance
            )

    def compressed(self, fitted: Fitted, tokens: Tokens, teacher: Teacher | None) -> Path:
        """The folder of the saved classifier that is measured.

        Args:
            tokens: what it was fitted on.
        """
        if not self.steps:
            return fitted.model
        parts = apply.fingerprint_parts(fitted.fingerprint, self.steps, self.config.recovery)
        rows = apply.epochs(self.steps) * len(learned_from(tokens.split("train"), self.student.loss))
        label = f"compress by {', '.join(self.steps)}" + (", rows trained on" if rows else "")
        with self.timed("compression", label, rows or None) as advance:

            def make(draft: Path) -> None:
                context = CompressionContext(
                    tokens=tokens,
                    tokenizer=fitted.model / TOKENIZER,
                    scratch=self.cache.unfinished("compressed", parts),
                    retokenise=partial(self._retokenised, self.taught_on),
                    training=self._recovery(fitted, tokens, teacher, advance),
                )
                apply.make(fitted, self.steps, context, draft)
                advance(0)

            return self.cache.build("compressed", parts, make) / apply.MODEL

    def _answers(self, logits: Mapping[str, torch.Tensor]) -> Mapping[str, TeacherOutputs]:
        """Cached logits of each split, where the student is fitted."""
        device = self.student.trainer.resolve_device_and_precision()[0]
        cached = {split: teacher_outputs.CachedTeacherOutputs(one) for split, one in logits.items()}
        return {split: one.to_device(device) for split, one in cached.items()}

    def notes(self, saved: Path) -> dict[str, Any]:
        """What the steps of compression have to say of what they did."""
        return apply.notes(saved) if self.steps else {}

    def _recovery(
        self, fitted: Fitted, tokens: Tokens, teacher: Teacher | None, advance: Callable[[int], None]
    ) -> Recovery:
        """How a step of compression trains on: under the loss of the fit, or under what the model said before."""
        by_teacher = self.config.recovery == "teacher"
        if by_teacher or not apply.epochs(self.steps):
            return Recovery(self.student, teacher, by_teacher, advance)
        precision = self.student.trainer.resolve_device_and_precision()[1]
        logits = {
            split: self.logits(fitted, tokens, split, precision, role="uncompressed")
            for split in ("train", "validation")
        }
        spec = replace(self.student, loss=WeightedSum({"logit_mse": LogitMse()}, {"logit_mse": 1.0}))
        return Recovery(spec, Teacher(fitted, self._answers(logits)), False, advance)

    def _retokenised(self, dataset: Dataset, file: Path) -> Tokens:
        """A data set as the pieces of another tokenizer.json."""
        return tokenise(dataset, TokenizerFile(file, self.tokenizer.max_tokens), self.cache)

    def read_by(self, saved: Path, tokens: Tokens) -> Tokens:
        """The data set as the saved classifier reads it: retokenised where its tokenizer is another."""
        file = saved / TOKENIZER
        return tokens if file_hash(file) == file_hash(self.tokenizer.path) else self._retokenised(self.dataset, file)

    def predict_splits(self, model: Classifier, tokens: Tokens) -> dict[str, torch.Tensor]:
        """The classifier's logits for validation and test, as it would be deployed.

        One that is not compressed says the same on a GPU, and sooner.
        """
        logits, device = {}, "cpu"
        fitted_on = self.student.trainer.resolve_device_and_precision()[0]
        if not self.steps and fitted_on == "cuda" and isinstance(model, TorchClassifier):
            device = "cuda"
            model.to(device)
        for split in JUDGED:
            rows = tokens.split(split)
            with self.timed(f"student on {split}", f"student on {split}, rows", len(rows)) as advance:
                logits[split] = predict(model, rows, tokens.pad_id, device, EXACT, advance)
        if isinstance(model, TorchClassifier):
            model.cpu()
        return logits

    def cost(
        self,
        folder: Path,
        model: Classifier,
        reference: Path | None,
        tokens: Tokens,
        *,
        sweep: str | None = None,
        known: Costs | None = None,
    ) -> Costs:
        """What the classifier saved in `folder` costs, and what the reference, which reads `tokens`, costs.

        Without times (`evaluation=none`) these are sizes.

        Times are measured once for all cells that compute the same, see `measured_once`.

        Args:
            sweep: names the sweep that the cell is a part of, see `results.RUNNING`.
            known: of a cell of the same kind, not to measure again.
        """

        def measure() -> Costs:
            return self.evaluation.cost(folder, self.read_by(folder, tokens), reference, tokens)

        if not self.evaluation.timed:
            return sizes(model, folder), sizes(saved_model.load(reference), reference) if reference else {}
        with self.timed("cost", "measure size, memory and latency"):
            own, theirs = known or measured_once(measure, self.cache, self.timing_parts, sweep)
        timing = self.cache.folder("timing", self.timing_parts).name
        return {**own, **sizes(model, folder), "timing": timing}, theirs

    def scores(self, tokens: Tokens, logits: Mapping[str, torch.Tensor]) -> dict[str, dict[str, Any]]:
        """Metrics of each split; of a data set with texts out of scope, in scope and out of scope apart too."""
        return scoring.scores(tokens, logits, getattr(self.dataset, "out_of_scope", None))
