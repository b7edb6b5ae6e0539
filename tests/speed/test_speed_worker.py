"""Each side has a process of its own, and a peer's knows nothing of what kd-lab gives itself."""

from __future__ import annotations

import json

import pytest

from experiments.speed import PLAIN, worker
from kd_lab.core.process_tuning import VARIABLES


def test_a_peer_has_nothing_of_kd_labs_environment(monkeypatch):
    monkeypatch.setattr(worker, "GIVEN", dict.fromkeys(VARIABLES))
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    for side in ("a", "b"):
        found = worker.environment(side)
        assert not found.keys() & VARIABLES.keys()
        assert PLAIN in found
    for side in ("ours", "bare"):
        found = worker.environment(side)
        assert found.items() >= VARIABLES.items()
        assert PLAIN not in found


def test_what_a_person_gave_holds_for_every_side(monkeypatch):
    monkeypatch.setattr(worker, "GIVEN", {**dict.fromkeys(VARIABLES), "GOMP_SPINCOUNT": "5"})
    monkeypatch.setenv("GOMP_SPINCOUNT", "5")
    assert {worker.environment(side)["GOMP_SPINCOUNT"] for side in ("a", "b", "ours", "bare")} == {"5"}


def test_a_worker_answers_each_turn_and_ends_when_nobody_asks(monkeypatch, capfd):
    from experiments.speed import prepared, sides

    def turn(what, side, *, steps, more=0):
        print("what a library prints is no answer")
        return {"examples_per_s": float(steps), "rows": len(what) + len(side) + more}

    monkeypatch.setattr(prepared, "prepare", lambda overrides: overrides)
    monkeypatch.setattr(sides, "steps", turn)
    task = {"do": "steps", "side": "bare", "overrides": ["seed=1"], "options": {"steps": 7}}
    monkeypatch.setattr(worker.sys, "argv", ["worker", json.dumps(task)])
    lines = iter(["{}\n", '{"more": 1}\n', ""])
    monkeypatch.setattr(worker.sys, "stdin", type("Stdin", (), {"readline": lambda self: next(lines)})())
    monkeypatch.setattr(worker.sys, "stdout", worker.sys.__stdout__)
    worker.main()
    said = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert said == [{}, {"examples_per_s": 7.0, "rows": 5}, {"examples_per_s": 7.0, "rows": 6}]


def test_a_side_that_dies_is_named(tmp_path, monkeypatch):
    (tmp_path / "torch.py").write_text("raise MemoryError\n")  # a library that cannot be loaded, so that it dies soon
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="the process of side 'bare' ended with"):  # noqa: SIM117
        with worker.workers(["bare"], "steps", ["dataset=nothing"], {}):
            pytest.fail("it was never ready")
