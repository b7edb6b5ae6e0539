"""A saved classifier says what it is; a folder that kd_lab did not save is refused before anything of it runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kd_lab.core.errors import UserError
from kd_lab.models import saved_model
from kd_lab.models.lstm_attention import LstmAttentionClassifier

CONFIG = {"vocabulary": 11, "pad_id": 0, "classes": 3, "embedding": 4, "hidden": 5, "layers": 1, "dropout": 0.5}


def small() -> LstmAttentionClassifier:
    return LstmAttentionClassifier(CONFIG).eval()


def test_the_card_says_the_format_and_what_it_was_given(tmp_path: Path) -> None:
    saved_model.save(small(), tmp_path, {"labels": ["a", "b", "é"]})
    assert json.loads((tmp_path / saved_model.CARD).read_text()) == saved_model.read_card(tmp_path)
    assert saved_model.read_card(tmp_path) == {"format": "lstm_attention/1", "labels": ["a", "b", "é"]}


@pytest.mark.parametrize(
    "kind",
    [
        "os.system",
        "subprocess.Popen",
        "kd_lab_evil.Classifier",
        "kd_lab.training.teacher_outputs.torch",  # our module, another's object: torch.load would read the folder
        "kd_lab.models.encoder.transformers.AutoModel",
        "kd_lab.cli.compose.OmegaConf",  # it has a load, of YAML
        "kd_lab.core.types.Batch",  # ours, but no classifier
        "kd_lab.models.encoder.nothing",
        "kd_lab.no_such_module.Classifier",
        "kd_lab.models.base.read_config",  # no class
    ],
)
def test_a_class_that_is_not_kd_labs_is_refused(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kd_lab_evil.py").write_text("raise RuntimeError('I ran')")
    monkeypatch.syspath_prepend(tmp_path)
    saved_model.save(small(), tmp_path, {})
    (tmp_path / saved_model.CARD).write_text(json.dumps({"class": kind}))
    with pytest.raises(UserError) as caught:
        saved_model.load(tmp_path)
    assert caught.value.got == kind


def test_a_format_of_a_later_version_is_refused_with_what_to_do(tmp_path: Path) -> None:
    saved_model.save(small(), tmp_path, {})
    (tmp_path / saved_model.CARD).write_text(json.dumps({"format": "lstm_attention/9"}))
    with pytest.raises(UserError, match=r"lstm_attention/1.*got lstm_attention/9.*pip install -U kd_lab"):
        saved_model.load(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"class": 5}', "null", '"kd_lab.core.types.Batch"'])
def test_a_card_that_is_no_card_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / saved_model.CARD).write_text(text)
    with pytest.raises(UserError, match="expected a saved classifier"):
        saved_model.load(tmp_path)


def test_what_is_not_a_folder_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere: expected a saved classifier.*got no such folder"):
        saved_model.load(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="got no such folder"):
        saved_model.load(tmp_path / "file")
    with pytest.raises(UserError, match="got a folder without it"):
        saved_model.load(tmp_path)
