from __future__ import annotations

import copy
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from kd_lab.core.results import RunResult
from kd_lab.core.tables import MISSING
from kd_lab.pipeline.summary_table import COLUMNS, method, notes, rows, to_markdown, to_rich

HYBRID = {"_target_": "kd_lab.losses.hybrid.Hybrid", "alpha": 0.5, "temperature": 2.0}
GOLD = {
    "_target_": "kd_lab.losses.weighted_sum.WeightedSum",
    "terms": {"cross_entropy": {"_target_": "kd_lab.losses.term.cross_entropy.CrossEntropy"}},
    "weights": {"cross_entropy": 1.0},
}
TERMS = {**GOLD["terms"], "kl": {"_target_": "kd_lab.losses.term.kl.KL"}}
PRUNE = {"prune_l1": {"_target_": "kd_lab.compression.prune.magnitude.PruneL1", "amount": 0.5}}
TEACHER = {
    "model": "minilm",
    "fingerprint": "t1",
    "metrics": {"test": {"accuracy": 0.9, "f1_macro": 0.88, "accuracy_interval": [0.87, 0.92]}},
    "cost": {"parameters": 22713216, "parameters_nonzero": 22713216, "size_mib": 86.7, "speedup": 1.0},
}


def result(options: dict[str, Any] | None = None, **changes: Any) -> RunResult:
    config = {
        "name": "study",
        "seed": 0,
        "dataset": {"name": "docstrings"},
        "model": {"_target_": "kd_lab.models.encoder.Encoder", "name": "distilbert_mini", "layers": 3},
        "teacher": {"model": {"name": "minilm"}},
        "loss": HYBRID,
        "compression": {},
        "paths": {"cache": "/a"},
    }
    fields = {
        "metrics": {"test": {"accuracy": 0.873, "f1_macro": 0.8612, "accuracy_interval": [0.855, 0.88999]}},
        "fidelity": {"agreement": 0.912, "kl": 0.1},
        "teacher": TEACHER,
        "cost": {
            "parameters": 17447191,
            "parameters_nonzero": 8912345,
            "size_mib": 66.56,
            "latency_ms": {"p50": 3.14159, "p95": 4.2, "p99": 5.0},
            "speedup": 3.06,
        },
    }
    given = {**copy.deepcopy(fields), **changes}
    return RunResult(name="study", status="finished", config={**config, **(options or {})}, **{"cell": "c", **given})


def test_a_row_shows_every_number_with_its_unit() -> None:
    _, row = rows([result()])
    assert row == {
        "model": "distilbert_mini",
        "method": "distilled",
        "test accuracy": "87.3 % [85.5, 89.0]",
        "macro-F1": "86.1 %",
        "agreement": "91.2 %",
        "parameters / non-zero": "17.4 M / 8.9 M",
        "size MiB": "66.6",
        "p50 ms": "3.14",
        "p95 ms": "4.20",
        "speed-up": "3.1x",
    }
    assert tuple(row) == COLUMNS


def test_the_teacher_comes_first_and_once() -> None:
    cells = [result(), result({"loss": GOLD}), result(teacher={**TEACHER, "model": "bert_base", "fingerprint": "t2"})]
    shown = rows(cells)
    assert [(row["model"], row["method"]) for row in shown[:3]] == [
        ("minilm", "teacher"),
        ("bert_base", "teacher"),
        ("distilbert_mini", "distilled"),
    ]
    assert len(shown) == 5
    assert shown[0]["test accuracy"] == "90.0 % [87.0, 92.0]"
    assert shown[0]["agreement"] == MISSING
    assert shown[0]["parameters / non-zero"] == "22.7 M / 22.7 M"


def test_without_a_teacher_there_is_no_teacher_row() -> None:
    (row,) = rows([result({"loss": GOLD, "teacher": None}, teacher={}, fidelity={}, cost={"speedup": None})])
    assert row["method"] == "baseline"
    assert row["agreement"] == row["speed-up"] == row["size MiB"] == MISSING


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (HYBRID, "distilled"),
        ({**HYBRID, "alpha": 1.0}, "baseline"),
        (GOLD, "baseline"),
        ({**GOLD, "terms": TERMS, "weights": {"cross_entropy": 0.5, "kl": 0.5}}, "distilled"),
        ({**GOLD, "terms": TERMS, "weights": {"cross_entropy": 1.0, "kl": 0.0}}, "baseline"),
    ],
)
def test_a_method_is_read_off_the_loss_and_not_off_a_name(loss: dict[str, Any], expected: str) -> None:
    assert method({"loss": loss, "method": "anything", "name": "distilled"}) == expected


def test_a_method_names_the_steps_of_compression_in_their_order() -> None:
    assert method({"loss": HYBRID, "compression": {**PRUNE, "onnx_int8": {}}}) == "distilled + prune_l1 + onnx_int8"
    assert method({"loss": GOLD, "compression": ["torch_int8"]}) == "baseline + torch_int8"


def test_a_failed_cell_shows_its_error_short_in_the_row_and_whole_below() -> None:
    error = "the loss is not a number\n" + "x" * 100
    cell = result(cell="seed=1", metrics={}, cost={}, teacher={}, fidelity={}, error=error)
    (row,) = rows([cell])
    assert row["test accuracy"].startswith("failed: the loss is not a number xxx")
    assert row["test accuracy"].endswith("…")
    assert row["p50 ms"] == MISSING
    assert notes([cell]) == ["seed=1 failed: the loss is not a number " + "x" * 100]


