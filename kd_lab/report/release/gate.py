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
from kd_lab.core.errors import FitError, UserError, disk_errors
from kd_lab.core.nested import at
from kd_lab.core.progress import step
from kd_lab.core.results import RunResult
from kd_lab.data.hub import class_number
from kd_lab.data.tokenized import Tokens
from kd_lab.evaluation import batch_invariance
from kd_lab.evaluation.metrics import fidelity
from kd_lab.evaluation.paired_tests import Predictions, compare
from kd_lab.models import saved_model
from kd_lab.models.saved_model import Classifier
from kd_lab.pipeline.cell import Cell
from kd_lab.report.release.gate_origin import origin
from kd_lab.report.release.gate_verdict import ALL, IN_SCOPE, OUT_OF_SCOPE, STOP, Evidence, Export, Ruling, rule
from kd_lab.report.release.reopened import Opened, ReopenedCells
from kd_lab.report.study import answers
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
        held: each compressed cell with its verdict.
    """

    name: str
    margin: float
    machine: Mapping[str, Any]
    held: Sequence[tuple[Evidence, Ruling]]

    @property
    def stopped(self) -> bool:
        """Whether a cell may not ship."""
        return any(ruling.verdict == STOP for _, ruling in self.held)

    def to_json(self) -> str:
        """All of it, nothing rounded."""
        cells = [{**asdict(found), **asdict(ruling)} for found, ruling in self.held]
        whole = {"schema": SCHEMA, "name": self.name, "margin": self.margin, "machine": self.machine, "cells": cells}
        return json.dumps(whole, indent=1) + "\n"


def hold(study: Path, cells: Sequence[RunResult], opened: Opened, *, margin: float, rows: int) -> Gate:
    """Holds every compressed cell against the uncompressed one of the same fit.

    Args:
        study: its folder under multirun/.
        cells: all of the study.
        opened: makes a cell of a config.
        margin: see `gate_verdict.rule`.
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
    held, reopened = [], ReopenedCells(opened)
    for cell in compressed:
        plain = [other for other in finished if other.fingerprint.get("fit") == cell.fingerprint.get("fit")]
        base = next((other for other in plain if not other.config.get("compression")), None)
        found = _evidence(study, cell, base, finished, reopened, named[cell.cell], rows, here)
        held.append((found, rule(found, margin)))
    return Gate(cells[0].name, margin, here, held)


def write(gate: Gate, page: str, folder: Path) -> list[Path]:
    """Writes gate.md, which holds `page`, and gate.json into `folder`."""
    files = {"gate.md": page, "gate.json": gate.to_json()}
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in files]


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
    told: dict[str, Any] = {"cell": cell.cell, "label": label, "against": base.cell if base else None}
    told["precision"] = {name: notes[key] for name, notes in cell.compression.items() for key in notes if _precise(key)}
    told["elsewhere"] = any(cell.machine.get(key) != here[key] for key in ("processor", "features"))
    made = reopened.cell(cell.config)
    folder, tokens = study / cell.cell / "model", reopened.tokens(made)
    try:
        model, own = saved_model.load(folder), made.read_by(folder, tokens)
    except UserError as error:
        return Evidence(**told, broken=str(error))
    test, ours = tokens.split("test"), answers.of(study, cell)
    if ours is not None and not _still_there(ours, tokens):
        return Evidence(**told, broken=_CHANGED)
    asked = batch_invariance.sample(test, limit)
    with step(f"gate: ask {label}", (2 + 2 * len(batch_invariance.BATCHES)) * len(asked)) as advance:
        try:
            said = batch_invariance.alone(model, own, asked, advance)
            asked = asked[: len(said)]
            fidelity(said, said)  # refuses what is no number
            told["dependence"] = batch_invariance.dependence(model, own, asked, said, advance)
            told["export"] = _export(study, cell, cells, reopened, tokens, asked, said, made)
        except (UserError, FitError) as error:
            return Evidence(**told, broken=str(error))
    alone = said.argmax(1).numpy()
    if ours is not None:
        told["recorded"] = int((ours.predictions[asked] != alone).sum())
        before = answers.of(study, base) if base else None
        if before is not None and before.same_rows(ours):
            told["accuracy"] = _changes(ours, before, _outside(made, tokens))
            own_rows = Predictions(ours.labels[asked], alone)
            told["asked_alone"] = compare(
                {0: own_rows}, {0: Predictions(before.labels[asked], before.predictions[asked])}
            )
    for name, path in (("size_ratio", "cost.size_mib"), ("latency_ratio", "cost.latency_ms.p50")):
        now, then = at(cell, path), at(base, path) if base else None
        told[name] = now / then if now and then else None
    told["contended"] = any(one.cost.get("contended") for one in (cell, base) if one)
    return Evidence(**told)


def _still_there(said: Predictions, tokens: Tokens) -> bool:
    """Whether the data set's test rows are those that the cell was judged on."""
    texts = said.texts is None or np.array_equal(said.texts, tokens.test_texts())
    return texts and np.array_equal(said.labels, tokens.split("test").labels)


def _precise(key: str) -> bool:
    """Whether a step's note by that name says what it computes in."""
    return key in ("precision", "precisions")


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


def _only(said: Predictions, side: Any) -> Predictions:
    return Predictions(said.labels[side], said.predictions[side])


def _export(
    study: Path,
    cell: RunResult,
    cells: Sequence[RunResult],
    reopened: ReopenedCells,
    tokens: Tokens,
    rows: Any,
    said: torch.Tensor,
    made: Cell,
) -> Export | None:
    found = origin(cell, cells, study, reopened)
    if found is None or found.model is None:
        return None if found is None else Export(found.exports, found.exact, missing=found.missing)
    before: Classifier = saved_model.load(found.model)
    theirs = batch_invariance.alone(before, made.read_by(found.model, tokens), rows)
    ours = said[: len(theirs)]
    agreement = fidelity(ours, theirs)["agreement"]
    return Export(found.exports, found.exact, len(theirs), agreement, float((ours - theirs).abs().max()))
