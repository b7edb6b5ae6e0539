"""Asks of every compressed cell of a study whether it may ship: what it loses, what it depends on, what it gains."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kd_lab.core import machine
from kd_lab.core.errors import FitError, UserError
from kd_lab.core.nested import at
from kd_lab.core.progress import step
from kd_lab.core.results import RunResult
from kd_lab.data.hub import class_number
from kd_lab.data.tokenized import Tokens
from kd_lab.evaluation import batch_invariance, judging
from kd_lab.evaluation.fidelity import fidelity
from kd_lab.evaluation.paired_tests import Predictions, compare
from kd_lab.models import saved_model
from kd_lab.models.saved_model import Classifier
from kd_lab.pipeline.cell import Cell
from kd_lab.report.release.gate_origin import Origin, origin
from kd_lab.report.release.gate_verdict import ALL, IN_SCOPE, OUT_OF_SCOPE, STOP, Evidence, Export, GateVerdict, decide
from kd_lab.report.release.reopened import ReopenedCells
from kd_lab.report.study import answers
from kd_lab.report.study.documents import write_texts
from kd_lab.report.study.labels import labels

SCHEMA = 1
_CHANGED = "the data set has other test rows now than those that it was judged on: run the cell again"


@dataclass(frozen=True)
class Gate:
    """What the gate says of a study.

    Args:
        name: the study.
        margin: loss of accuracy that may be borne, as a fraction.
        machine: the one that asked the models.
        verdicts: each compressed cell with its verdict.
    """

    name: str
    margin: float
    machine: Mapping[str, Any]
    verdicts: Sequence[tuple[Evidence, GateVerdict]]

    @property
    def stopped(self) -> bool:
        """Whether a cell may not ship."""
        return any(ruling.verdict == STOP for _, ruling in self.verdicts)

    def to_json(self) -> str:
        """All of it, nothing rounded."""
        cells = [{**asdict(found), **asdict(ruling)} for found, ruling in self.verdicts]
        whole = {"schema": SCHEMA, "name": self.name, "margin": self.margin, "machine": self.machine, "cells": cells}
        return json.dumps(whole, indent=1) + "\n"


def evaluate_gate(study: Path, cells: Sequence[RunResult], *, margin: float, rows: int) -> Gate:
    """Holds every compressed cell against the uncompressed one of the same fit.

    Args:
        study: its folder under multirun/.
        cells: all of the study.
        margin: see `gate_verdict.decide`.
        rows: of test, at most, that models are asked anew.

    Raises:
        UserError: the study has no compressed cell, or a data set or a package that a cell needs is missing.
    """
    finished = [cell for cell in cells if cell.status == "finished"]
    compressed = [cell for cell in finished if cell.config.get("compression")]
    if not compressed:
        raise UserError(
            f"study {cells[0].name!r}",
            expected="a finished cell with steps of compression",
            got="none",
            cure="Run one, e.g. kd-lab -m compression=[],[onnx_int8] name=NAME.",
        )
    named = labels(cells)
    here = machine.describe_machine()
    verdicts, reopened = [], ReopenedCells()
    for cell in compressed:
        plain = [other for other in finished if other.fingerprint.get("fit") == cell.fingerprint.get("fit")]
        base = next((other for other in plain if not other.config.get("compression")), None)
        found = _evidence(study, cell, base, finished, reopened, named[cell.cell], rows, here)
        verdicts.append((found, decide(found, margin)))
    return Gate(cells[0].name, margin, here, verdicts)


def write(gate: Gate, page: str, folder: Path) -> list[Path]:
    """Writes gate.md, which holds `page`, and gate.json into `folder`."""
    return write_texts(folder, {"gate.md": page, "gate.json": gate.to_json()})


def _evidence(
    study: Path,
    cell: RunResult,
    base: RunResult | None,
    cells: Sequence[RunResult],
    reopened: ReopenedCells,
    label: str,
    limit: int,
    here: Mapping[str, Any],
) -> Evidence:
    found: dict[str, Any] = {"cell": cell.cell, "label": label, "against": base.cell if base else None}
    found["precision"] = {
        name: notes[key]
        for name, notes in cell.compression.items()
        for key in notes
        if key in ("precision", "precisions")
    }
    found["elsewhere"] = any(cell.machine.get(key) != here[key] for key in ("processor", "features"))
    made = Cell.of(cell.config)
    folder, tokens = study / cell.cell / "model", reopened.tokens(made)
    try:
        model, own = saved_model.load(folder), made.read_by(folder, tokens)
    except UserError as error:
        return Evidence(**found, broken=str(error))
    test, recorded = tokens.split("test"), answers.read_predictions(study, cell)
    thresholds = judging.tuned(cell.metrics)
    if recorded is not None and not _still_there(recorded, tokens):
        return Evidence(**found, broken=_CHANGED)
    sampled = batch_invariance.sample(test, limit)
    with step(f"gate: ask {label}", (2 + 2 * len(batch_invariance.BATCHES)) * len(sampled)) as advance:
        try:
            logits = batch_invariance.logits_one_by_one(model, own, sampled, advance)
            sampled = sampled[: len(logits)]
            fidelity(logits, logits)  # refuses what is no number
            found["dependence"] = batch_invariance.batch_dependence(model, own, sampled, logits, advance, thresholds)
            found["export"] = _export(origin(cell, cells, study, reopened), made, tokens, sampled, logits)
        except (UserError, FitError) as error:
            return Evidence(**found, broken=str(error))
    alone = judging.answers(tokens, logits, thresholds)
    if recorded is not None:
        found["recorded"] = int((recorded.predictions[sampled] != alone).sum())
        base_recorded = answers.read_predictions(study, base) if base else None
        if base_recorded is not None and base_recorded.same_rows(recorded):
            found["accuracy"] = _changes(recorded, base_recorded, _outside(made, tokens))
            own_rows = Predictions(recorded.labels[sampled], alone)
            found["asked_alone"] = compare({0: own_rows}, {0: _only(base_recorded, sampled)})
    for name, path in (("size_ratio", "cost.size_mib"), ("latency_ratio", "cost.latency_ms.p50")):
        now, then = at(cell, path), at(base, path) if base else None
        found[name] = now / then if now and then else None
    found["contended"] = any(one.cost.get("contended") for one in (cell, base) if one)
    return Evidence(**found)


def _still_there(recorded: Predictions, tokens: Tokens) -> bool:
    """Whether the data set's test rows are those that the cell was judged on."""
    texts = recorded.texts is None or np.array_equal(recorded.texts, tokens.test_texts())
    return texts and np.array_equal(recorded.labels, judging.gold_answers(tokens, "test"))


