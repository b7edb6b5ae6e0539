"""The gate: a loss, a label that depends on the batch and a wrong export each stop a model, and are said so."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from kd_lab.__main__ import command
from kd_lab.evaluation.batch_invariance import BatchDependence
from kd_lab.evaluation.paired_tests import Comparison
from kd_lab.report.release.gate_verdict import (
    ALL,
    ALONE,
    IN_SCOPE,
    OUT_OF_SCOPE,
    SHIP,
    STOP,
    UNJUDGED,
    Evidence,
    Export,
    decide,
)

SAME = Comparison(difference=0.0, low=-0.002, high=0.002, p=1.0, n=1)
WORSE = Comparison(difference=-0.03, low=-0.04, high=-0.02, p=0.0, n=1)
UNSURE = Comparison(difference=-0.005, low=-0.015, high=0.005, p=0.4, n=1)
FED = {"batch of 8": BatchDependence(100, 3, 0.4)}
GOOD = Evidence(
    cell="cell",
    label="onnx_int8",
    against="plain",
    accuracy={ALL: SAME},
    asked_alone=SAME,
    dependence={"batch of 8": BatchDependence(100, 0, 0.0)},
    recorded=0,
    size_ratio=0.25,
    latency_ratio=0.2,
)


@pytest.mark.parametrize(
    ("changes", "verdict", "words"),
    [
        ({}, SHIP, ""),
        ({"accuracy": {ALL: WORSE}}, STOP, "loses 3.0 points"),
        ({"accuracy": {ALL: UNSURE}}, STOP, "not ruled out"),
        ({"accuracy": {ALL: SAME, IN_SCOPE: WORSE}}, STOP, "in scope"),
        ({"accuracy": {ALL: SAME, OUT_OF_SCOPE: WORSE}}, STOP, "out of scope"),
        ({"dependence": FED}, ALONE, "batch of 8 changes 3 of 100 labels"),
        ({"dependence": {"batch of 8": BatchDependence(100, 1, 1e-6)}}, SHIP, ""),
        ({"dependence": FED, "asked_alone": WORSE}, STOP, "asked alone: loses"),
        ({"dependence": FED, "asked_alone": UNSURE}, STOP, "more --rows"),
        ({"export": Export(("onnx",), exact=True, rows=10, largest=0.5)}, STOP, "onnx"),
        ({"export": Export(("onnx_int8",), exact=False, rows=10, agreement=0.99, largest=0.5)}, SHIP, ""),
        ({"against": None, "accuracy": {}}, UNJUDGED, "uncompressed"),
        ({"broken": "model.onnx is cut short"}, STOP, "cut short"),
    ],
)
def test_each_finding_has_its_verdict_and_reason(changes: dict[str, object], verdict: str, words: str) -> None:
    ruling = decide(replace(GOOD, **changes), margin=0.01)
    assert ruling.verdict == verdict
    assert words in "; ".join(ruling.reasons)


def test_a_wider_margin_bears_more() -> None:
    assert decide(replace(GOOD, accuracy={ALL: UNSURE}), margin=0.02).verdict == SHIP


def test_a_loss_out_of_scope_that_is_not_proven_is_said_and_does_not_stop() -> None:
    ruling = decide(replace(GOOD, accuracy={ALL: SAME, OUT_OF_SCOPE: UNSURE}), margin=0.01)
    assert ruling.verdict == SHIP
    assert any("not proven" in remark for remark in ruling.remarks)


@pytest.mark.parametrize(("name", "words"), [("size_ratio", "no smaller"), ("latency_ratio", "no faster")])
def test_a_step_that_gains_nothing_is_told_so(name: str, words: str) -> None:
    assert not any(words in remark for remark in decide(GOOD, 0.01).remarks)
    assert any(words in remark for remark in decide(replace(GOOD, **{name: 0.99}), 0.01).remarks)


def test_a_model_that_was_not_timed_is_not_called_faster_or_slower() -> None:
    assert any("not timed" in remark for remark in decide(replace(GOOD, latency_ratio=None), 0.01).remarks)


def test_the_command_judges_every_compressed_cell_and_writes_what_it_found(
    small_study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["report", small_study.name, "--multirun", str(small_study.parent), "--gate", "--margin", "0.9"]
    assert command(line) == 0
    said = capsys.readouterr().out
    found = json.loads((small_study / "report" / "gate.json").read_text())
    cells = {cell["label"]: cell for cell in found["cells"]}
    assert set(cells) == {"onnx", "onnx_int8", "trim_vocabulary + prune_heads"}
    assert all(cell["label"] in said for cell in cells.values())
    onnx = cells["onnx"]
    assert onnx["verdict"] == SHIP
    assert onnx["export"]["exact"]
    assert onnx["export"]["largest"] < 1e-4
    assert onnx["accuracy"][ALL]["difference"] == 0.0
    assert set(onnx["dependence"]) == {"batch of 8", "batch of 64", "padded by 16 tokens", "padded to 128 tokens"}
    assert all(way["changed"] == 0 for way in onnx["dependence"].values())
    assert cells["onnx_int8"]["size_ratio"] < 0.5
    assert {"processor", "features"} <= set(found["machine"])
    assert (small_study / "report" / "gate.md").read_text().startswith("# ")


def test_a_margin_of_nothing_stops_and_the_exit_code_says_so(small_study: Path) -> None:
    line = ["report", small_study.name, "--multirun", str(small_study.parent), "--gate", "--margin", "0.0001"]
    assert command(line) == 1


def test_a_study_without_compression_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["report", "nowhere", "--multirun", str(tmp_path), "--gate"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
