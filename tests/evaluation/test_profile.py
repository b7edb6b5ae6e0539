"""`evaluation.profile=true`: where the time goes by torch's profiler, in a result and in files beside it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from kd_lab.__main__ import command
from kd_lab.cli.compose import compose
from kd_lab.core import results
from kd_lab.core.cache import fingerprint
from kd_lab.core.results import RunResult
from kd_lab.core.types import Batch, Outputs
from kd_lab.evaluation.profile import REQUESTS, profile
from kd_lab.evaluation.scoring import Evaluation
from kd_lab.pipeline.cell import Cell
from kd_lab.pipeline.run import time_again

QUICK = (
    *("dataset=csv", "dataset.path=toy.csv", "tracking=none", "evaluation.requests=4", "evaluation.rounds=1"),
    *("model=lstm_attention", "model.hidden=8", "model.embedding=8", "model.init=random", "trainer.max_epochs=1"),
    *("teacher=none", "loss=cross_entropy", "trainer.device=cpu", "name=seen"),
)


@pytest.fixture(autouse=True)
def here(toy_csv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(toy_csv.parent)


def ran(*overrides: str) -> tuple[RunResult, Path]:
    assert command([*QUICK, *overrides]) == 0
    [cell] = results.collect(Path("multirun", "seen"))
    return cell, Path("multirun", "seen", cell.cell)


def test_a_cell_says_which_operators_take_its_time_and_keeps_table_and_trace() -> None:
    cell, folder = ran("evaluation.profile=true")
    told = cell.cost["profile"]
    assert told["requests"] == 4
    assert told["cpu_ms"] > 0
    names = [name for name, _, _ in told["operators"]]
    assert any("lstm" in name or "mm" in name for name in names), names
    shares = [share for _, _, share in told["operators"]]
    assert shares == sorted(shares, reverse=True)
    assert 0 < sum(shares) <= 1.001
    assert "Self CPU" in (folder / "profile.txt").read_text()
    assert json.loads((folder / "profile.json").read_text())["traceEvents"]
    again = time_again(results.read(folder), folder, {})
    assert again.cost["profile"] == told, "times taken anew are of another kind"
    assert command([*QUICK, "evaluation.profile=true"]) == 0


def test_what_runs_outside_torch_is_not_profiled_and_that_is_said() -> None:
    cell = Cell(compose([*QUICK, "evaluation.profile=true"]))
    assert cell.profile(Path(), object(), None) is None  # type: ignore[arg-type]
    assert cell.warnings == ["evaluation.profile: torch's profiler sees nothing of object"]


def test_without_it_nothing_is_profiled_and_results_keep_their_names() -> None:
    assert "profile" not in Evaluation().fingerprint_parts()
    assert fingerprint(Evaluation()) != fingerprint(Evaluation(profile=True))


class Product(torch.nn.Module):
    """Answers by one product."""

    def forward(self, batch: Batch) -> Outputs:
        return Outputs(logits=batch.input_ids.float() @ torch.ones(batch.input_ids.shape[1], 2))


def test_each_of_so_many_texts_is_asked_once_under_the_profiler() -> None:
    one = torch.ones(1, 3, dtype=torch.long)
    batch = Batch(torch.zeros(1, dtype=torch.long), one, one, torch.zeros(1, dtype=torch.long))
    found = profile(Product(), [batch] * (REQUESTS + 5), "cpu")  # type: ignore[arg-type]
    calls = {name: count for name, count, _ in found.figures["operators"]}
    assert found.figures["requests"] == REQUESTS
    assert calls["aten::mm"] == 1
