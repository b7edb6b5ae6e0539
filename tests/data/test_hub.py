"""Parquet in a local folder first, the hub after it; class names are kept, rows without a label are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kd_lab.cli.compose import compose
from kd_lab.core.cache import fingerprint
from kd_lab.core.errors import UserError
from kd_lab.core.instantiate import build
from kd_lab.data.dataset import UNLABELLED, SplitPlan, checked
from kd_lab.data.hub import Hub
from kd_lab.pipeline.run import resolved_config

NAMES = ["neg", "pos", "none of both"]


def rows(number: int) -> datasets.Dataset:
    kind = datasets.Value("string")
    features = datasets.Features(text=kind, second=kind, label=datasets.ClassLabel(names=NAMES))
    content = [{"text": f"text {row}", "second": f"second {row}", "label": row % 2} for row in range(number)]
    return datasets.Dataset.from_list(content, features=features)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for split, number in (("train", 40), ("test", 10)):
        rows(number).to_parquet(tmp_path / f"{split}-00000-of-00001.parquet")
    return tmp_path


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was asked of the hub, which is away."""
    calls: list[Any] = []

    def away(*arguments: Any, **options: Any) -> None:
        calls.append((arguments, options))
        raise ConnectionError("Couldn't reach the hub\nat all")

    monkeypatch.setattr(datasets, "load_dataset", away)
    return calls


def write(folder: Path, **columns: Any) -> Hub:
    for split in ("train", "test"):
        pq.write_table(pa.table(columns), folder / f"{split}-0.parquet")
    return Hub(path=str(folder))


def test_a_local_folder_is_read_without_asking_the_hub(folder: Path, asked: list[Any]) -> None:
    texts = Hub(path=str(folder), hub_id="some/data").load()
    assert not asked
    assert texts.classes == tuple(NAMES)
    assert {name: len(some.texts) for name, some in texts.splits.items()} == {"train": 36, "validation": 4, "test": 10}
    assert texts.splits["test"].texts == [f"text {row}" for row in range(10)]
    assert texts.splits["test"].labels.tolist() == [0, 1] * 5
    assert texts.splits["test"].pairs is None


def test_pairs_are_read_with_their_rows(folder: Path) -> None:
    for some in Hub(path=str(folder), pair_column="second").load().splits.values():
        assert some.pairs == [text.replace("text", "second") for text in some.texts]


def test_files_of_a_split_follow_each_other_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    glob = Path.glob  # which gives the order of the disk
    monkeypatch.setattr(Path, "glob", lambda folder, pattern: sorted(glob(folder, pattern), reverse=True))
    for part in (1, 0):
        content = {"text": [f"text {part}{row}" for row in range(4)], "label": [0, 1, 0, 1]}
        pq.write_table(pa.table(content), tmp_path / f"test-0000{part}-of-00002.parquet")
        pq.write_table(pa.table(content), tmp_path / f"train-0000{part}-of-00002.parquet")
    texts = Hub(path=str(tmp_path)).load()
    assert texts.splits["test"].texts == [f"text {part}{row}" for part in (0, 1) for row in range(4)]


def test_when_it_is_nowhere_both_places_are_named(tmp_path: Path, asked: list[Any]) -> None:
    with pytest.raises(UserError) as caught:
        Hub(path=str(tmp_path / "clinc"), hub_id="clinc_oos", config="plus", name="clinc").load()
    said = str(caught.value)
    for words in ("dataset clinc", str(tmp_path / "clinc"), "train-*.parquet", "hub id clinc_oos", "ConnectionError"):
        assert words in said
    assert "\n" not in said
    assert asked == [(("clinc_oos", "plus"), {"revision": "main"})]
    with pytest.raises(UserError, match="no hub id"):
        Hub(path=str(tmp_path)).load()


def test_a_download_keeps_the_names_of_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = datasets.DatasetDict({"train": rows(40), "validation": rows(10)})
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: whole)
    texts = Hub(hub_id="some/data", splits={"train": "train", "test": "validation"}).load()
    assert texts.classes == tuple(NAMES)
    assert texts.splits["test"].labels.tolist() == [0, 1] * 5


def test_labels_without_names_are_named_by_their_sorted_values(tmp_path: Path) -> None:
    texts = write(tmp_path, text=["a", "b", "c", "d"] * 5, label=[10, 9, 10, 9] * 5).load()
    assert texts.classes == ("9", "10")
    assert texts.splits["test"].labels.tolist() == [1, 0] * 10


