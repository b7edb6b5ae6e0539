"""What a config means: the parts it names, and the steps of a cell's story."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from kd_lab import classifier, evaluation, fit, machine, outputs
from kd_lab.cache import Cache, file_hash, fingerprint, source_hash
from kd_lab.classifier import Classifier
from kd_lab.compression.around import Around, Hold
from kd_lab.compression.step import apply_all, check_all
from kd_lab.compression.without_dropout import without_dropout
from kd_lab.cost import size_mib
from kd_lab.data.tokenizer import TokenizerFile
from kd_lab.data.tokens import Tokens, tokenise
from kd_lab.data.tokens import parts as tokens_parts
from kd_lab.errors import UserError
from kd_lab.fit import FitSpec, Fitted, Teacher
from kd_lab.instantiate import build
from kd_lab.losses.term.logit_mse import LogitMse
from kd_lab.losses.weighted_sum import WeightedSum
from kd_lab.models.torch_classifier import TorchClassifier
from kd_lab.paths import root
from kd_lab.predict import predict
from kd_lab.progress import say, step
from kd_lab.results import RunResult
from kd_lab.resume import Observe, ignore
from kd_lab.text_classifier import TOKENIZER

EXACT = "32-true"  # the precision in which rows are judged, whatever the fit ran in
JUDGED = ("validation", "test")
Costs = tuple[dict[str, Any], dict[str, Any]]  # of the classifier, and of its reference or empty
_scores: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}  # (teacher, tokens) -> its metrics


def plain(config: DictConfig) -> dict[str, Any]:
    """The resolved config as plain data."""
    settings: dict[str, Any] = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)  # type: ignore[assignment]
    return settings


class Cell:
    """What a config means: the parts it names, and the steps of the story that need them."""

    def __init__(self, config: DictConfig) -> None:
        self.config = config
        self.cache = Cache(Path(config.paths.cache).expanduser())
        self.dataset = self._part("dataset")
        self.tokenizer = self._part("tokenizer")
        self.student = self._spec("", config.seed)
        self.teacher = None if config.teacher is None else self._spec("teacher.", config.teacher.seed)
        self.steps = {name: self._part(f"compression.{name}") for name in config.compression}
        check_all(self.steps, self.student.model.kind, self.student.model)
        self._check_loss()
        self.evaluation: evaluation.Evaluation = self._part("evaluation")
        self.warnings: list[str] = []
        self.durations_s: dict[str, float] = {}
        self.outputs: set[str] = set()  # the cached outputs of the teacher that were read

    def _check_loss(self) -> None:
        """Refuses, before any fit, a recovery under a loss of hidden states that would no longer fit each other."""
        if self.config.recovery not in ("student", "teacher"):
            cure = "Choose one: whose outputs a step of compression learns from while it trains on."
            raise UserError("recovery", expected="student or teacher", got=repr(self.config.recovery), cure=cure)
        changing = [name for name in ("trim_vocabulary", "prune_lstm") if name in self.steps]
        by_fit = self._recovers and self.config.recovery == "teacher"
        if changing and by_fit and self.student.loss.needs - {"logits"}:
            raise UserError(
                f"compression.{changing[0]}",
                expected="a loss of logits alone: after this step the teacher reads other pieces or has another width",
                got=f"a loss that needs {', '.join(sorted(self.student.loss.needs))}",
                cure="Choose recovery=student or loss=hybrid, or let no step train: compression.STEP.epochs=0.",
            )

    @property
    def _recovers(self) -> bool:
        """Whether a step of compression trains on."""
        return any(getattr(option, "epochs", 0) for option in self.steps.values())

    def _part(self, where: str) -> Any:
        return build(plain(OmegaConf.select(self.config, where)), where)

    def _spec(self, prefix: str, seed: int) -> FitSpec:
        model, loss, optimizer, trainer = (
            self._part(prefix + part) for part in ("model", "loss", "optimizer", "trainer")
        )
        return FitSpec(model, loss, optimizer, trainer, seed)

    @cached_property
    def fingerprints(self) -> dict[str, str]:
        """The name of every artifact, known before any is made."""
        tokens = fingerprint(tokens_parts(self.dataset, self.tokenizer))
        teacher = fingerprint(fit.parts(self.teacher, tokens, None)) if self.teacher else ""
        student = fingerprint(fit.parts(self.student, tokens, teacher or None))
        compressed = fingerprint(self._compressed_parts(student)) if self.steps else student
        code = source_hash("cell", "cost", "evaluation", "metrics", "pipeline", "predict", "significance")
        result = {"compressed": compressed, "teacher": teacher, "evaluation": self.evaluation, "code": code}
        named = {"tokens": tokens, "teacher": teacher, "fit": student, "compressed": compressed}
        return {**{name: value for name, value in named.items() if value}, "result": fingerprint(result)}

    @cached_property
    def _timing_parts(self) -> dict[str, Any]:
        """All that a time depends on: what is computed and where, not the values of the weights."""
        return {
            "tokens": self.fingerprints["tokens"],
            "model": self.student.model,
            "steps": list(self.steps.items()),
            "reference": self.teacher.model if self.teacher else None,
            "evaluation": self.evaluation,
            "machine": [machine.describe_machine(), machine.versions()],
            "code": source_hash("compression", "cost", "data/batches", "evaluation", "fresh_process", "models"),
        }

    def _compressed_parts(self, student: str) -> dict[str, Any]:
        found = {"fit": student, "steps": list(self.steps.items()), "code": source_hash("compression", "models")}
        return found | ({"recovery": self.config.recovery} if self._recovers else {})

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
        with self.timed("tokens", f"tokenise {self.dataset.name}") as advance:
            tokens = tokenise(self.dataset, self.tokenizer, self.cache, advance)
        for text in tokens.warnings:
            self.warn(f"dataset {self.dataset.name}: {text}")
        return tokens

    def fitted(
        self, role: str, spec: FitSpec, tokens: Tokens, teacher: Teacher | None, observe: Observe = ignore
    ) -> Fitted:
        """The student or the teacher, fitted."""
        if not spec.trainer.max_epochs:
            self.warn(f"the {role} was not fitted (max_epochs=0): only its size and speed mean anything")
        card = {"labels": tokens.classes, "max_tokens": tokens.max_tokens, "pad_id": tokens.pad_id}
        total = spec.trainer.max_epochs * len(tokens.split("train"))
        with self.timed(f"fit {role}", f"fit {role} {spec.model.name}, rows", total) as advance:
            files = {TOKENIZER: self.tokenizer.path}
            return fit.fit(spec, tokens, teacher, self.cache, card, files, advance, observe)

    def fitted_teacher(self, tokens: Tokens) -> Teacher | None:
        """The teacher, with answers for the student's loss: from the cache where logits suffice, else live."""
        if self.teacher is None:
            return None
        fitted = self.fitted("teacher", self.teacher, tokens, None)
        if text := evaluation.guessing(tokens, self.logits(fitted, tokens, "validation", EXACT)):
            self.warn(text)
        needs, precision = self.student.loss.needs, self.student.trainer.on_machine()[1]
        if not needs:
            return Teacher(fitted, {})
        splits = ("train", "validation")
        if needs <= {"logits"}:
            return Teacher(
                fitted,
                {split: outputs.CachedAnswers(self.logits(fitted, tokens, split, precision)) for split in splits},
            )
        live = fitted.load()
        live.returns = needs | {"logits"}
        return Teacher(fitted, dict.fromkeys(splits, outputs.LiveAnswers(live, precision)))

    def teacher_folder(self) -> Path:
        """Where the fitted teacher's model lies, or would."""
        return self.cache.root / "fit" / self.fingerprints["teacher"] / "model"

    def logits(self, fitted: Fitted, tokens: Tokens, split: str, precision: str, role: str = "teacher") -> torch.Tensor:
        """What the fitted teacher, or another model that is learned from, says about a split, computed once."""
        on = (self.student.trainer.on_machine()[0], precision)
        if role == "teacher":
            self.outputs.add(fingerprint(outputs.parts(fitted.fingerprint, split, precision)))
        label = f"{role} on {split} in {precision}"
        with self.timed(label, f"{label}, rows", len(tokens.split(split))) as advance:
            return outputs.logits_of(fitted.fingerprint, fitted.load, tokens, split, on, self.cache, advance)

    def compressed(self, fitted: Fitted, tokens: Tokens, teacher: Teacher | None) -> Path:
        """The folder of the saved classifier that is measured."""
        if not self.steps:
            return fitted.model
        parts = self._compressed_parts(fitted.fingerprint)
        epochs = sum(getattr(option, "epochs", 0) for option in self.steps.values())
        rows = epochs * len(tokens.split("train"))
        label = f"compress by {', '.join(self.steps)}" + (", rows trained on" if rows else "")
        with self.timed("compression", label, rows or None) as advance:

            def make(draft: Path) -> None:
                card = {key: value for key, value in classifier.read_card(fitted.model).items() if key != "class"}
                around = Around(
                    tokens=tokens,
                    tokenizer=fitted.model / TOKENIZER,
                    scratch=self.cache.unfinished("compressed", parts),
                    retokenise=self._retokenised,
                    training=partial(self._recover, *self._guide(fitted, tokens, teacher), advance),
                )
                small = apply_all(self.steps, fitted.load(), around)
                card |= {"pad_id": around.tokens.pad_id, "compression": list(self.steps)}
                classifier.save(small, draft / "model", card)
                shutil.copyfile(around.tokenizer, draft / "model" / TOKENIZER)
                (draft / "notes.json").write_text(json.dumps(around.notes, indent=1), encoding="utf-8")
                advance(0)

            return self.cache.build("compressed", parts, make) / "model"

    def notes(self, saved: Path) -> dict[str, Any]:
        """What the steps of compression have to say of what they did."""
        file = saved.parent / "notes.json"
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if self.steps else {}
        return found

    def _guide(self, fitted: Fitted, tokens: Tokens, teacher: Teacher | None) -> tuple[FitSpec, Teacher | None]:
        """How a step of compression trains on: under the loss of the fit, or under what the model said before."""
        if self.config.recovery == "teacher" or not self._recovers:
            return self.student, teacher
        precision = self.student.trainer.on_machine()[1]
        said = {
            split: self.logits(fitted, tokens, split, precision, "uncompressed") for split in ("train", "validation")
        }
        spec = replace(self.student, loss=WeightedSum({"logit_mse": LogitMse()}, {"logit_mse": 1.0}))
        return spec, Teacher(fitted, {split: outputs.CachedAnswers(logits) for split, logits in said.items()})

    def _recover(
        self,
        spec: FitSpec,
        teacher: Teacher | None,
        advance: Callable[[int], None],
        model: TorchClassifier,
        around: Around,
        epochs: int,
        rate: float,
        hold: Hold | None,
    ) -> None:
        """How a step of compression trains on; what was learned when it was cut off is not learned again."""
        if not self.student.trainer.max_epochs:
            return  # what was never fitted is not recovered
        scratch = around.scratch / str(len(around.notes.setdefault("training", {})))
        steady = without_dropout(model) if self.config.recovery == "student" else nullcontext()
        with steady:
            about = fit.recover(
                spec,
                teacher,
                scratch,
                model,
                around.tokens,
                epochs=epochs,
                rate=rate,
                hold=hold,
                advance=advance,
            )
        around.notes["training"][scratch.name] = {"epochs": about["history"], "seconds": round(about["seconds"], 3)}

    def _retokenised(self, file: Path) -> Tokens:
        """The data set as the pieces of another tokenizer.json."""
        return tokenise(self.dataset, TokenizerFile(file, self.tokenizer.max_tokens), self.cache)

    def read_by(self, saved: Path, tokens: Tokens) -> Tokens:
        """The data set as the saved classifier reads it: retokenised where its tokenizer is another."""
        file = saved / TOKENIZER
        return tokens if file_hash(file) == file_hash(self.tokenizer.path) else self._retokenised(file)

    def said_by(self, model: Classifier, tokens: Tokens) -> dict[str, torch.Tensor]:
        """The classifier's logits for validation and test, as it would be deployed."""
        said = {}
        for split in JUDGED:
            rows = tokens.split(split)
            with self.timed(f"student on {split}", f"student on {split}, rows", len(rows)) as advance:
                said[split] = predict(model, rows, tokens.pad_id, "cpu", EXACT, advance)
        return said

    def cost(self, folder: Path, model: Classifier, reference: Path | None, tokens: Tokens) -> Costs:
        """What the classifier saved in `folder` costs, and what the reference, which reads `tokens`, costs.

        Times are measured once for all cells that compute the same on the same machine: a sweep over temperatures
        would measure the same thing again and again, and call the noise a difference.
        """

        def make(draft: Path) -> None:
            measured = self.evaluation.cost(folder, self.read_by(folder, tokens), reference, tokens)
            (draft / "costs.json").write_text(json.dumps(measured), encoding="utf-8")

        with self.timed("cost", "measure size, memory and latency"):
            entry = self.cache.build("timing", self._timing_parts, make)
        own, theirs = json.loads((entry / "costs.json").read_text(encoding="utf-8"))
        own["parameters"], own["parameters_nonzero"] = model.count_parameters()
        own["size_mib"] = size_mib(folder)
        return {**own, "timing": entry.name}, theirs

    def forget_cost(self) -> None:
        """Has the next cell of this kind measure its times anew."""
        shutil.rmtree(self.cache.folder("timing", self._timing_parts), ignore_errors=True)

    def scores(self, tokens: Tokens, said: Mapping[str, torch.Tensor]) -> dict[str, dict[str, Any]]:
        """Metrics of each split; of a data set with texts out of scope, in scope and out of scope apart too."""
        return evaluation.scores(tokens, said, getattr(self.dataset, "out_of_scope", None))

    def about_teacher(self, fitted: Fitted, tokens: Tokens, said: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        """What a result says of the teacher but for its cost."""
        assert self.teacher is not None
        named = (fitted.fingerprint, tokens.fingerprint)
        if named not in _scores:  # one teacher serves many cells
            _scores[named] = self.scores(tokens, said)
        return {"model": self.teacher.model.name, "fingerprint": fitted.fingerprint, "metrics": _scores[named]}

    def passes(self, epochs: int) -> dict[str, Any]:
        """How often the teacher would have gone over a split if nothing were kept, and which outputs were kept."""
        taught = 2 * epochs if self.student.loss.needs else 0  # train and validation in each epoch
        return {"passes": taught + len(JUDGED), "outputs": sorted(self.outputs)}

    def result(self, cell: str, overrides: Sequence[str], about: Mapping[str, Any]) -> RunResult:
        """The cell's result without its figures."""
        return RunResult(
            name=self.config.name,
            cell=cell,
            status="finished",
            config=plain(self.config),
            overrides=list(overrides),
            git_commit=machine.git_commit(root()),
            versions=machine.versions(),
            machine={**machine.describe_machine(), "device": about["device"], "precision": about["precision"]},
            fingerprint=self.fingerprints,
            history=about["history"],
            durations_s=self.durations_s,
            warnings=self.warnings,
        )
