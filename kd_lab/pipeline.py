"""The whole story of one cell, top to bottom."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf

from kd_lab import (
    calibration,
    classifier,
    confusion,
    deployable,
    evaluation,
    machine,
    provenance,
    redact,
    results,
    table,
)
from kd_lab.cell import EXACT, JUDGED, Cell
from kd_lab.data.tokens import Tokens
from kd_lab.errors import FitError, UserError, disk_errors
from kd_lab.instantiate import build
from kd_lab.metrics import fidelity
from kd_lab.paths import root
from kd_lab.plan import plain
from kd_lab.progress import say, step
from kd_lab.results import RunResult
from kd_lab.resume import Observe, ignore

BUSY = "other processes were busy while latency was measured: its times are not to be trusted"
KEPT = ("table.md", "confusion.png", "calibration.png")  # of a cell's files, those that MLflow gets too


def run(config: DictConfig, folder: Path, overrides: Sequence[str] = (), observe: Observe = ignore) -> RunResult:
    """Runs one cell, or reads its result where the same cell has finished before.

    Args:
        config: composed from conf/.
        folder: the cell's own, `multirun/<name>/<cell>`.
        overrides: what made the cell, for its result.
        observe: called after each epoch of the student with its number and what was logged.

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
    student = cell.fitted("student", cell.student, tokens, teacher, observe)
    saved = cell.compressed(student, tokens, teacher)
    model = classifier.load(saved)
    said = cell.said_by(model, cell.read_by(saved, tokens))
    cost, teacher_cost = cell.cost(saved, model, teacher.fitted.model if teacher else None, tokens)
    if cost["contended"]:
        cell.warn(BUSY)

    result = provenance.result(cell, folder.name, overrides, student.about())
    result.metrics = cell.scores(tokens, said)
    result.cost = cost
    result.compression = cell.notes(saved)
    if teacher:
        teacher_said = {split: cell.logits(teacher.fitted, tokens, split, EXACT) for split in JUDGED}
        result.fidelity = fidelity(said["test"], teacher_said["test"])
        result.teacher = {**provenance.teacher(cell, teacher.fitted, tokens, teacher_said), "cost": teacher_cost}
        result.teacher |= provenance.passes(cell, len(result.history))
    _keep(result, said["test"], tokens, saved, folder)
    result.write(folder)
    track(result, folder, result.config["tracking"])
    return result


def failed(
    config: DictConfig, folder: Path, error: BaseException, overrides: Sequence[str] = (), status: str = "failed"
) -> RunResult:
    """Records a cell that came to no result, with its reason; what only a developer reads goes into `error.txt`."""
    reason = str(error) if isinstance(error, UserError | FitError) or status != "failed" else _name(error)
    result = RunResult(config.name, folder.name, status, plain(config), list(overrides), error=reason)
    result.versions, result.git_commit = machine.versions(), machine.git_commit(root())
    result.write(folder)
    if status == "failed":
        (folder / "error.txt").write_text(redact.text("".join(traceback.format_exception(error))), encoding="utf-8")
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


def track(result: RunResult, folder: Path, settings: Mapping[str, Any]) -> str | None:
    """Mirrors a result with its files into the tracking store; a store that is away costs a warning, and gives None."""
    files = {name: folder / name for name in KEPT if (folder / name).is_file()}
    with step("mirror into MLflow"):
        kept = result.status == "finished" and (folder / "model").is_dir()  # a user may have removed it for its size
        model = folder / "model" if kept else None
        title = results.swept_label(folder.parent, result.overrides) or result.cell
        tracking = build(settings, "tracking")
        run: str | None = tracking.mirror(result, files, model, title, parent=results.swept(folder.parent))
    return run


def time_again(result: RunResult, folder: Path, done: set[str]) -> RunResult:
    """Measures anew what was measured while other processes were busy, as at the end of a sweep side by side.

    Args:
        result: of a finished cell.
        folder: the cell's own.
        done: kinds of timings that were measured again already; this one is added.
    """
    cell = Cell(OmegaConf.create(result.config))
    tokens = cell.tokens()
    kind = result.cost["timing"]
    if kind not in done:
        cell.forget_cost()
        done.add(kind)
    reference = cell.teacher_folder() if cell.teacher else None
    result.cost, teacher_cost = cell.cost(folder / "model", classifier.load(folder / "model"), reference, tokens)
    if result.teacher:
        result.teacher["cost"] = teacher_cost
    if not result.cost["contended"]:
        result.warnings = [text for text in result.warnings if text != BUSY]
    deployable.complete(folder / "model", result)
    result.write(folder)
    return result


def _keep(result: RunResult, said: torch.Tensor, tokens: Tokens, model: Path, folder: Path) -> None:
    """Puts the pictures, the answers for test and the model into the cell's folder."""
    labels, answers = evaluation.gold(tokens, "test").numpy(), said.argmax(1).numpy()
    confidence = said.double().softmax(1).amax(1).float().numpy()
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(folder / "predictions.npz", labels=labels, predictions=answers, confidence=confidence)
        confusion.draw(torch.from_numpy(labels), torch.from_numpy(answers), tokens.classes, folder / "confusion.png")
        calibration.draw(labels, answers, confidence, folder / "calibration.png")
        (folder / "table.md").write_text(table.to_markdown([result]), encoding="utf-8")
        deployable.make(model, folder / "model", result)
        (folder / "error.txt").unlink(missing_ok=True)  # of an earlier attempt


def _name(error: BaseException) -> str:
    """An error of a library or of our own making, in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:500]