def test_rows_without_a_label_keep_minus_one(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a", "b"] * 10, "label": [3, 5] * 9 + [-1, -1]}), tmp_path / "train-0.parquet")
    pq.write_table(pa.table({"text": ["a"], "label": [5]}), tmp_path / "test-0.parquet")
    pq.write_table(pa.table({"text": ["a"], "label": [5]}), tmp_path / "dev-0.parquet")
    texts = Hub(path=str(tmp_path), splits={"train": "train", "validation": "dev", "test": "test"}).load()
    assert texts.classes == ("3", "5")
    assert texts.splits["train"].labels.tolist() == [0, 1] * 9 + [UNLABELLED] * 2
    assert any(note.startswith("the label -1 of 2 rows was taken for none") for note in texts.notes)


def test_a_file_of_a_folder_that_needs_an_option_names_the_data_set_that_has_it(tmp_path: Path) -> None:
    for name in ("train", "test"):
        (tmp_path / f"{name}.csv").write_bytes("text,label\ncafé,a\nthé,b\n".encode("cp1252") * 2)
    with pytest.raises(UserError, match=r"dataset.encoding=cp1252. dataset=csv dataset.path=.*train.csv takes each"):
        Hub(path=str(tmp_path)).load()


@pytest.mark.parametrize(
    ("columns", "options", "words"),
    [
        (
            {"text": ["a", "b"], "label": pa.array([0, None], pa.int64())},
            {},
            "a label on every row, got 1 rows without",
        ),
        ({"text": ["a", "b"], "label": [0.0, float("nan")]}, {}, "a label on every row, got 1 rows without"),
        ({"text": ["a", "b"], "label": pa.array([float("nan"), None])}, {}, "a label on every row, got 2 rows without"),
        ({"text": [1, 2], "label": [0, 1]}, {}, "column 'text': expected texts, got int64.*dataset.text_column"),
        ({"text": ["a", "b"], "n": [1, 2], "label": [0, 1]}, {"pair_column": "n"}, "expected texts, got int64"),
        ({"sentence": ["a"], "label": [0]}, {}, "a column 'text', got 'sentence', 'label'.*dataset.text_column=NAME"),
        ({"text": ["a"], "gold": [0]}, {}, "a column 'label', got 'text', 'gold'.*dataset.label_column=NAME"),
        ({"text": ["a"], "label": [0]}, {"pair_column": "b"}, "a column 'b'.*dataset.pair_column=NAME"),
    ],
)
def test_bad_columns_are_one_clear_line(tmp_path: Path, columns: Any, options: Any, words: str) -> None:
    write(tmp_path, **columns)
    with pytest.raises(UserError, match=words) as caught:
        Hub(path=str(tmp_path), name="mine", **options).load()
    assert str(caught.value).startswith("dataset mine, split train")


def test_a_file_without_rows_is_refused_by_split(tmp_path: Path) -> None:
    texts = write(tmp_path, text=pa.array([], pa.string()), label=pa.array([], pa.int64())).load()
    with pytest.raises(UserError, match="split train: expected rows, got none"):
        checked(texts, "dataset mine")


def test_a_missing_text_is_refused_by_row(tmp_path: Path) -> None:
    texts = write(tmp_path, text=["a", None, "c", "d"] * 4, label=[0, 1, 0, 1] * 4).load()
    with pytest.raises(UserError, match="row 1: expected a text, got an empty text"):
        checked(texts._replace(splits={**texts.splits, "train": texts.splits["test"]}), "dataset mine")


def test_a_file_that_is_cut_short_is_refused_by_name(folder: Path) -> None:
    path = folder / "train-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=f"dataset file {path}: expected Parquet"):
        Hub(path=str(folder)).load()


def test_its_name_is_that_of_its_content(folder: Path, tmp_path: Path) -> None:
    copied = tmp_path / "copy"
    copied.mkdir()
    for path in folder.glob("*.parquet"):
        (copied / path.name).write_bytes(path.read_bytes())
    here = Hub(path=str(folder))
    assert fingerprint(here) == fingerprint(Hub(path=str(copied), hub_id="some/data", name="copy"))
    rows(41).to_parquet(copied / "train-00000-of-00001.parquet")
    assert fingerprint(here) != fingerprint(Hub(path=str(copied)))
    assert fingerprint(here) != fingerprint(Hub(path=str(folder), split=SplitPlan(seed=1)))
    away = [Hub(hub_id="some/data", revision=revision) for revision in ("main", "abc")]
    assert fingerprint(away[0]) != fingerprint(away[1])


# the real data sets, as /work/shared/data/README.md counts them: ours -> rows, and rows of each class where published

CLINC = {"validation": 3100, "test": 5500}
REAL: dict[str, tuple[dict[str, int], int]] = {
    "clinc": ({"train": 15_250, **CLINC}, 151),
    "clinc dataset.config=full": ({"train": 15_100, **CLINC}, 151),
    "clinc dataset.config=small": ({"train": 7_600, **CLINC}, 151),
    "clinc dataset.config=imbalanced": ({"train": 10_625, **CLINC}, 151),
    "imdb": ({"train and validation": 25_000, "test": 25_000}, 2),
    "sst2": ({"train and validation": 67_349, "test": 872}, 2),
    "mrpc": ({"train": 3_668, "validation": 408, "test": 1_725}, 2),
    "cola": ({"train and validation": 8_551, "test": 1_043}, 2),
    "rte": ({"train and validation": 2_490, "test": 277}, 2),
    "ag_news": ({"train and validation": 46_361, "test": 7_600}, 4),
    "bbc": ({"all": 2_225}, 5),
}
PER_CLASS: dict[str, tuple[str, list[int]]] = {
    "imdb": ("test", [12_500, 12_500]),
    "ag_news": ("train and validation", [11_525, 11_471, 11_710, 11_655]),
    "bbc": ("all", [417, 511, 401, 386, 510]),
}


@pytest.mark.shared
@pytest.mark.parametrize("option", REAL)
def test_a_real_data_set_has_the_rows_and_classes_that_are_published(option: str, shared_data: Path) -> None:
    config = compose([f"dataset={option.split(maxsplit=1)[0]}", *option.split()[1:], f"paths.data={shared_data}"])
    texts = build(resolved_config(config.dataset), "dataset").load()
    rows_of, classes = REAL[option]
    assert len(texts.classes) == classes
    parts = {name: some.labels for name, some in texts.splits.items()}
    parts["train and validation"] = np.concatenate([parts["train"], parts["validation"]])
    parts["all"] = np.concatenate([parts["train and validation"], parts["test"]])
    assert {name: len(parts[name]) for name in rows_of} == rows_of
    assert set(parts["train"]) == set(range(classes))
    if option in PER_CLASS:
        part, counts = PER_CLASS[option]
        assert np.bincount(parts[part]).tolist() == counts
    if option == "clinc":
        assert texts.classes[42] == "oos"
        assert np.bincount(parts["test"])[42] == 1000
    assert (texts.splits["test"].pairs is not None) == (option in ("mrpc", "rte"))
