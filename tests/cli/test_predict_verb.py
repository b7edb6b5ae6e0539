"""`kd-lab predict` answers arguments, lines and CSV files, and refuses what is no text with one line."""

from __future__ import annotations

import csv
import io
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_study import cell

from kd_lab.serving.text_classifier import TextClassifier

TEXTS = ["the old cat number 3", "a red house number 7", "no green song number 1"]
KILLED = """
import os, signal, sys
from kd_lab.__main__ import command
from kd_lab.cli.predict_output import Writer

write = Writer.write
Writer.write = lambda *given: (write(*given), os.kill(os.getpid(), signal.SIGKILL))
command(["predict", *sys.argv[1:]])
"""


@pytest.fixture(params=["[]", "[onnx_int8]"])
def model(request: pytest.FixtureRequest, small_study: Path) -> Path:
    return cell(small_study, request.param) / "model"


@pytest.fixture
def onnx(small_study: Path) -> Path:
    """Of what is the same for every model."""
    return cell(small_study, "[onnx_int8]") / "model"


def answers(text: str, delimiter: str = "\t") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text), delimiter=delimiter))


def test_texts_as_arguments_and_lines_get_the_models_own_labels(model: Path, predict: Callable[..., Any]) -> None:
    labels, probabilities = TextClassifier(model).predict(TEXTS)
    line = [sys.executable, "-m", "kd_lab", "predict", "--model", str(model), *TEXTS]
    done = subprocess.run(line, check=False, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    lines = predict(model.parent, "--batch-size", "1", stdin="\n".join(TEXTS).encode()).out
    for rows in (answers(done.stdout.decode()), answers(lines)):
        assert [row["text"] for row in rows] == TEXTS
        assert [row["label"] for row in rows] == labels
        for row, odds in zip(rows, probabilities, strict=True):
            assert float(row["probability"]) == pytest.approx(odds.max(), abs=0.05)  # INT8 depends on the batch


def test_the_probabilities_of_all_classes_sum_to_one(model: Path, predict: Callable[..., Any]) -> None:
    (row,) = answers(predict(model, "--probabilities", TEXTS[0]).out)
    each = {name: float(row[f"probability.{name}"]) for name in "abc"}
    assert sum(each.values()) == pytest.approx(1, abs=1e-5)
    assert max(each, key=each.__getitem__) == row["label"]


def test_what_a_killed_process_left_beside_its_answers_is_cleared_by_the_next(
    onnx: Path, tmp_path: Path, predict: Callable[..., Any]
) -> None:
    out = tmp_path / "out.csv"
    given = ["--out", "out.csv", *TEXTS]
    out.write_text("earlier")
    killed = subprocess.run([sys.executable, "-c", KILLED, "--model", str(onnx), *given], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert out.read_text() == "earlier"
    assert len(os.listdir(tmp_path)) == 2
    predict(onnx, *given)
    assert os.listdir(tmp_path) == ["out.csv"]
    assert [row["text"] for row in answers(out.read_text(), ",")] == TEXTS
    predict(onnx, *given, "", code=2)
    assert os.listdir(tmp_path) == ["out.csv"]
    assert len(answers(out.read_text(), ",")) == len(TEXTS)


def test_an_onnx_model_answers_without_torch(onnx: Path) -> None:
    code = (
        "import sys\nfrom kd_lab.__main__ import command\n"
        f"code = command(['predict', '--model', {str(onnx)!r}, 'a red cat'])\n"
        "assert code == 0 and not {'torch', 'transformers', 'mlflow', 'pytorch_lightning'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_text_of_100_000_characters_is_cut_and_said_so(model: Path, predict: Callable[..., Any]) -> None:
    said = predict(model, "word " * 20_000)
    assert "longer than" in said.err
    assert len(answers(said.out)) == 1


@pytest.mark.parametrize(
    ("stdin", "words"),
    [
        (b"a red cat\n\nthe old cat\n", "line 2: expected a text, got an empty text"),
        (b"a red cat\n\xff\xfe\x00\x01\n", "line 2: expected UTF-8"),
        (bytes(range(256)) * 20, "line 2: expected UTF-8"),
    ],
)
def test_what_is_no_text_on_stdin_is_refused_with_its_line(
    onnx: Path, stdin: bytes, words: str, predict: Callable[..., Any]
) -> None:
    assert words in predict(onnx, stdin=stdin, code=2).err


@pytest.mark.parametrize(
    ("encoding", "by"), [("utf-16", "stdin"), ("utf-16-be", "stdin"), ("utf-32", "stdin"), ("cp1252", "--csv")]
)
def test_the_cure_for_another_encoding_works_as_it_is_typed(
    encoding: str, by: str, onnx: Path, tmp_path: Path, predict: Callable[..., Any]
) -> None:
    text = "the café\u2019s cat"
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    content = f"{mark}text\n{text}\n".encode(encoding)
    (tmp_path / "my in.csv").write_bytes(content)
    given, stdin = (["--csv", "my in.csv"], b"") if by == "--csv" else ([], content)
    said = predict(onnx, *given, stdin=stdin, code=2).err
    cure = said[said.index("iconv -f") :].strip()
    if by == "--csv":
        subprocess.run(cure, shell=True, check=True)  # noqa: S602 - it is what a user types
        told = said.partition("give --csv ")[2].partition(":")[0]
        (row,) = answers(predict(onnx, "--csv", *shlex.split(told)).out, ",")
    else:
        assert cure.endswith(" FILE | kd-lab predict --model DIR")
        line = cure.partition(" | ")[0].replace("FILE", "'my in.csv'")
        converted = subprocess.run(line, shell=True, check=True, capture_output=True)  # noqa: S602
        row = answers(predict(onnx, stdin=converted.stdout).out)[-1]
    assert row["text"] == text


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([""], "expected a text"),
        (["--csv", "nowhere.csv"], "nowhere.csv"),
        (["--csv", "in.csv", "--text-column", "nothing"], "nothing"),
        (["--batch-size", "0", "text"], "batch"),
        (["--out", "nowhere/out.csv", "text"], "nowhere: expected a folder, got none. Make it: mkdir -p nowhere"),
        (["--out", "pipe", "text"], "pipe: expected a file, got something else"),
    ],
)
def test_a_mistake_is_one_line(
    onnx: Path, given: list[str], words: str, tmp_path: Path, predict: Callable[..., Any]
) -> None:
    (tmp_path / "in.csv").write_text("id,words\n1,a red cat\n")
    os.mkfifo(tmp_path / "pipe")
    assert words in predict(onnx, *given, code=2).err
    assert sorted(os.listdir(tmp_path)) == ["in.csv", "pipe"]


@pytest.mark.parametrize("damage", ["cut", "labels", "tokenizer", "no tokenizer", "card"])
def test_a_damaged_folder_is_refused(model: Path, damage: str, tmp_path: Path, predict: Callable[..., Any]) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(model, folder)
    (weights,) = [path for path in folder.iterdir() if path.suffix in (".onnx", ".safetensors")]
    card = json.loads((folder / "classifier.json").read_text())
    if damage == "cut":
        weights.write_bytes(weights.read_bytes()[:3000])
    elif damage == "labels":
        (folder / "classifier.json").write_text(json.dumps({**card, "labels": [*card["labels"], "one more"]}))
    elif damage == "tokenizer":
        (folder / "tokenizer.json").write_text("{}")
    elif damage == "no tokenizer":
        (folder / "tokenizer.json").unlink()
    else:
        (folder / "classifier.json").write_text("[]")
    assert str(folder) in predict(folder, "a red cat", code=2).err
