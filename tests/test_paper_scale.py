"""The specs of paper scale run: their first distilled cell, with tiny models and a few rows in place of the real ones.

Only sizes and data are overridden. What else a spec says (loss, schedule, splits, columns) stays as it is.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tiny_checkpoints

from kd_lab.__main__ import command
from kd_lab.cli.compose import compose, experiments
from kd_lab.core import results

ENCODER = {"layers": 2, "width": 32, "heads": 2, "feed_forward": 48, "init": "random"}
LSTM = {"hidden": 16, "embedding": 16, "word2vec_epochs": 1}
GLUE = {"sst2": 2, "mrpc": 2, "qqp": 2, "rte": 2, "cola": 2}  # data set of seeds/004 -> classes
WORDS = ("house", "cat", "river", "song", "old", "red", "green", "seven")
SIZES = [
    "tokenizer.max_tokens=16",
    "trainer.max_epochs=1",
    "seed=0",
    "evaluation=none",
    "tracking=none",
]
AXES: Mapping[str, Sequence[str]] = {  # spec -> its cell: the first that is distilled, where one is, and not compressed
    "paper/ag_news": ["loss.alpha=0.5"],
    "paper/bbc": ["loss.alpha=0.55"],
    "paper/clinc": ["loss.alpha=0.5", "compression=[]"],
    "paper/distilbert_ablation": ["start=no_kl"],
    "paper/distilbert_glue": ["dataset=mnli"],
    "paper/distilbert_imdb": ["loss.alpha=0.5"],
    "paper/glue": ["dataset=sst2", "loss.alpha=0.8333"],
    "paper/imdb": ["method=distilled", "compression=[]"],
    "paper/nlp_with_transformers": ["loss.alpha=0.1247", "compression=[]"],
    "paper/tang2019": ["dataset=qqp", "learns=augmented"],
    "paper/textattack": ["dataset=ag_news", "model=distilbert"],
}
LEARNS_AS_LSTM = ("paper/imdb", "paper/tang2019")
CLASSES = {"ag_news": 4, "bbc": 5, "clinc": 151, "imdb": 2, "mnli": 3, **GLUE}


def rows(classes: int) -> list[tuple[str, int]]:
    """Four texts a class at least, told apart by words."""
    pairs = list(itertools.product(WORDS, WORDS, WORDS))[:classes]
    return [
        (f"{' '.join(words)} {n}", label) for n in range(max(4, 60 // classes)) for label, words in enumerate(pairs)
    ]


def in_the_hubs_layout(folder: Path, spec: str, name: str) -> Path:
    """A few rows of a data set with its own columns, splits and number of classes."""
    config = compose([f"experiments={spec}", f"dataset={name}"]).dataset
    found = rows(CLASSES[name])
    texts = [text for text, _ in found]
    labels = [f"class {n}" if n else config.get("out_of_scope") or "class 0" for _, n in found]
    columns = {config.text_column: texts, config.label_column: labels}
    if config.pair_column:
        columns[config.pair_column] = texts[::-1]
    folder.mkdir(parents=True)
    for split in config.splits.values():
        pq.write_table(pa.table(columns), folder / f"{split}-00000-of-00001.parquet")
    return folder


def given(spec: str, folder: Path) -> list[str]:
    """What puts a few rows in the place of a spec's data sets."""
    config = compose([f"experiments={spec}", *AXES[spec]])
    name = str(config.dataset.name)
    if name == "bbc":  # of no hub: a file
        with (folder / "bbc.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("Text", "Label"), *rows(CLASSES[name])])
        return [f"dataset.path={folder / 'bbc.csv'}"]
    others = {str(other): in_the_hubs_layout(folder / "hub" / other, spec, other) for other in config.also_on}
    own = others.get(name) or in_the_hubs_layout(folder / "hub" / name, spec, name)
    return [f"dataset.path={own}", *(f"also_on.{other}.path={path}" for other, path in others.items())]


def test_every_spec_of_paper_scale_is_tried() -> None:
    assert sorted(AXES) == [name for name in experiments() if name.startswith("paper/")]


@pytest.mark.parametrize("spec", sorted(AXES))
def test_the_models_and_data_are_the_published_ones(spec: str) -> None:
    config = compose([f"experiments={spec}", *AXES[spec]])
    teachers = {"paper/tang2019": "bert-large-uncased", "paper/textattack": None, "paper/distilbert_ablation": None}
    assert (config.teacher.model.name if config.teacher else None) == teachers.get(spec, "bert_base")
    assert config.model.name == ("lstm_attention" if spec in LEARNS_AS_LSTM else "distilbert")
    if spec != "paper/bbc":  # of no hub
        judged = [config.dataset, *config.also_on.values()]
        assert all(one.hub_id and one.path is None for one in judged), (
            "the hub's rows, not the part of them that is here"
        )


@pytest.mark.parametrize("spec", sorted(AXES))
def test_a_cell_runs(spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = compose([f"experiments={spec}", *AXES[spec]])
    student = LSTM if spec in LEARNS_AS_LSTM else ENCODER
    small = [f"model.{key}={value}" for key, value in student.items()]
    if spec == "paper/distilbert_ablation":  # what `kd-lab pretrain` would have written
        tiny_checkpoints.write(tmp_path / "multirun" / "bert_no_kl" / "model", "distilbert")
        small = []
    if config.teacher:
        small.append("teacher.trainer.max_epochs=1")
    if spec == "paper/tang2019":
        tiny_checkpoints.write(tmp_path / "large", "bert")
        small.append(f"teacher.path={tmp_path / 'large'}")
    elif config.teacher:
        small += [f"teacher.model.{key}={value}" for key, value in ENCODER.items()]
    assert command([f"experiments={spec}", *AXES[spec], *SIZES, *small, *given(spec, tmp_path)]) == 0
    (cell,) = [path.parent for path in (tmp_path / "multirun" / spec).rglob(results.FILE)]
    result = results.read(cell)
    assert result.status == "finished"
    assert not config.teacher or set(result.teacher["metrics"]) >= {"validation", "test"}
    assert sorted(result.metrics.get("also_on", {})) == (sorted(GLUE) if spec == "paper/glue" else [])
    assert ("out_of_scope" in str(result.metrics["test"])) == (result.config["dataset"]["name"] == "clinc")
