"""Saves a folder of every kind that kd_lab can save, to be kept: what a later version must still read.

    python tests/saved/make.py EDITION [GROUP ...]

Run it when what is saved changes, for a new edition; the old ones stay. Everything is small: a few words, one layer.
Where groups of `STEPS` are named, those alone are saved: what a later version added.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
NAME = "small"
TEXTS = ["the old cat number 3", "a red house number 7", "no green river"]
KINDS = {"b": "the old {} number {}", "a": "a red {} number {}", "c": "no green {} number {}"}
NOUNS = ("house", "cat", "river", "song")
SMALL = [
    *("dataset=csv", "dataset.path=small.csv", f"name={NAME}", "tokenizer.max_tokens=16", "trainer.max_epochs=2"),
    *("evaluation.requests=2", "evaluation.rounds=1"),
    *("model@teacher.model=lstm_attention", "teacher.model.init=random", "teacher.model.hidden=8"),
    *(
        "teacher.model.embedding=8",
        "teacher.trainer.max_epochs=1",
    ),
]
ENCODER = [
    *("model=distilbert_mini", "model.init=random", "model.layers=1", "model.keep_layers=null", "model.width=16"),
    *("model.heads=2", "model.feed_forward=16", "model.max_positions=16", "seed=0"),
]
LSTM = ["model=lstm_attention", "model.init=random", "model.embedding=8", "model.hidden=8", "model.layers=1", "seed=0"]
STEPS = {  # what turns a fitted model into one of another class
    "encoder": (ENCODER, [""]),
    "encoder_exports": (
        ENCODER,
        ["onnx", "onnx_int8", "onnx_int8_static", "openvino", "openvino_int8", "torch_int8", "torch_bf16", "sparse"],
    ),
    "lstm": (LSTM, ["", "onnx_int8", "torch_int8", "sparse"]),
    **{
        name: ([f"model={name}", "model.init=random", "model.embedding=8", *more, "seed=0"], ["", "onnx_int8"])
        for name, more in {"static": [], "cnn": ["model.maps=4"], "gru_attention": ["model.hidden=8"]}.items()
    },
    "tfidf": (["model=tfidf", "model.ngrams=1", "loss=cross_entropy", "seed=0"], [""]),
    "low_rank": ([*LSTM, "compression.low_rank_embedding.rank=2"], ["low_rank_embedding"]),
}


def main(edition: str, groups: list[str]) -> None:
    """Writes `tests/saved/EDITION`; without groups all of them."""
    target = HERE / edition
    target.mkdir()
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)
        os.environ["KD_LAB_CACHE"] = f"{scratch}/cache"
        _write_texts(Path("small.csv"))
        study = Path("multirun") / NAME
        _run(study, groups or list(STEPS))
        _keep(study, target)
    print(f"{target}: {sum(path.stat().st_size for path in target.rglob('*') if path.is_file()) / 2**20:.1f} MiB")


def _write_texts(path: Path) -> None:
    rows = [f"{text.format(noun, n)},{label}\n" for n in range(12) for noun in NOUNS for label, text in KINDS.items()]
    path.write_text("text,label\n" + "".join(rows), encoding="utf-8")


def _run(study: Path, groups: list[str]) -> None:
    from kd_lab.__main__ import command

    for group in groups:
        model, ends = STEPS[group]
        first = None if group == "tfidf" else "trim_vocabulary"
        axis = ",".join(f"[{','.join(filter(None, [first, end]))}]" for end in ends)
        if command(["-m", *SMALL, *model, f"compression={axis}"]):
            raise SystemExit("a cell failed")
    print(sorted(path.name for path in study.iterdir()))


def _keep(study: Path, target: Path) -> None:
    """Copies results, models and one MLflow model, and what each model says of `TEXTS`."""
    from kd_lab.serving.text_classifier import TextClassifier

    answers = {}
    for result in sorted(study.glob("*/result.json")):
        told = json.loads(result.read_text(encoding="utf-8"))
        name = "-".join([told["config"]["model"]["name"].partition("_")[0], *list(told["config"]["compression"])[1:]])
        shutil.copytree(result.parent / "model", target / NAME / name / "model")
        shutil.copyfile(result, target / NAME / name / "result.json")
        answers[name] = TextClassifier(result.parent / "model").logits(TEXTS).tolist()
    (target / "answers.json").write_text(json.dumps({"texts": TEXTS, "logits": answers}, indent=1), encoding="utf-8")
    models = sorted(Path("multirun").rglob("MLmodel"))
    shutil.copytree(models[0].parent, target / "mlflow_model")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
