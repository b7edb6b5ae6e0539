"""The second half of a cell's story: the fitted student is compressed, judged and measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import torch
from omegaconf import OmegaConf

from kd_lab.compression import apply
from kd_lab.compression.apply import Recovery
from kd_lab.compression.context import CompressionContext
from kd_lab.core.cache import file_hash
from kd_lab.core.errors import UserError
from kd_lab.core.progress import say
from kd_lab.data.dataset import Dataset
from kd_lab.data.tokenized import Tokens, tokenise
from kd_lab.data.tokenizer import TokenizerFile
from kd_lab.data.tokenizer_file import TOKENIZER
from kd_lab.evaluation import cross_dataset, scoring
from kd_lab.evaluation.cross_dataset import BY_NUMBER, ClassOrder, class_order
from kd_lab.evaluation.inference import predict
from kd_lab.evaluation.profile import Profile, profile
from kd_lab.losses.term.logit_mse import LogitMse
from kd_lab.losses.weighted_sum import WeightedSum
from kd_lab.models import saved_model
from kd_lab.models.base import TorchClassifier
from kd_lab.models.saved_model import Classifier
from kd_lab.pipeline.costs import Costs, measured_once, sizes
from kd_lab.pipeline.fitting import EXACT, FittingCell
from kd_lab.training.fit import Fitted, Teacher
from kd_lab.training.loop import learned_from

JUDGED = ("validation", "test")


class Cell(FittingCell):
    """A plan that is carried out, each step from the cache where its artifact is there."""

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Self:
        """The cell that a result's config describes."""
        return cls(OmegaConf.create(dict(config)))

    def compressed(self, fitted: Fitted, tokens: Tokens, teacher: Teacher | None) -> Path:
        """The folder of the saved classifier that is measured.

        Args:
            tokens: what it was fitted on.
        """
        if not self.steps:
            return fitted.model
        parts = apply.fingerprint_parts(fitted.fingerprint, self.steps, self.config.recovery)
        outputs = teacher.outputs.get("train") if teacher else None
        rows = apply.epochs(self.steps) * len(learned_from(tokens.split("train"), self.student.loss, outputs))
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
        return Recovery(spec, Teacher(fitted.fingerprint, self._answers(logits), fitted), False, advance)

    def _retokenised(self, dataset: Dataset, file: Path) -> Tokens:
        """A data set as the pieces of another tokenizer.json."""
        return tokenise(dataset, TokenizerFile(file, self.tokenizer.max_tokens), self.cache)

    def read_by(self, saved: Path, tokens: Tokens, dataset: Dataset | None = None) -> Tokens:
        """The data set as the saved classifier reads it: retokenised where its tokenizer is another.

        Args:
            dataset: which; None is the cell's own.
        """
        file = saved / TOKENIZER
        alike = file_hash(file) == file_hash(self.tokenizer.path)
        return tokens if alike else self._retokenised(dataset or self.dataset, file)

    def others(self, tokens: Tokens) -> dict[str, tuple[Tokens, ClassOrder]]:
        """The data sets in `also_on` as the student reads them, and which of its classes each of theirs is.

        Raises:
            UserError: one has other classes, or its rows or the model's may bear several labels.
        """
        found = {}
        for name, dataset in self.also_on.items():
            other = self.read_with(self.tokenizer, f"tokens of {name}", dataset)
            if tokens.multi_label or other.multi_label:
                cure = "Leave also_on out."
                raise UserError(f"also_on.{name}", expected="one label a row", got="several", cure=cure)
            classes = class_order(tokens.classes, other.classes, f"also_on.{name}")
            found[name] = other, classes
            if tokens.pairs != other.pairs:
                its, own = ("pairs of texts", "single ones")[:: 1 if other.pairs else -1]
                self.warn(f"also_on.{name}: it has {its}, and the model is fitted on {own}")
            if classes.by == BY_NUMBER:
                pairs = ", ".join(f"{own} = {its}" for own, its in zip(tokens.classes, other.classes, strict=True))
                say(f"also_on.{name}: its classes have other names: taken by number, {pairs}")
        return found

    def judged_on_others(
        self, saved: Path, model: Classifier, others: Mapping[str, tuple[Tokens, ClassOrder]]
    ) -> dict[str, Any]:
        """Data set -> metrics of the saved classifier on its test rows."""
        found = {}
        for name, (other, classes) in others.items():
            tokens = self.read_by(saved, other, self.also_on[name])
            logits = self._predict(model, tokens, {"test": name})["test"]
            found[name] = cross_dataset.evaluate(tokens, logits, classes)
        return found

    def predict_splits(self, model: Classifier, tokens: Tokens) -> dict[str, torch.Tensor]:
        """The classifier's logits for validation and test, as it would be deployed."""
        return self._predict(model, tokens, {split: split for split in JUDGED})

    def _predict(self, model: Classifier, tokens: Tokens, splits: Mapping[str, str]) -> dict[str, torch.Tensor]:
        """The classifier's logits for splits, each with a name for its step.

        One that is not compressed says the same on a GPU, and sooner.
        """
        logits, device = {}, "cpu"
        fitted_on = self.student.trainer.resolve_device_and_precision()[0]
        if not self.steps and fitted_on == "cuda" and isinstance(model, TorchClassifier):
            device = "cuda"
            model.to(device)
        for split, name in splits.items():
            rows = tokens.split(split)
            with self.timed(f"student on {name}", f"student on {name}, rows", len(rows)) as advance:
                logits[split] = predict(model, rows, tokens.pad_id, device, EXACT, advance)
        if isinstance(model, TorchClassifier):
            model.cpu()
        return logits

    def cost(
        self,
        folder: Path,
        model: Classifier,
        reference: tuple[Path, Tokens] | None,
        tokens: Tokens,
        *,
        sweep: str | None = None,
        known: Costs | None = None,
    ) -> Costs:
        """What the classifier saved in `folder` costs, and what the reference costs.

        Without times (`evaluation=none`) these are sizes.

        Times are measured once for all cells that compute the same, see `measured_once`.

        Args:
            reference: what it is held against, such as the teacher, and the data set as that reads it.
            sweep: names the sweep that the cell is a part of, see `results.RUNNING`.
            known: of a cell of the same kind, not to measure again.
        """

        def measure() -> Costs:
            other, read = reference or (None, tokens)
            return self.evaluation.cost(folder, self.read_by(folder, tokens), other, read)

        if not self.evaluation.timed:
            return sizes(model, folder), sizes(saved_model.load(reference[0]), reference[0]) if reference else {}
        with self.timed("cost", "measure size, memory and latency"):
            own, theirs = known or measured_once(measure, self.cache, self.timing_parts, sweep)
        timing = self.cache.folder("timing", self.timing_parts).name
        return {**own, **sizes(model, folder), "timing": timing}, theirs

    def profile(self, saved: Path, model: Classifier, tokens: Tokens) -> Profile | None:
        """Where its time goes; None where nobody asks, or it runs outside torch, which is said."""
        if not self.evaluation.profile:
            return None
        if not isinstance(model, TorchClassifier):
            self.warn(f"evaluation.profile: torch's profiler sees nothing of {type(model).__name__}")
            return None
        device = "cpu" if self.steps else self.student.trainer.resolve_device_and_precision()[0]
        requests = self.evaluation.requests_of(self.read_by(saved, tokens))
        with self.timed("profile", "profile"):
            found = profile(model.to(device), requests, device)
        model.cpu()
        return found

    def scores(self, tokens: Tokens, logits: Mapping[str, torch.Tensor]) -> dict[str, dict[str, Any]]:
        """Metrics of each split; of a data set with texts out of scope, in scope and out of scope apart too."""
        return scoring.scores(tokens, logits, getattr(self.dataset, "out_of_scope", None))
