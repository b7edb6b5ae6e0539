"""The whole story of one cell, top to bottom."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from omegaconf import DictConfig

from kd_lab.compression.step import check_classes
from kd_lab.core import machine, redact, results
from kd_lab.core.errors import FitError, UserError, disk_errors
from kd_lab.core.instantiate import build
from kd_lab.core.progress import say, step
from kd_lab.core.results import RunResult
from kd_lab.data.tokenized import Tokens
from kd_lab.evaluation import calibration, confusion, judging, label_scores, scoring, selective
from kd_lab.evaluation.cross_dataset import ALSO_ON
from kd_lab.evaluation.predictions import save_predictions
from kd_lab.evaluation.profile import Profile
from kd_lab.evaluation.selective import Judged, LabelSets
from kd_lab.models import saved_model
from kd_lab.pipeline import provenance, publish, summary_table
from kd_lab.pipeline.cell import JUDGED, Cell
from kd_lab.pipeline.costs import Costs
from kd_lab.pipeline.fitting import EXACT
from kd_lab.pipeline.plan import resolved_config
from kd_lab.pipeline.run_folder import CALIBRATION, CONFUSION, ERROR, LABELS, MODEL, PROFILE, TABLE, TRACE
from kd_lab.pipeline.written_files import damaged, note, noted_anew
from kd_lab.serving import export
from kd_lab.serving.cascade import SELECTIVE
from kd_lab.serving.complete import COMPLETED, complete
from kd_lab.serving.label_decisions import probabilities_of
from kd_lab.serving.served import Served, served_in
from kd_lab.training.checkpointing import Observe, ignore

BUSY = "other processes were busy while latency was measured: its times are not to be trusted"
PROFILED = "profile"  # entry of a result's `cost`
KEPT = (TABLE, CONFUSION, LABELS, CALIBRATION, PROFILE)  # of a cell's files, those that MLflow gets too


def run(config: DictConfig, folder: Path, overrides: Sequence[str] = (), observe: Observe = ignore) -> RunResult:
    """Runs one cell, or reads its result where the same cell has finished before.

    Args:
        config: composed from conf/.
        folder: the cell's own, `multirun/<name>/<cell>`, held by this process (`run_folder.cell_lock`).
        overrides: what made the cell, for its result.
        observe: called after each epoch of the student with its number and what was logged.

    Returns:
        the result, also written to `folder/result.json` and mirrored into the tracking store.

    Raises:
        UserError: something in the config or the data is to be mended.
        FitError: the fit failed by itself.
    """
    start = time.perf_counter()
    cell = Cell(config)
    cell.check_trainers()
    done = finished(folder, cell.fingerprints["result"])
    if done is not None:
        return done
    publish.check_model(folder)
    tokens = cell.tokens()
    cell.student.loss.check(len(tokens.classes), cell.teacher is not None, tokens.multi_label)
    check_classes(cell.steps, tokens.classes, tokens.multi_label)
    others = cell.others(tokens)
    taught = cell.taught_tokens(tokens)
    asked = cell.asked(tokens, taught)
    teacher = cell.teaching(asked)
    student = cell.fitted("student", cell.student, taught, teacher, observe)
    saved = cell.compressed(student, taught, teacher)
    model = saved_model.load(saved)
    logits = cell.predict_splits(model, cell.read_by(saved, tokens))
    reference = (asked.fitted.model, asked.tokens) if asked and asked.fitted else None
    cost, teacher_cost = cell.cost(saved, model, reference, tokens, sweep=os.environ.get(results.RUNNING))
    if cost.get("contended"):
        cell.warn(BUSY)

    scored = cell.scores(tokens, logits)
    text = scoring.student_at_chance(tokens, logits["validation"], scored["validation"])
    if text and cell.student.trainer.max_epochs:
        cell.warn(text)

    result = provenance.result(cell, resolved_config(config), folder.name, overrides, student.about())
    result.metrics = scored
    if others:
        result.metrics[ALSO_ON] = cell.judged_on_others(saved, model, others)
    profiled = cell.profile(saved, model, tokens)
    result.cost = cost if profiled is None else {**cost, PROFILED: profiled.figures}
    result.compression = cell.notes(saved)
    if asked:
        teacher_logits = {split: asked.logits(split, EXACT) for split in JUDGED}
        result.fidelity = provenance.fidelity(logits["test"], teacher_logits["test"], tokens.multi_label)
        result.teacher = {**provenance.teacher(cell, asked, tokens, teacher_logits), "cost": teacher_cost}
        result.teacher |= provenance.taught(cell, taught, len(result.history))
    thresholds = judging.tuned(result.metrics)
    seen = {split: judging.judged(tokens, split, logits[split], thresholds) for split in JUDGED}
    theirs = None
    if asked is not None and not teacher_logits["validation"].isnan().any():
        tuned = judging.tuned(result.teacher["metrics"])
        theirs = judging.answers(tokens, teacher_logits["validation"], tuned)
    said = {split: one for split, (one, _) in seen.items()}
    result.metrics["validation"][SELECTIVE] = selective.table(said["validation"], theirs)
    result.durations_s[results.CELL_S] = round(time.perf_counter() - start, 3)
    kept = Seen(tokens, said, seen["test"][1], logits["test"], profiled)
    publish.publish(folder, lambda draft: _fill(draft, result, kept, saved))
    track(result, folder, result.config["tracking"])
    return result


def failed(
    config: DictConfig, folder: Path, error: BaseException, overrides: Sequence[str] = (), status: str = "failed"
) -> RunResult:
    """Records a cell that came to no result, with its reason; what only a developer reads goes into `error.txt`.

    The result of an earlier run that finished stays, and this record lies beside it.
    """
    reason = str(error) if isinstance(error, UserError | FitError) or status != "failed" else _name(error)
    result = RunResult(config.name, folder.name, status, resolved_config(config), list(overrides), error=reason)
    result.versions, result.git_commit = machine.versions(), machine.own_commit()
    earlier = results.peek(folder)
    kept = earlier is not None and earlier.status == "finished"
    result.write(folder, results.FAILED if kept else results.FILE)
    if status == "failed":
        with disk_errors(folder):
            results.write_atomically(folder / ERROR, redact.text("".join(traceback.format_exception(error))))
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
    if result.status != "finished" or result.fingerprint.get("result") != fingerprint:
        return None
    if changed := damaged(folder):
        say(f"warning: {folder / changed[0]} is damaged or was changed: it is set aside, and the cell is made anew")
        return None
    (folder / results.FAILED).unlink(missing_ok=True)  # an attempt at something else
    return result


def track(result: RunResult, folder: Path, settings: Mapping[str, Any]) -> str | None:
    """Mirrors a result with its files into the tracking store; a store that is away costs a warning, and gives None."""
    files = {name: folder / name for name in KEPT if (folder / name).is_file()}
    with step("mirror into MLflow"):
        kept = result.status == "finished" and (folder / MODEL).is_dir()  # a user may have removed it for its size
        model = folder / MODEL if kept else None
        title = results.swept_label(folder.parent, result.overrides) or result.cell
        tracking = build(settings, "tracking")
        tell = partial(_tell_served, folder, result) if model else None
        run: str | None = tracking.mirror(result, files, model, title, parent=results.swept(folder.parent), tell=tell)
    return run


def time_again(result: RunResult, folder: Path, done: dict[str, Costs]) -> RunResult:
    """Measures anew what was measured while other processes were busy, as at the end of a sweep side by side.

    Args:
        result: of a finished cell.
        folder: the cell's own.
        done: kind of timing -> what was measured again already; this one is added.
    """
    cell = Cell.of(result.config)
    tokens = cell.tokens()
    kind = result.cost["timing"]
    teacher, reference = cell.teacher_folder(), None
    if cell.teacher and teacher:
        reader = cell.reader(cell.teacher)
        alike = reader is cell.tokenizer
        reference = (teacher, tokens if alike else cell.read_with(reader, "tokens", cell.dataset))
    model = saved_model.load(folder / MODEL)
    done[kind] = cell.cost(folder / MODEL, model, reference, tokens, known=done.get(kind))
    profiled = {name: told for name, told in result.cost.items() if name == PROFILED}
    cost, teacher_cost = done[kind]
    result.cost = {**cost, **profiled}
    if result.teacher:
        result.teacher["cost"] = teacher_cost
    if not result.cost["contended"]:
        result.warnings = [text for text in result.warnings if text != BUSY]
    with disk_errors(folder):
        complete(folder / MODEL, result)
        result.write(folder)
        note(folder)
    return result


def _tell_served(folder: Path, result: RunResult, served: Served) -> None:
    """Says in the model's folder how MLflow serves it; files that a disk or a user has changed stay as they are."""
    try:
        if damaged(folder) or served_in(saved_model.read_card(folder / MODEL)) == served:
            return
        with disk_errors(folder), noted_anew(folder, [f"{MODEL}/{name}" for name in COMPLETED]):
            complete(folder / MODEL, result, served)
    except UserError as error:  # the result is whole without it
        say(f"warning: {result.name}/{result.cell}: its model's card does not say how it is served: {error}")


