"""Settings make kd_lab's own objects and nothing else, whatever they name."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from kd_lab.core.errors import UserError
from kd_lab.core.instantiate import build
from kd_lab.data.csv import Csv
from kd_lab.data.dataset import SplitPlan

SPLIT = {"_target_": "kd_lab.data.dataset.SplitPlan", "seed": 3}
CSV = {"_target_": "kd_lab.data.csv.Csv", "path": "a.csv"}


def test_an_object_and_those_within_it_are_built() -> None:
    assert build({**CSV, "split": SPLIT}, "dataset") == Csv("a.csv", split=SplitPlan(seed=3))


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "subprocess.run",
        "builtins.eval",
        "pandas.read_pickle",
        "kd_lab.data.csv.pd.read_pickle",  # another's function through a module of ours
        "kd_lab.training.fit.torch.load",
        "kd_lab.data.csv.Path",  # another's class through a module of ours
        "kd_lab.data.docstrings.importlib.import_module",
        "kd_lab.core.cache.file_hash",  # ours, and no class
        "kd_lab.data.csv.Nothing",
        "kd_lab.no_such_module.Thing",
        "kd_lab_evil.Thing",
        "kd_lab",
        "",
    ],
)
@pytest.mark.parametrize(
    "context",
    [
        lambda call: call,
        lambda call: {**CSV, "split": call},
        lambda call: {**CSV, "split": {**SPLIT, "limit": [{"deep": call}]}},
    ],
    ids=["itself", "within", "deep within"],
)
def test_what_is_not_kd_labs_is_refused_and_not_called(
    target: str, context: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    called: list[str] = []
    monkeypatch.setattr(os, "system", lambda *_, **__: called.append("os.system"))
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: called.append("subprocess.run"))
    monkeypatch.setattr(pd, "read_pickle", lambda *_, **__: called.append("pandas.read_pickle"))
    with pytest.raises(UserError) as caught:
        build(context({"_target_": target, "_args_": [str(tmp_path)]}), "dataset")
    assert caught.value.where.startswith("dataset.")
    assert caught.value.where.endswith("._target_")
    assert caught.value.got == target
    assert not called


def test_a_target_hidden_in_an_interpolation_is_refused() -> None:
    with pytest.raises(UserError):
        build({"_target_": "kd_lab.data.dataset.SplitPlan", "seed": {"_target_": "${oc.env:HOME}"}}, "dataset")


@pytest.mark.parametrize(
    "settings",
    [{**CSV, "pth": "b.csv"}, {**CSV, "_partial_": True}, {**CSV, "_args_": ["b.csv"]}, {**CSV, "_convert_": "all"}],
    ids=lambda settings: list(settings)[-1],
)
def test_an_option_that_the_signature_does_not_have_is_one_clear_line(settings: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="an option of Csv: path, text_column") as caught:
        build(settings, "dataset")
    assert caught.value.where == f"dataset.{list(settings)[-1]}"
    assert "\n" not in str(caught.value)


def test_a_missing_option_is_one_clear_line() -> None:
    with pytest.raises(UserError, match=r"Give it, e\.g\. \+dataset\.path=NAME") as caught:
        build({"_target_": "kd_lab.data.csv.Csv"}, "dataset")
    assert caught.value.where == "dataset.path"
    assert "\n" not in str(caught.value)


def test_an_error_of_the_object_itself_is_told_as_it_is() -> None:
    shape = {"name": "a", "architecture": "bert", "layers": 2, "width": 8, "heads": 2, "feed_forward": 8}
    with pytest.raises(UserError, match=r"as model\.layers says") as caught:
        build({"_target_": "kd_lab.models.encoder.Encoder", **shape, "keep_layers": [0]}, "teacher.model")
    assert caught.value.where == "model.keep_layers"


def test_text_that_looks_like_an_interpolation_stays_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hydra's instantiate would read the environment for it."""
    monkeypatch.setenv("SECRET", "hush")
    assert build({**CSV, "name": "${oc.env:SECRET}"}, "dataset").name == "${oc.env:SECRET}"