def _outside(cell: Cell, tokens: Tokens) -> int | None:
    """The class that stands for "out of scope", where the data set has one."""
    name = getattr(cell.dataset, "out_of_scope", None)
    return None if name is None else class_number(tokens.classes, name)


def _changes(ours: Predictions, theirs: Predictions, outside: int | None) -> dict[str, Any]:
    """Rows -> change of accuracy on them."""
    every = np.ones(len(ours.labels), bool)
    sides = {ALL: every}
    if outside is not None:
        sides |= {IN_SCOPE: ours.labels != outside, OUT_OF_SCOPE: ours.labels == outside}
    return {
        name: compare({0: _only(ours, side)}, {0: _only(theirs, side)}) for name, side in sides.items() if side.any()
    }


def _only(predictions: Predictions, rows: Any) -> Predictions:
    return Predictions(predictions.labels[rows], predictions.predictions[rows])


def _export(found: Origin | None, made: Cell, tokens: Tokens, rows: Any, logits: torch.Tensor) -> Export | None:
    if found is None or found.model is None:
        return None if found is None else Export(found.exports, found.exact, missing=found.missing)
    before: Classifier = saved_model.load(found.model)
    theirs = batch_invariance.logits_one_by_one(before, made.read_by(found.model, tokens), rows)
    ours = logits[: len(theirs)]
    agreement = fidelity(ours, theirs, tokens.multi_label)["agreement"]
    return Export(found.exports, found.exact, len(theirs), agreement, float((ours - theirs).abs().max()))
