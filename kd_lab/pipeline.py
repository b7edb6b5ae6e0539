"""The whole story of one cell, top to bottom; the only module that sees a config."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from kd_lab import classifier, confusion, evaluation, fit, machine, outputs, results, table
from kd_lab.cache import Cache, fingerprint, source_hash
from kd_lab.compression.step import apply_all, check_all
from kd_lab.data.tokens import Tokens, tokenise
from kd_lab.data.tokens import parts as tokens_parts
from kd_lab.errors import UserError, disk_errors
from kd_lab.fit import FitSpec, Fitted, Teacher
from kd_lab.instantiate import build
from kd_lab.metrics import fidelity
from kd_lab.paths import root
from kd_lab.predict import predict
from kd_lab.progress import say, step
from kd_lab.results import RunResult

EXACT = "32-true"  # the precision in which rows are judged, whatever the fit ran in
JUDGED = ("validation", "test")


def run(config: DictConfig, folder: Path) -> RunResult:
    """Runs one cell, or reads its result where the same cell has finished before.

    Args:
        config: composed from conf/.
        folder: the cell's own, `multirun/<name>/<cell>`.

    Returns:
        the result, also written to `folder/result.json` and mirrored into the tracking store.

    Raises:
        UserError: something in the config or the data is to be mended.
        FitError: the fit failed by itself.
    """
    cell = Cell(config)
    done = finished(folder, cell.fingerprints["result"])
    if done is not None:
        return done
    tokens = cell.tokens()
    cell.student.loss.check(len(tokens.classes), cell.teacher is not None)
    teacher = cell.fitted_teacher(tokens)
    student = cell.fitted("student", cell.student, tokens, teacher)
    model = cell.compressed(student)
    said = cell.said_by(model, tokens)
    reference = teacher.fitted.model if teacher else None
    with cell.timed("cost", "measure size, memory and latency"):
        cost, teacher_cost = cell.evaluation.cost(model, reference, tokens)
    if cost["contended"]:
        cell.warn("other processes were busy while latency was measured: its times are not to be trusted")

    result = cell.result(folder.name, "finished", student.about())
    result.metrics = evaluation.scores(tokens, said)
    result.cost = cost
    if teacher and cell.teacher:
        teacher_said = {split: cell.logits(teacher.fitted, tokens, split, EXACT) for split in JUDGED}
        result.fidelity = fidelity(said["test"], teacher_said["test"])
        result.teacher = {
            "model": cell.teacher.model.name,
            "fingerprint": teacher.fitted.fingerprint,
            "metrics": evaluation.scores(tokens, teacher_said),
            "cost": teacher_cost,
        }
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        labels = evaluation.gold(tokens, "test")
        confusion.draw(labels, said["test"].argmax(1), tokens.classes, folder / "confusion.png")
        (folder / "table.md").write_text(table.to_markdown([result]), encoding="utf-8")
        shutil.copytree(model, folder / "model", copy_function=_link, dirs_exist_ok=True)
    result.write(folder)
    track(result, folder, result.config["tracking"])
    return result


def failed(config: DictConfig, folder: Path, error: Exception) -> RunResult:
    """Records a cell that failed, with its reason."""
    result = RunResult(name=config.name, cell=folder.name, status="failed", config=plain(config), error=str(error))
    result.versions, result.git_commit = machine.versions(), machine.git_commit(root())
    result.write(folder)
    track(result, folder, result.config["tracking"])
    return result


def finished(folder: Path, fingerprint: str) -> RunResult | None:
    """The cell's result where it is there, finished, and of the same making."""
    if not (folder / results.FILE).is_file():
        return None
    try:
        result = results.read(folder)
    except UserError as error:
        say(f"{error} Doing so now.")
        return None
    same = result.status == "finished" and result.fingerprint.get("result") == fingerprint
    return result if same else None


