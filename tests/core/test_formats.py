"""What earlier versions saved, as it lies in `tests/saved`, is still read, and says what it said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from pandas import DataFrame

from kd_lab.__main__ import command
from kd_lab.core import moved, results
from kd_lab.core.formats import FORMATS, FORMERLY, class_of, format_of, known_format
from kd_lab.core.instantiate import build, targets
from kd_lab.models import saved_model
from kd_lab.serving.text_classifier import TextClassifier

SAVED = Path(__file__).parents[1] / "saved"
EDITIONS = sorted(path.parent for path in SAVED.glob("*/answers.json"))
STUDIES = [edition for edition in EDITIONS if (edition / "small" / "lstm" / "result.json").is_file()]  # with results
MODELS = sorted(path.parent for edition in EDITIONS for path in edition.glob("small/*/model"))


@pytest.mark.parametrize("cell", MODELS, ids=lambda cell: f"{cell.parents[1].name}-{cell.name}")
def test_a_model_says_what_it_said_when_it_was_saved(cell: Path) -> None:
    told = json.loads((cell.parents[1] / "answers.json").read_text(encoding="utf-8"))
    logits = TextClassifier(cell / "model").logits(told["texts"])
    # INT8 rounds by the kernels that a processor has: half a step of what 8 bits tell apart
    assert np.allclose(logits, told["logits"][cell.name], atol=2e-3 if "8" in cell.name else 1e-4)


def test_every_format_is_among_what_is_kept() -> None:
    assert {saved_model.read_card(cell / "model")["format"] for cell in MODELS} == set(FORMATS)


@pytest.mark.parametrize("edition", EDITIONS, ids=lambda edition: edition.name)
def test_a_model_that_mlflow_keeps_answers(edition: Path) -> None:
    texts = json.loads((edition / "answers.json").read_text(encoding="utf-8"))["texts"]
    said = mlflow.pyfunc.load_model(str(edition / "mlflow_model")).predict(DataFrame({"text": texts}))
    assert set(said["label"]) <= {"a", "b", "c"}


def test_a_format_leads_to_its_class_and_back() -> None:
    for name in FORMATS:
        assert format_of(class_of(name)) == name == known_format(name)
    for former, name in FORMERLY.items():
        assert known_format(former) == name in FORMATS
    assert known_format(["encoder/1"]) is None


@pytest.mark.parametrize("edition", EDITIONS, ids=lambda edition: edition.name)
def test_the_config_of_an_old_result_can_still_be_built(edition: Path) -> None:
    files = list(edition.glob("small/*/result.json"))
    assert len(files) > 1
    for file in files:
        config = results.read(file.parent).config
        for part in ("dataset", "tokenizer", "model", "loss", "optimizer", "trainer", "evaluation", "tracking"):
            build(config[part], part)
        assert not any(moved.current_name(target) != target for _, target in targets(config, ""))


@pytest.mark.slow
@pytest.mark.parametrize("edition", STUDIES, ids=lambda edition: edition.name)
def test_the_gate_and_the_frontier_read_an_old_study(
    edition: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    _study_of(edition, tmp_path)
    assert command(["report", "small", "--gate"]) in (0, 1)  # models that learned nothing may fail it
    assert command(["report", "small", "--frontier", "--rounds", "1"]) == 0
    assert "onnx_int8" in capsys.readouterr().out


def _study_of(edition: Path, folder: Path) -> None:
    """Some cells of the edition under multirun/, and their data set."""
    kinds = {"b": "the old {} number {}", "a": "a red {} number {}", "c": "no green {} number {}"}
    nouns = ("house", "cat", "river", "song")
    rows = [f"{text.format(noun, n)},{label}\n" for n in range(12) for noun in nouns for label, text in kinds.items()]
    (folder / "small.csv").write_text("text,label\n" + "".join(rows), encoding="utf-8")
    for name in ("lstm", "lstm-onnx_int8"):
        told = json.loads((edition / "small" / name / "result.json").read_text(encoding="utf-8"))
        shutil.copytree(edition / "small" / name, folder / "multirun" / "small" / told["cell"])