def test_a_cell_that_failed_before_it_had_a_config_still_has_a_row() -> None:
    cell = RunResult(name="s", cell="c", status="failed", config={}, error="no")
    assert rows([cell, result()])[1]["test accuracy"] == "failed: no"


def test_each_warning_is_told_once() -> None:
    assert notes([result(warnings=["a", "b"]), result(warnings=["b"])]) == ["a", "b"]


def test_rows_of_a_sweep_are_told_apart_by_what_was_swept() -> None:
    cells = [
        result({"loss": {**HYBRID, "temperature": t}, "seed": s, "name": f"{t}{s}", "paths": {"cache": f"/{t}{s}"}})
        for t in (1.0, 4.0)
        for s in (0, 1)
    ]
    teacher, *shown = rows(cells)
    assert list(teacher)[:5] == ["model", "method", "temperature", "seed", "test accuracy"]
    assert [(row["temperature"], row["seed"]) for row in shown] == [
        ("1.0", "0"),
        ("1.0", "1"),
        ("4.0", "0"),
        ("4.0", "1"),
    ]
    assert teacher["seed"] == MISSING


def test_a_row_without_a_swept_option_shows_none() -> None:
    cells = [result({"loss": GOLD}), *(result({"loss": {**HYBRID, "alpha": a}}) for a in (0.1, 0.9))]
    assert [row["alpha"] for row in rows(cells)] == [MISSING, MISSING, "0.1", "0.9"]


def test_strengths_of_a_compression_are_told_apart() -> None:
    cells = [result({"compression": {"prune_l1": {**PRUNE["prune_l1"], "amount": a}}}) for a in (0.3, 0.6)]
    assert [row["amount"] for row in rows(cells)[1:]] == ["0.3", "0.6"]


def test_different_models_are_not_told_apart_by_every_option() -> None:
    lstm = {"_target_": "kd_lab.models.lstm_attention.LstmAttention", "name": "lstm_attention", "layers": 2}
    shown = rows([result(), result({"model": lstm})])
    assert "layers" not in shown[0]
    assert [row["model"] for row in shown] == ["minilm", "distilbert_mini", "lstm_attention"]


def test_options_of_one_name_in_two_places_keep_their_places() -> None:
    cells = [result({"optimizer": {"scale": n}, "trainer": {"scale": n}}) for n in (1, 2)]
    assert list(rows(cells)[0])[2:4] == ["optimizer.scale", "trainer.scale"]


def test_data_sets_and_teachers_show_where_rows_differ_in_them() -> None:
    cells = [result(), result({"dataset": {"name": "clinc"}, "teacher": {"model": {"name": "bert_base"}}})]
    assert [(row["data set"], row["teacher"]) for row in rows(cells)[1:]] == [
        ("docstrings", "minilm"),
        ("clinc", "bert_base"),
    ]


def test_losses_show_where_rows_that_are_otherwise_alike_differ_in_them() -> None:
    mse = {**GOLD, "terms": {"m": {"_target_": "a.LogitMse"}}, "weights": {"m": 1.0}}
    assert [row["loss"] for row in rows([result(), result({"loss": mse})])[1:]] == ["Hybrid", "LogitMse"]


def test_what_follows_from_the_model_needs_no_column() -> None:
    lstm = {"model": {"name": "lstm_attention"}, "trainer": {"max_epochs": 9}}
    assert "max_epochs" not in rows([result(), result(lstm)])[0]


def test_markdown_is_a_table_that_no_cell_can_break() -> None:
    text = to_markdown([result(teacher={}, error="a | b\nc", warnings=["careful"])])
    table, said = text.split("\n\n")
    lines = table.splitlines()
    assert [line.replace("\\|", "").count("|") for line in lines] == [len(COLUMNS) + 1] * 3
    assert lines[1].startswith("| --- | --- | ---: |")
    assert said == "- c failed: a | b c\n- careful\n"


def test_the_terminal_table_takes_brackets_for_text() -> None:
    console = Console(width=220, record=True, quiet=False, file=StringIO())
    console.print(to_rich([result(error="bad [/x] [red]", warnings=["see [docs]"])], title="seeds [1]"))
    text = console.export_text()
    for part in ("seeds [1]", "failed: bad [/x] [red]", "see [docs]", "90.0 % [87.0, 92.0]"):
        assert part in text


def test_no_results_make_an_empty_table() -> None:
    assert rows([]) == []
    assert to_rich([], title="none").row_count == 0
    assert to_markdown([]).count("\n") == 2


def test_balanced_accuracy_has_a_column_where_classes_of_test_are_uneven() -> None:
    def of(ratio: float | None) -> RunResult:
        test = {"accuracy": 0.9, "balanced_accuracy": 0.6123, **({} if ratio is None else {"class_ratio": ratio})}
        return result(metrics={"test": test})

    assert all("balanced accuracy" not in row for row in rows([of(None), of(3.0)]))
    teacher, old, uneven = rows([of(None), of(3.5)])
    assert list(uneven)[2:5] == ["test accuracy", "balanced accuracy", "macro-F1"]
    assert uneven["balanced accuracy"] == old["balanced accuracy"] == "61.2 %"
    assert teacher["balanced accuracy"] == MISSING


@pytest.mark.parametrize("trainer", [{"sampling": "balanced"}, {"monitor": "balanced_accuracy"}])
def test_balanced_accuracy_has_a_column_where_a_fit_went_by_it(trainer: dict[str, str]) -> None:
    test = {"accuracy": 0.9, "balanced_accuracy": 0.6123, "class_ratio": 1.0}
    assert rows([result({"trainer": trainer}, metrics={"test": test})])[1]["balanced accuracy"] == "61.2 %"