def track(result: RunResult, folder: Path, settings: Mapping[str, Any]) -> None:
    """Mirrors a result with the cell's files into the tracking store; a store that is away costs a warning."""
    files = {name: folder / name for name in ("table.md", "confusion.png") if (folder / name).is_file()}
    with step("mirror into MLflow"):
        build(settings, "tracking").mirror(result, files, folder / "model" if result.status == "finished" else None)


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
        check_all(self.steps, self.student.model.kind)
        self.evaluation: evaluation.Evaluation = self._part("evaluation")
        self.warnings: list[str] = []
        self.durations_s: dict[str, float] = {}

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
        code = source_hash("confusion", "cost", "evaluation", "metrics", "pipeline", "predict", "significance")
        result = {"compressed": compressed, "teacher": teacher, "evaluation": self.evaluation, "code": code}
        named = {"tokens": tokens, "teacher": teacher, "fit": student, "compressed": compressed}
        return {**{name: value for name, value in named.items() if value}, "result": fingerprint(result)}

    def _compressed_parts(self, student: str) -> dict[str, Any]:
        return {"fit": student, "steps": list(self.steps.items()), "code": source_hash("compression", "models")}

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

    def fitted(self, role: str, spec: FitSpec, tokens: Tokens, teacher: Teacher | None) -> Fitted:
        """The student or the teacher, fitted."""
        card = {"labels": tokens.classes, "max_tokens": tokens.max_tokens, "pad_id": tokens.pad_id}
        total = spec.trainer.max_epochs * len(tokens.split("train"))
        with self.timed(f"fit {role}", f"fit {role} {spec.model.name}, rows", total) as advance:
            files = {"tokenizer.json": self.tokenizer.file}
            return fit.fit(spec, tokens, teacher, self.cache, card, files, advance)

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

    def logits(self, fitted: Fitted, tokens: Tokens, split: str, precision: str) -> torch.Tensor:
        """What the fitted teacher says about a split, computed once."""
        on = (self.student.trainer.on_machine()[0], precision)
        label = f"teacher on {split} in {precision}"
        with self.timed(label, f"{label}, rows", len(tokens.split(split))) as advance:
            return outputs.logits_of(fitted.fingerprint, fitted.load, tokens, split, on, self.cache, advance)

    def compressed(self, fitted: Fitted) -> Path:
        """The folder of the saved classifier that is measured."""
        if not self.steps:
            return fitted.model
        with self.timed("compression", f"compress by {', '.join(self.steps)}") as advance:

            def make(draft: Path) -> None:
                card = {**classifier.read_card(fitted.model), "compression": list(self.steps)}
                small = apply_all(self.steps, fitted.load())
                classifier.save(small, draft / "model", {key: card[key] for key in card if key != "class"})
                shutil.copyfile(fitted.model / "tokenizer.json", draft / "model" / "tokenizer.json")
                advance(1)

            return self.cache.build("compressed", self._compressed_parts(fitted.fingerprint), make) / "model"

    def said_by(self, model: Path, tokens: Tokens) -> dict[str, torch.Tensor]:
        """The saved classifier's logits for validation and test, as it would be deployed."""
        loaded, said = classifier.load(model), {}
        for split in JUDGED:
            rows = tokens.split(split)
            with self.timed(f"student on {split}", f"student on {split}, rows", len(rows)) as advance:
                said[split] = predict(loaded, rows, tokens.pad_id, "cpu", EXACT, advance)
        return said

    def result(self, cell: str, status: str, about: Mapping[str, Any]) -> RunResult:
        """The cell's result without its figures."""
        return RunResult(
            name=self.config.name,
            cell=cell,
            status=status,
            config=plain(self.config),
            git_commit=machine.git_commit(root()),
            versions=machine.versions(),
            machine={**machine.describe_machine(), "device": about["device"], "precision": about["precision"]},
            fingerprint=self.fingerprints,
            history=about["history"],
            durations_s=self.durations_s,
            warnings=self.warnings,
        )


def _link(source: str, target: str) -> None:
    """A hard link where the disk allows it: the model in the cell takes no room, and outlives the cache."""
    Path(target).unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
