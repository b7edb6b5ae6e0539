"""Where a result comes from: config, code, machine, the steps' times, the teacher and how often it was asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from kd_lab.core import machine
from kd_lab.core.instantiate import build
from kd_lab.core.results import RunResult
from kd_lab.data.tokenized import Tokens
from kd_lab.evaluation.fidelity import fidelity as how_true
from kd_lab.evaluation.scoring import says_enough
from kd_lab.pipeline.cell import JUDGED, Cell
from kd_lab.pipeline.teacher import CellTeacher, name_of
from kd_lab.pipeline.timed_steps import TimedSteps

_OF_THE_HUB = {  # classes with a `revision` and a `commit`
    "kd_lab.data.hub.Hub",
    "kd_lab.data.checkpoint.Checkpoint",
    "kd_lab.data.text_corpus.TextCorpus",
    "kd_lab.models.checkpoint_encoder.CheckpointEncoder",
    "kd_lab.training.ready_teacher.ReadyTeacher",
}
_scores: dict[tuple[str | None, ...], dict[str, dict[str, Any]]] = {}  # (teacher, tokens, outside) -> its metrics


def result(
    run: TimedSteps, settings: Mapping[str, Any], folder: str, overrides: Sequence[str], about: Mapping[str, Any]
) -> RunResult:
    """The result of a cell, or of a pre-training, without its figures.

    Args:
        run: all its steps are done.
        settings: its resolved config.
        folder: the name of its folder.
        overrides: what made it.
        about: history, device and precision of its student's training, see `Fitted.about`.
    """
    return RunResult(
        name=settings["name"],
        cell=folder,
        status="finished",
        config=pinned(settings),
        overrides=list(overrides),
        git_commit=machine.own_commit(),
        versions=machine.versions(),
        machine={**machine.describe_machine(), "device": about["device"], "precision": about["precision"]},
        fingerprint=run.fingerprints,
        history=about["history"],
        durations_s=run.durations_s,
        warnings=run.warnings,
    )


def pinned(config: Any) -> Any:
    """The config with the commit where it names a branch of the hub: read again, it means what it meant."""
    if isinstance(config, list):
        return [pinned(part) for part in config]
    if not isinstance(config, Mapping):
        return config
    inner = {name: pinned(part) for name, part in config.items()}
    if config.get("_target_") in _OF_THE_HUB and (commit := build(config, "hub_id").commit()):
        inner["revision"] = commit
    return inner


def teacher(cell: Cell, asked: CellTeacher, tokens: Tokens, logits: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """What a result says of the teacher but for its cost; `logits` are its own for the splits that are judged.

    Its metrics are those of the rows of which it says something; of a split where these are too few it has none.
    """
    named = (asked.fingerprint, tokens.fingerprint, getattr(cell.dataset, "out_of_scope", None))
    if named not in _scores:  # one teacher serves many cells
        _scores[named] = cell.scores(tokens, {split: one for split, one in logits.items() if says_enough(one)})
    told = {"model": name_of(asked.spec), "fingerprint": asked.fingerprint, "metrics": _scores[named]}
    return {**told, **asked.about()}


def fidelity(student: torch.Tensor, teacher: torch.Tensor, multi_label: bool) -> dict[str, float]:
    """How true the student is to the teacher, see `evaluation.fidelity`, in rows of which the teacher says something.

    Empty where these are too few.
    """
    said = ~teacher[:, 0].isnan()
    return how_true(student[said], teacher[said], multi_label) if says_enough(teacher) else {}


def taught(cell: Cell, tokens: Tokens, epochs: int) -> dict[str, Any]:
    """What the teacher gave the student.

    Returns:
        `passes`: how often it would have gone over a split if nothing were kept; `outputs`: which were kept;
        `unlabelled`: rows of train without a label that the student learned from.
    """
    train, needs = tokens.split("train"), cell.student.loss.needs
    passes = 2 * epochs if needs else 0  # train and validation in each epoch
    unlabelled = len(train) - len(train.labelled) if needs else 0
    return {"passes": passes + len(JUDGED), "outputs": sorted(cell.outputs), "unlabelled": unlabelled}
