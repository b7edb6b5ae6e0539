"""A study of one small encoder and what compression makes of it, run once for all tests that read one."""

from __future__ import annotations

from pathlib import Path

import pytest

from kd_lab.__main__ import command

NAME = "small"
KINDS = {"b": "the old {} number {}", "a": "a red {} number {}", "c": "no green {} number {}"}
NOUNS = ("house", "cat", "river", "song")
LINE = [
    *("-m", "dataset=csv", "tracking=none", f"name={NAME}", "evaluation=none", "optimizer.encoder_lr=0.01"),
    *("model=distilbert_mini", "model.init=random", "model.layers=2", "model.keep_layers=null", "model.width=32"),
    *("model.heads=4", "model.feed_forward=48", "trainer.max_epochs=8", "model@teacher.model=lstm_attention"),
    *("teacher.model.hidden=16", "teacher.model.init=random", "teacher.trainer.max_epochs=2"),
    "compression=[],[onnx_int8],[onnx],[trim_vocabulary,prune_heads]",
]


def run(folder: Path) -> Path:
    """Runs the study in the folder; its cells lie in the folder that is returned."""
    rows = [f"{text.format(noun, n)},{label}\n" for n in range(12) for noun in NOUNS for label, text in KINDS.items()]
    (folder / "small.csv").write_text("text,label\n" + "".join(rows), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("KD_LAB_CACHE", str(folder / "cache"))
        assert command([*LINE, f"dataset.path={folder / 'small.csv'}"]) == 0
    return folder / "multirun" / NAME


def cell(study: Path, compression: str) -> Path:
    """The cell's folder, e.g. of "[onnx_int8]"."""
    (found,) = study.glob(f"compression={compression.replace('[', '[[]')},*")
    return found
