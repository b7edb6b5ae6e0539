"""Any teacher by one line: a ready one, a file of answers, a checkpoint with its own tokenizer, several at once."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import tiny_checkpoints as tiny
from quick_lines import EPOCH, STUDENT, TOY

from kd_lab.__main__ import command
from kd_lab.cli.compose import compose
from kd_lab.core import results
from kd_lab.core.errors import UserError
from kd_lab.core.results import RunResult
from kd_lab.pipeline.cell import Cell
from kd_lab.training import labels_alone

LABELS = ("weather", "animals", "food")
QUICK = [*TOY, *STUDENT, EPOCH, "model.embedding=8", "loss=logit_mse"]
LSTM = ["model@teacher.model=lstm_attention", "teacher.model.hidden=8", "teacher.model.init=random"]


@pytest.fixture(autouse=True)
def here(toy_csv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(toy_csv.parent)


def ran(name: str, *overrides: str) -> RunResult:
    assert command([*QUICK, f"name={name}", *overrides]) == 0
    [cell] = results.collect(Path("multirun", name))
    return cell


def told(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().err.split())


def answer(path: str, **said: str) -> None:
    """Writes the gold label of each row of toy.csv, but for rows whose text starts otherwise than asked for."""
    table = pd.read_csv("toy.csv")
    table = table[table["text"].str.startswith(said.get("start", ""))]
    table.to_csv(path, index=False)


def test_a_ready_teacher_is_asked_and_nothing_is_fitted_but_the_student(capsys: pytest.CaptureFixture[str]) -> None:
    tiny.write(Path("ready"), "roberta", LABELS)
    line = ("teacher=ready", "teacher.path=ready", "teacher.max_tokens=32", "teacher.at_chance=go_on")
    cell = ran("ready", *line)
    said = told(capsys)
    assert "fit teacher" not in said
    assert "teacher ready: accuracy on validation" in said
    assert "tokenise csv for the teacher" in said, "it reads with its own pieces"
    assert cell.teacher["model"] == "ready"
    assert cell.teacher["labels"] == "by name"
    assert cell.teacher["cost"]["parameters"] > 0
    assert set(cell.fidelity) == {"agreement", "kl"}
    assert ran("ready", *line).fingerprint == cell.fingerprint
    assert "fit" not in told(capsys)


def test_a_teacher_at_chance_stops_the_run_unless_told_otherwise(capsys: pytest.CaptureFixture[str]) -> None:
    tiny.write(Path("ready"), "bert", LABELS)
    assert command([*QUICK, "teacher=ready", "teacher.path=ready", "teacher.max_tokens=32"]) == 2
    said = told(capsys)
    assert "expected a teacher that is better on validation than the most frequent class" in said
    assert "teacher.at_chance=go_on" in said


def test_longer_texts_than_a_teacher_has_positions_for_are_refused_before_any_work(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tiny.write(Path("ready"), "roberta", LABELS)
    assert command([*QUICK, "teacher=ready", "teacher.path=ready"]) == 2
    said = told(capsys)
    assert f"teacher.max_tokens: expected at most {tiny.POSITIONS - 1}, as ready has positions, got 128" in said
    assert "tokenise" not in said
    plain = [one for one in QUICK if not one.startswith("model")]
    alone = ("teacher=none", "loss=cross_entropy", "model=minilm", "tokenizer.max_tokens=1024")
    assert command([*plain, *alone]) == 2
    assert "tokenizer.max_tokens: expected at most 512, as minilm has positions, got 1024" in told(capsys)


def test_answers_teach_and_rows_with_neither_label_nor_answer_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    answer("said.csv", start="we saw")
    Path("more.txt").write_text("we saw a lot of mules today\nsomething else of mules\n", encoding="utf-8")
    cell = ran("answers", "teacher=answers", "teacher.path=said.csv", "dataset.transfer_path=more.txt")
    said = told(capsys)
    share = cell.teacher["answers"]["train"]
    assert 0 < share["answered"] < share["rows"]
    assert share["agreement"] == 1.0
    assert f"{share['answered']:,} of {share['rows']:,} rows of train answered, 100.0 % as the gold label" in said
    assert "2 rows of train have neither a label nor an answer of the teacher's: left out" in " ".join(cell.warnings)
    assert cell.teacher["cost"] == {}
    assert cell.teacher["metrics"]["test"]["accuracy"] == 1.0
    assert cell.teacher["metrics"]["test"]["rows"] < cell.metrics["test"]["rows"]
    assert "kl" in cell.fidelity


def test_a_file_that_says_nothing_of_test_still_teaches() -> None:
    train = Cell(compose([*QUICK, "teacher=none", "loss=cross_entropy"])).dataset.load().splits["train"]
    names = ("animals", "food", "weather")
    pd.DataFrame({"text": train.texts, "label": [names[at] for at in train.labels]}).to_csv("said.csv", index=False)
    cell = ran("train only", "teacher=answers", "teacher.path=said.csv")
    assert cell.fidelity == {}
    assert cell.teacher["metrics"] == {}
    assert command(["report", "train only"]) == 0


def test_of_a_few_rows_that_are_answered_by_chance_nothing_is_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labels_alone, "MANY", 2)
    splits = Cell(compose([*QUICK, "teacher=none", "loss=cross_entropy"])).dataset.load().splits
    names = ("animals", "food", "weather")
    rows = []
    for name, one in splits.items():
        most = len(one.texts) if name == "train" else 1
        rows += [(text, names[at]) for text, at in zip(one.texts[:most], one.labels[:most], strict=True)]
    pd.DataFrame(rows, columns=["text", "label"]).to_csv("said.csv", index=False)
    cell = ran("few", "teacher=answers", "teacher.path=said.csv")
    assert cell.teacher["answers"]["test"]["answered"] == 1
    assert (cell.fidelity, cell.teacher["metrics"]) == ({}, {})
    assert "accuracy on validation" not in told(capsys)
    assert [text for text in cell.warnings if "loss=kl learns the label" in text]


def test_a_checkpoint_is_fitted_and_read_with_its_own_tokenizer(capsys: pytest.CaptureFixture[str]) -> None:
    tiny.write(Path("tiny"), "distilbert")
    line = ("teacher=checkpoint", "teacher.path=tiny", "teacher.trainer.max_epochs=1", "tokenizer.max_tokens=32")
    cell = ran("checkpoint", *line)
    assert cell.teacher["model"] == "tiny"
    assert "tokenise csv for the teacher" in told(capsys)
    student = [one for one in QUICK if not one.startswith("model")]
    assert command([*student, "name=student", "model=checkpoint", "model.path=tiny", "model.layers=2", *line]) == 0
    assert "for the teacher" not in told(capsys), "both read with the same pieces"


def test_several_teach_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    tiny.write(Path("ready"), "bert", LABELS)
    answer("said.csv")
    members = ("+teacher@teacher.members.one=ready", "teacher.members.one.path=ready")
    members += ("teacher.members.one.max_tokens=32", "+teacher@teacher.members.two=answers")
    members += ("teacher.members.two.path=said.csv", "teacher.weights={one: 1, two: 4}")
    cell = ran("several", "teacher=ensemble", *members)
    assert cell.teacher["model"] == "ensemble"
    assert {name: one["share"] for name, one in cell.teacher["members"].items()} == {"one": 0.2, "two": 0.8}
    assert cell.teacher["metrics"]["validation"]["accuracy"] == 1.0
    assert "teacher one on train" in told(capsys)


@pytest.mark.parametrize(
    ("option", "named"),
    [
        ("text_column=none", "by teacher.members.two.text_column=NAME"),  # when it is asked
        ("confidence=2", "teacher.members.two.confidence: expected"),  # when it is made
    ],
)
def test_a_members_mistake_names_the_members_option(
    option: str, named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    answer("said.csv")
    members = [f"+teacher@teacher.members.{one}=answers" for one in ("one", "two")]
    members += [f"teacher.members.{one}.path=said.csv" for one in ("one", "two")]
    assert command([*QUICK, "teacher=ensemble", *members, f"teacher.members.two.{option}"]) == 2
    assert named in told(capsys)


def test_a_fit_may_be_a_member(capsys: pytest.CaptureFixture[str]) -> None:
    answer("said.csv")
    first = "+teacher@teacher.members.one=minilm"
    lstm = [override.replace("teacher.model", "teacher.members.one.model") for override in LSTM]
    second = ("+teacher@teacher.members.two=answers", "teacher.members.two.path=said.csv")
    epochs = ("teacher.members.one.trainer.max_epochs=1", "teacher.members.one.trainer.device=cpu")
    ran("fits", "teacher=ensemble", first, *lstm, *epochs, *second)
    assert "done fit teacher one lstm_attention" in told(capsys)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            ("teacher=answers", "teacher.path=said.csv", "loss=hidden_cosine"),
            "a model that gives its hidden, for the loss",
        ),
        (
            ("teacher=checkpoint", "teacher.path=tiny", "loss=hidden_cosine", "tokenizer.max_tokens=32"),
            "the student's pieces, to give its hidden, for the loss",
        ),
    ],
)
def test_a_loss_that_the_teacher_has_nothing_for_is_refused_before_any_work(
    line: tuple[str, ...], expected: str
) -> None:
    answer("said.csv")
    tiny.write(Path("tiny"), "bert")
    with pytest.raises(UserError) as caught:
        Cell(compose([*QUICK, *line]))
    assert caught.value.expected == expected


def test_what_is_no_teacher_is_refused() -> None:
    answer("said.csv")
    config = compose([*QUICK, "teacher=answers", "teacher.path=said.csv"])
    config.teacher = config.dataset
    with pytest.raises(UserError, match=r"teacher\._target_: expected a teacher, got Csv"):
        Cell(config)


def test_a_checkpoint_without_a_tokenizer_is_one_line() -> None:
    tiny.write(Path("tiny"), "bert")
    Path("tiny/tokenizer.json").unlink()
    with pytest.raises(UserError, match=r"expected a checkpoint with its tokenizer\.json, got none"):
        Cell(compose([*QUICK, "teacher=checkpoint", "teacher.path=tiny"])).check_trainers()


@pytest.mark.parametrize(
    ("line", "told_of"),
    [
        (("teacher=ready",), "teacher.path"),
        (("teacher=ready", "teacher.path=x", "teacher.seed=3"), "seed"),
        (("teacher=answers", "teacher.path=x", "teacher.confidence=2"), "teacher.confidence"),
        (("teacher=ensemble",), "teacher.members"),
        (("teacher=answers", "teacher.path=x", "teacher._target_=kd_lab.data.csv.Csv"), "teacher"),
        (("teacher=ready", "teacher.path=nowhere"), "nowhere"),
        (("teacher=answers", "teacher.path=nowhere.csv"), "nowhere.csv"),
    ],
)
def test_mistakes_are_one_line(line: tuple[str, ...], told_of: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command([*QUICK, *line]) == 2
    said = told(capsys)
    assert told_of in said
    assert "Traceback" not in said
