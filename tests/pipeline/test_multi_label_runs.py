"""Several labels a row, by the command: fitted, distilled, compressed, judged, reported, exported, asked and served."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import mlflow
import numpy as np
import onnxruntime
import pandas as pd
import pyarrow.parquet as pq
import pytest
import tiny_checkpoints as tiny
import torch
from toy_texts import SENTENCES, WORDS
from transformers import pipeline

import kd_lab
from kd_lab.__main__ import command
from kd_lab.core import results
from kd_lab.core.results import RunResult
from kd_lab.evaluation.predictions import FILE
from kd_lab.training import answers_file
from kd_lab.training.answer_logits import vote_logits
from kd_lab.training.answers_file import Answers
from kd_lab.training.ensemble_teacher import combined

LABELS = ("weather", "animals", "food")
QUICK = [
    *("task=multi_label", "dataset=csv", "dataset.path=several.jsonl", "evaluation=none", "tokenizer.max_tokens=32"),
    *("model=lstm_attention", "model.hidden=8", "model.embedding=8", "model.init=random", "trainer.max_epochs=2"),
    *("trainer.device=cpu", "trainer.batch_size=64", "optimizer.head_lr=1e-2"),
]
BASELINE = ["method=baseline", "teacher=none"]
LSTM = [
    *("model@teacher.model=lstm_attention", "teacher.model.hidden=16", "teacher.model.embedding=16"),
    *("teacher.model.init=random", "teacher.optimizer.head_lr=4e-2", "teacher.trainer.max_epochs=10"),
    *("teacher.trainer.patience=10", "teacher.trainer.batch_size=16"),
]
LONG = [
    *("trainer.max_epochs=10", "trainer.patience=10", "trainer.batch_size=16", "optimizer.head_lr=4e-2"),
    *("model.hidden=16", "model.embedding=16"),
]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A text mentions things of several kinds, or of none; its labels are these kinds."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    rows = []
    for number in range(360):
        kinds = [kind for kind in LABELS if random.random() < 0.5]
        words = " and ".join(str(random.choice(WORDS[kind])) for kind in kinds) or "nothing"
        text = f"{SENTENCES[number % len(SENTENCES)].format(words)} ({number})"
        rows.append({"text": text, "label": None if number % 9 == 0 else kinds})
    Path("several.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")


def ran(name: str, *overrides: str) -> RunResult:
    assert command([*QUICK, f"name={name}", *overrides]) == 0
    [cell] = results.collect(Path("multirun", name))
    return cell


def read_answers(name: str, labels: tuple[str, ...] = LABELS) -> Answers:
    return answers_file.read(Path(name), labels, "text", None, "label", None, multi_label=True)


def told(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().err.split())


def refused(capsys: pytest.CaptureFixture[str], line: Sequence[str], *overrides: str) -> str:
    assert command([*line, *overrides, "name=refused"]) == 2
    return capsys.readouterr().err.strip().splitlines()[-1]


def test_a_student_is_distilled_and_judged_with_thresholds_of_validation(capsys: pytest.CaptureFixture[str]) -> None:
    cell = ran("distilled", "method=distilled", "tracking=none", *LONG, *LSTM)
    said = told(capsys)
    assert "teacher lstm_attention: micro F1 on validation" in said
    assert "rows bear none of the labels" in said
    test, validation = cell.metrics["test"], cell.metrics["validation"]
    assert test["f1_micro"] > 0.8, "one word tells a label"
    assert set(test) >= {"accuracy", "f1_macro", "f1_weighted", "mean_average_precision", "ece", "nll"}
    assert len(validation["thresholds"]) == 3
    low, high = test["f1_micro_interval"]
    assert low <= test["f1_micro"] <= high
    assert 0 < cell.fidelity["agreement"] <= 1
    assert {"validation/f1_micro", "validation/mean_average_precision"} <= set(cell.history[0])
    assert cell.config["trainer"]["monitor"] == "mean_average_precision"
    [folder] = Path("multirun/distilled").glob("*/result.json")
    assert (folder.parent / "labels.png").is_file()
    assert not (folder.parent / "confusion.png").exists()
    with np.load(folder.parent / FILE) as kept:
        gold, said_sets = kept["sets_gold"], kept["sets_said"]
        assert float((gold == said_sets).all(axis=1).mean()) == pytest.approx(test["accuracy"])
        assert ((kept["labels"] == kept["predictions"]) == (gold == said_sets).all(axis=1)).all()
    card = folder.parent / "model" / "classifier.json"
    written = json.loads(card.read_text())
    assert written["thresholds"] == validation["thresholds"]
    card.write_text(json.dumps({**written, "thresholds": [0.5]}))
    with pytest.raises(kd_lab.UserError, match="a probability for each label"):
        kd_lab.load(card.parent)


@pytest.mark.slow
def test_what_is_exported_says_the_same_by_every_way(capsys: pytest.CaptureFixture[str]) -> None:
    line = [*QUICK, "name=out", *BASELINE, "model=distilbert_mini", "model.init=random"]
    line = [part for part in line if not part.startswith(("model.hidden", "model.embedding", "model=lstm"))]
    line += ["model.layers=2", "model.keep_layers=null", "model.width=32", "model.heads=4", "model.feed_forward=48"]
    steps = "compression=[],[onnx]"
    assert command(["-m", *line, "trainer.max_epochs=1", "optimizer.encoder_lr=1e-4", "tracking=none", steps]) == 0
    cells = sorted(results.collect(Path("multirun/out")), key=lambda cell: len(cell.config["compression"]))
    torch_model, onnx_model = (Path("multirun/out", cell.cell, "model") for cell in cells)
    texts = [json.loads(row)["text"] for row in Path("several.jsonl").read_text().splitlines()[:20]]
    model = kd_lab.load(torch_model)
    said, probabilities = model.predict(texts)
    assert all(isinstance(labels, list) for labels in said)
    wanted = [
        [name for name, p, t in zip(model.labels, row, model.thresholds, strict=True) if p >= t]
        for row in probabilities.tolist()
    ]
    assert said == wanted
    assert json.loads((onnx_model / "classifier.json").read_text())["task"] == "multi_label"
    for folder in (torch_model, onnx_model):
        assert json.loads((folder / "config.json").read_text())["problem_type"] == "multi_label_classification"
        card = (folder / "README.md").read_text(encoding="utf-8")
        assert "of which a text may bear several" in card
        assert "micro-F1" in card
        assert 'card["thresholds"]' in card

    scores = pipeline("text-classification", str(torch_model), top_k=None)(texts)
    for row, own in zip(scores, probabilities, strict=True):
        found = {one["label"]: one["score"] for one in row}
        assert [found[label] for label in model.labels] == pytest.approx(own.tolist(), abs=1e-5)

    assert command(["report", "out", "--gate"]) in (0, 1)  # a model that learned for one epoch may fail it
    gate = Path("multirun/out/report/gate.md").read_text(encoding="utf-8")
    assert "another label" not in gate, "asked alone, rows get the sets of labels that were recorded"

    session = onnxruntime.InferenceSession(onnx_model / "model.onnx")
    batch = model._pieces.encode_batch(texts)
    width = max(map(len, batch))
    pieces = np.array([row.ids + [model.pad_id] * (width - len(row)) for row in batch])
    mask = np.array([[1] * len(row) + [0] * (width - len(row)) for row in batch])
    given = {"input_ids": pieces, "attention_mask": mask, "token_type_ids": np.zeros_like(pieces)}
    (logits,) = session.run(["logits"], {one.name: given[one.name] for one in session.get_inputs()})
    assert 1 / (1 + np.exp(-logits)) == pytest.approx(probabilities, abs=1e-4)
    assert kd_lab.load(onnx_model).labels == model.labels

    pd.DataFrame({"text": texts, "id": range(20)}).to_csv("ask.csv", index=False)
    for out in ("said.csv", "said.jsonl", "said.parquet"):
        assert (
            command(["predict", "--model", str(torch_model), "--csv", "ask.csv", "--out", out, "--abstain", "0.2"]) == 0
        )
    kept = [
        labels if model.say([text]).confidence[0] >= 0.2 else None for text, labels in zip(texts, said, strict=True)
    ]
    rows = [json.loads(row) for row in Path("said.jsonl").read_text().splitlines()]
    assert [row["labels"] for row in rows] == kept
    assert [row["id"] for row in rows] == [str(number) for number in range(20)]
    assert pq.read_table("said.parquet")["labels"].to_pylist() == kept
    with Path("said.csv").open() as file:
        assert [json.loads(row["labels"]) if row["labels"] else None for row in csv.DictReader(file)] == kept
    assert "abstain below 0.2" in told(capsys)


@pytest.mark.slow
def test_mlflow_serves_lists_and_the_report_shows_f1(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, empty_store: Callable[[Path], Path]
) -> None:
    store = (
        f"sqlite:///{empty_store(tmp_path / 'mlflow.db')}"  # MLflow keeps a store open by its name: a place of its own
    )
    assert command(["-m", *QUICK, "name=served", *BASELINE, "seed=0,1", f"tracking.uri={store}"]) == 0
    client = mlflow.MlflowClient(store)
    [experiment] = [one for one in client.search_experiments() if one.name == "served"]
    models = client.search_logged_models([experiment.experiment_id])
    answers = mlflow.pyfunc.load_model(models[0].artifact_location).predict(
        [{"text": "bread and rain"}, {"text": "nothing"}]
    )
    assert list(answers.columns) == ["labels", "probability"]
    assert all(isinstance(labels, list) for labels in answers["labels"])
    assert answers["probability"].between(0, 1).all()
    capsys.readouterr()
    assert command(["report", "served"]) == 0
    table = Path("multirun/served/report/table.md").read_text(encoding="utf-8")
    assert "micro-F1" in table
    assert "mAP" in table
    classes = Path("multirun/served/report/classes.csv").read_text(encoding="utf-8")
    assert all(label in classes for label in LABELS), "a report a label"


def test_a_ready_teacher_of_several_labels_is_asked_by_name() -> None:
    shuffled = ("food", "weather", "animals")
    tiny.write(Path("ready"), "roberta", shuffled, problem_type="multi_label_classification")
    line = ("teacher=ready", "teacher.path=ready", "teacher.max_tokens=32", "teacher.at_chance=go_on", "tracking=none")
    cell = ran("ready", "loss=logit_mse", "trainer.max_epochs=1", *line)
    assert cell.teacher["labels"] == "by name"
    assert "f1_micro" in cell.teacher["metrics"]["test"]


def test_lists_that_somebody_gave_teach(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [json.loads(row) for row in Path("several.jsonl").read_text().splitlines()]
    table = pd.DataFrame([{**row, "label": row["label"] or []} for row in rows if "[" not in row["text"]])
    table = table[[one % 5 != 0 for one in range(len(table))]]
    table.to_json("said.jsonl", orient="records", lines=True)
    table.to_csv("said.csv", index=False)
    table.to_parquet("said.parquet")
    given = [read_answers(f"said.{ending}") for ending in ("jsonl", "csv", "parquet")]
    assert all(np.array_equal(one.scores, given[0].scores) for one in given)
    assert given[0].scores.sum() == table["label"].str.len().sum()
    cell = ran("said", "teacher=answers", "teacher.path=said.parquet", "loss=logit_mse", "tracking=none")
    about = cell.teacher["answers"]["train"]
    assert about["rows"] - about["answered"] == pytest.approx(about["rows"] / 5, abs=15)
    assert about["agreement"] == 1.0
    assert "100.0 % as the gold labels" in told(capsys)


def test_shares_of_votes_become_probabilities_of_each_label(tmp_path: Path) -> None:
    said = [{"text": "a", "label": ["x"]}, {"text": "a", "label": ["x", "y"]}, {"text": "b", "label": []}]
    Path("votes.jsonl").write_text("\n".join(map(json.dumps, [*said, {"text": "c", "label": None}])))
    found = read_answers("votes.jsonl", ("x", "y"))
    assert sorted(found.scores.tolist()) == [[0.0, 0.0], [1.0, 0.5]]
    odds = 1 / (1 + np.exp(-vote_logits(found, 0.9, multi_label=True)))
    assert sorted(odds.tolist()) == [pytest.approx([0.1, 0.1]), pytest.approx([0.9, 0.5])]
    pd.DataFrame({"text": ["a", "b"], "x": [0.2, 1.0], "y": [0.7, 0.9]}).to_csv("scores.csv", index=False)
    scores = read_answers("scores.csv", ("x", "y")).scores
    assert sorted((1 / (1 + np.exp(-scores))).tolist()) == [pytest.approx([0.2, 0.7]), pytest.approx([1.0, 0.9])]


def test_a_model_of_another_task_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    tiny.write(Path("one"), "bert", LABELS, problem_type="single_label_classification")
    line = refused(capsys, QUICK, "teacher=ready", "teacher.path=one", "teacher.max_tokens=32", "tracking=none")
    assert "expected a classifier of several labels a text, got single_label_classification" in line
    assert "task=multi_class" in line


def test_an_ensemble_means_each_label_by_itself() -> None:
    one, other = torch.tensor([[2.0, -2.0]]), torch.tensor([[0.0, 1.0]])
    mean = (one.sigmoid() + 3 * other.sigmoid()) / 4
    assert combined([one, other], [0.25, 0.75], "probabilities", multi_label=True).sigmoid() == pytest.approx(mean)
    assert combined([one, other], [0.25, 0.75], "logits", multi_label=True).tolist() == [[0.5, 0.25]]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (["dataset=docstrings", "~dataset.path"], "several labels a row"),
        (["trainer.monitor=mcc"], "trainer.monitor: expected a figure of task=multi_label, got mcc"),
        (["task=multi_class", "trainer.monitor=f1_micro"], "expected a figure of task=multi_class, got f1_micro"),
        (["task=several"], "task: expected"),
    ],
)
def test_what_does_not_fit_several_labels_is_refused_before_any_work(
    capsys: pytest.CaptureFixture[str], given: list[str], wanted: str
) -> None:
    line = [part for part in QUICK if given[0].partition("=")[0] not in part or "dataset.path" in part]
    if given[0] == "dataset=docstrings":
        line, given = [part for part in line if not part.startswith("dataset")], given[:1]
    assert wanted in refused(capsys, line, *given, "tracking=none")