class Seen(NamedTuple):
    """What is kept of how a model was judged."""

    tokens: Tokens
    said: Mapping[str, Judged]  # of each split
    sets: LabelSets | None  # of test's rows, where they may bear several labels
    logits: torch.Tensor  # (N, C) of test
    profile: Profile | None = None


def _fill(draft: Path, result: RunResult, seen: Seen, model: Path) -> None:
    """Writes the pictures, the answers for test and validation, the model and the result."""
    labels, answers, confidence = seen.said["test"]
    save_predictions(draft, result, seen.tokens, seen.said["test"], seen.said["validation"], seen.sets)
    if seen.sets is None:
        confusion.draw(labels, answers, seen.tokens.classes, draft / CONFUSION)
        calibration.draw(labels, answers, confidence.astype(np.float32), draft / CALIBRATION)
    else:
        label_scores.draw(seen.sets, seen.tokens.classes, draft / LABELS)
        sure = probabilities_of(seen.logits.numpy()).astype(np.float32).ravel()
        calibration.draw(seen.sets.gold.ravel(), np.ones(sure.shape, int), sure, draft / CALIBRATION, of_labels=True)
    if seen.profile is not None:
        (draft / PROFILE).write_text(seen.profile.table, encoding="utf-8")
        (draft / TRACE).write_text(seen.profile.trace, encoding="utf-8")
    (draft / TABLE).write_text(summary_table.to_markdown([result]), encoding="utf-8")
    export.make(model, draft / MODEL, result)
    result.write(draft)


def _name(error: BaseException) -> str:
    """An error of a library or of our own making, in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:500]
