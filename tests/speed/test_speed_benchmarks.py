"""Each benchmark, at a scale that measures nothing, writes a result with the promised fields."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import masked_checkpoints
import pytest
import torch

from experiments.speed import finished_cells, growth, sides, sweep, training_steps, worker
from experiments.speed.prepared import prepare
from experiments.speed.result import SCHEMA
from experiments.speed.table import render
from kd_lab.__main__ import command

FIELDS = {
    "schema", "benchmark", "command", "date", "git_commit", "versions", "machine", "settings", "medians", "ratios",
    "figures", "contended", "notes", "rounds", "thrown_away",
}  # fmt: skip
SIZES = ("init=random", "embedding=8", "hidden=8", "layers=1")
TINY = [
    *("model=lstm_attention", "model@teacher.model=lstm_attention", "trainer.batch_size=16", "evaluation=none"),
    *(f"{model}.{size}" for model in ("model", "teacher.model") for size in SIZES),
]


@pytest.fixture(autouse=True)
def _mode():
    yield
    torch.use_deterministic_algorithms(False)


def measure(name: str, folder: Path, arguments: list[str], writes: str = "") -> dict[str, Any]:
    """The result of a benchmark, its promised fields looked at."""
    import_module(f"experiments.speed.{name}").main(["--quick", "--to", str(folder), *arguments])
    found: dict[str, Any] = json.loads((folder / (writes or name) / "result.json").read_text())
    assert found.keys() == FIELDS
    assert found["schema"] == SCHEMA
    assert found["benchmark"] == (writes or name)
    assert found["command"].startswith(f"python -m experiments.speed.{name} --quick ")
    assert found["settings"]["quick"] is True
    assert {"processor", "cores", "threads"} <= found["machine"].keys()
    assert {"torch", "transformers", "accelerate"} <= found["versions"].keys()
    assert isinstance(found["contended"], bool)
    for one in found["rounds"]:
        assert one.keys() == {"order", "figures", "seconds", "others_cores", "contended"}
    for job, figures in found["medians"].items():
        assert all(value > 0 or name == "memory_mib" for name, value in figures.items()), job
    return found


@pytest.fixture
def tiny(toy_csv: Path) -> list[str]:
    """Overrides for a run of seconds."""
    return ["dataset=csv", f"dataset.path={toy_csv}", *TINY]


@contextmanager
def turns(
    asked: Sequence[str],
    do: str,
    overrides: Sequence[str],
    options: Mapping[str, Mapping[str, Any]],
    apart: Sequence[str] = (),
) -> Iterator[dict[str, worker.Turn]]:
    """`worker.workers` with processes only for the sides that are `apart`; the turns of the others are taken here."""
    with worker.workers([side for side in asked if side in apart], do, overrides, options) as own:
        prepared = prepare(overrides)
        here = {side: partial(getattr(sides, do), prepared, side, **options.get(side, {})) for side in asked}
        yield {side: own.get(side, here[side]) for side in asked}


def test_teacher_outputs(tiny, tmp_path):
    found = measure("teacher_outputs", tmp_path, tiny)
    assert found["medians"]["ours"]["rows"] == found["medians"]["bare"]["rows"] == found["settings"]["rows"]["train"]


def test_a_ready_teacher_is_the_same_model_as_the_bare_one(toy_csv, tmp_path):
    arguments = ["--texts", "300", "dataset=csv", f"dataset.path={toy_csv}"]
    found = measure("ready_teacher", tmp_path, arguments)
    assert found["medians"]["ours"]["rows"] == found["medians"]["bare"]["rows"] == found["settings"]["texts"] == 300
    assert found["ratios"].keys() == {"ours / bare", "ours / bare, processor time"}
    assert found["settings"]["logits_apart"] < 1e-2
    assert "| a ready teacher's pass" in render(tmp_path)


def test_pretraining_ends_with_the_weights_of_the_bare_loop(tmp_path):
    checkpoint = masked_checkpoints.write(tmp_path / "bert")
    corpus = masked_checkpoints.write_corpus(tmp_path / "all.txt")
    models = ["model=checkpoint", f"model.path={checkpoint}", "model.layers=2", "teacher=checkpoint"]
    given = ["corpus=text", f"corpus.path={corpus}", f"teacher.model.path={checkpoint}", "tokenizer.max_tokens=16"]
    exact = ["trainer.batch_size=4", "trainer.precision=32-true", "trainer.device=cpu"]
    found = measure("pretrain", tmp_path, [*models, *given, *exact])
    assert found["medians"]["ours"]["tokens"] == found["medians"]["bare"]["tokens"] == 2 * 4 * 16
    assert found["ratios"].keys() == {"ours / bare", "ours / bare, processor time"}
    assert found["settings"]["weights_apart"] < 1e-4
    assert "| `kd-lab pretrain`" in render(tmp_path)


@pytest.mark.slow
def test_student_against_the_peers_and_a_sweep_worked_out_from_them(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(training_steps, "workers", partial(turns, apart=("b",)))
    monkeypatch.setattr(sweep, "workers", turns)
    monkeypatch.setitem(sweep.LAUNCHERS, "joblib", ["hydra/launcher=joblib", "hydra.launcher.n_jobs=1"])
    student = measure("student", tmp_path, tiny)
    rates = student["medians"]
    assert rates.keys() == {"a", "b", "ours", "bare"}
    [one] = student["rounds"]
    assert student["ratios"]["ours / bare"]["median"] == (
        one["figures"]["ours"]["examples_per_s"] / one["figures"]["bare"]["examples_per_s"]
    )
    assert one["figures"]["ours"]["rows"] == one["figures"]["bare"]["rows"]
    assert "| one student" in render(tmp_path)

    found = measure("sweep", tmp_path, ["--launcher", "joblib", *tiny, "tracking=none"], "sweep_joblib")
    assert found["medians"]["ours"]["cells"] == found["settings"]["cells"] == 4
    rows = found["settings"]["rows"]
    judged = found["medians"]["b"]["rows_per_s"]
    fit_s = rows["train"] / rates["b"]["examples_per_s"] + (rows["validation"] + rows["test"]) / judged
    assert found["figures"]["hours"]["b"] == pytest.approx(4 * fit_s / 3600)
    assert found["ratios"]["b / ours"]["median"] == pytest.approx(4 * fit_s / found["medians"]["ours"]["wall_s"])
    assert found["figures"]["ours_steps_s"]["fit student"] > 0


@pytest.mark.slow
def test_lstm(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(training_steps, "workers", turns)
    found = measure("lstm", tmp_path, tiny)
    assert found["ratios"].keys() == {"ours / b", "ours / bare"}
    assert found["settings"]["teacher_epochs"] == 0


@pytest.mark.slow
def test_accuracy(tiny, tmp_path):
    found = measure("accuracy", tmp_path, ["--of", "b,ours,bare", *tiny])
    assert found["medians"].keys() == {"b", "ours", "bare"}
    for figures in found["medians"].values():
        assert figures["low"] < figures["accuracy"] < figures["high"]
    assert found["medians"]["ours"]["accuracy"] == found["medians"]["bare"]["accuracy"]


@pytest.mark.slow
def test_tokenise(toy_csv, tmp_path):
    found = measure("tokenise", tmp_path, ["--texts", "3000", "dataset=csv", f"dataset.path={toy_csv}"])
    assert found["medians"].keys() == {"ours", "tokenizer"}
    assert found["settings"]["texts"] == 3000


@pytest.mark.slow
def test_startup(tiny, tmp_path):
    found = measure("startup", tmp_path, tiny)["medians"]
    assert 0 < found["help"]["seconds"] < found["first_step"]["seconds"]


@pytest.mark.slow
def test_memory(tiny, tmp_path):
    """The fixture's models would count too, were the sides not in processes of their own."""
    found = measure("memory", tmp_path, tiny)["medians"]
    assert found["ours"]["classifiers"] == found["bare"]["classifiers"] == 1
    assert found["ours"]["steps"] == found["bare"]["steps"]
    assert all(figures["peak_mib"] > figures["above_libraries_mib"] for figures in found.values())


@pytest.mark.slow
def test_growth(toy_csv, tmp_path, monkeypatch, capsys):
    def kd_lab(overrides: Sequence[str], environment: Mapping[str, str]) -> str:
        """The line in this process: its cells are small, and so is what a process of its own would add."""
        capsys.readouterr()
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            assert command(list(overrides)) == 0
        return "".join(capsys.readouterr())

    monkeypatch.setattr(finished_cells.child, "kd_lab", kd_lab)
    monkeypatch.setattr(growth, "ROWS", (100, 1_000))
    small = [one for one in finished_cells._SMALL if not one.startswith("evaluation.")]
    monkeypatch.setattr(finished_cells, "_SMALL", (*small, "teacher.model.embedding=8", "evaluation=none"))
    found = measure("growth", tmp_path, ["dataset=csv", f"dataset.path={toy_csv}"])
    assert found["figures"]["slopes"].keys() == {"tokenise", "answer", "learn", "rerun"}
    assert found["figures"]["seconds"]["rerun"].keys() == {"1", "10"}
    assert (tmp_path / "growth" / "curves.png").stat().st_size < 100_000
