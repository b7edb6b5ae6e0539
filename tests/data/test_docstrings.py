"""The data set made at run time: the same each time, balanced, and no row gives its answer away."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from row_files import read

from kd_lab.cli.compose import compose
from kd_lab.core.cache import fingerprint
from kd_lab.core.errors import UserError
from kd_lab.core.instantiate import build
from kd_lab.data.dataset import SplitPlan, Texts, checked
from kd_lab.data.docstrings import MASK, Docstrings
from kd_lab.pipeline.run import resolved_config

LIBRARIES = ("numpy", "networkx", "sympy")


@pytest.fixture(scope="module")
def texts() -> Texts:
    return Docstrings(LIBRARIES, rows_per_library=40).load()


def test_the_same_packages_give_the_same_rows(texts: Texts) -> None:
    again = Docstrings(LIBRARIES, rows_per_library=40).load()
    for name, some in texts.splits.items():
        assert again.splits[name].texts == some.texts
        assert again.splits[name].labels.tolist() == some.labels.tolist()


def test_of_few_labels_the_rest_is_text_that_only_a_teacher_judges(texts: Texts) -> None:
    few = Docstrings(LIBRARIES, rows_per_library=40, labelled=30).load().splits
    assert few["train"].texts == texts.splits["train"].texts
    assert np.bincount(few["train"].labels + 1).tolist() == [57, 10, 10, 10]
    for name in ("validation", "test"):
        assert few[name].labels.tolist() == texts.splits[name].labels.tolist()


def test_each_library_gives_the_rows_asked_for_in_each_split(texts: Texts) -> None:
    assert texts.classes == LIBRARIES
    by_class = {name: np.bincount(some.labels).tolist() for name, some in texts.splits.items()}
    assert by_class == {"test": [8] * 3, "validation": [3] * 3, "train": [29] * 3}


def gives_away(texts: Texts) -> list[str]:
    """Texts that name a library, as a word or within one."""
    names = re.compile("|".join([*texts.classes, "scikit.?learn", "pytorch"]), re.IGNORECASE)
    return [text for some in texts.splits.values() for text in some.texts if names.search(text.replace(MASK, ""))]


def shared_keys(texts: Texts) -> set[str]:
    """First eight words, without case, numbers and punctuation, that stand in more than one row."""
    rows = [text for some in texts.splits.values() for text in some.texts]
    counts = Counter(" ".join(re.findall("[a-z]+", text.lower())[:8]) for text in rows)
    return {key for key, count in counts.items() if count > 1}


def test_texts_have_the_words_asked_for() -> None:
    short = Docstrings(LIBRARIES, rows_per_library=20, min_words=5, max_words=7).load()
    lengths = [len(text.split()) for some in short.splits.values() for text in some.texts]
    assert min(lengths) >= 5
    assert max(lengths) == 7


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two libraries of our own, `aaalib` and `bbblib`."""
    monkeypatch.syspath_prepend(tmp_path)
    for library in ("aaalib", "bbblib"):
        own = tmp_path / library
        (own / "tests").mkdir(parents=True)
        same = '"""Return the value that both of the libraries share today."""\n'
        (own / "__init__.py").write_text("raise RuntimeError('nobody may import me')\n")
        (own / "shared.py").write_text(same)
        (own / "broken.py").write_text("def f(:\n")
        (own / "tests" / "test_it.py").write_text('"""Words of a test that should never be taken as text."""\n')
        paragraphs = [
            f"Compute the number {word} of {library} for a graph with AaaLibError or np.bbblib_x {word} here."
            for word in ("one", "two", "three", "four", "five", "six")
        ]
        code = "\n".join(f'def f{row}():\n    """{text}\n\n    More."""\n' for row, text in enumerate(paragraphs))
        (own / "code.py").write_text(code + code.replace("def f", "def g").replace("Compute", "COMPUTE, 12"))
    return tmp_path


def test_texts_that_are_alike_once_masked_belong_to_neither_library(packages: Path) -> None:
    texts = Docstrings(("aaalib", "bbblib")).load()
    assert [some.texts for some in texts.splits.values()] == [[], [], []]
    with pytest.raises(UserError, match="expected rows, got none"):
        checked(texts, "dataset docstrings")


def test_a_masked_text_is_that_worked_out_by_hand(packages: Path) -> None:
    code = packages / "bbblib" / "code.py"
    code.write_text(code.read_text().replace("Compute", "Draw").replace("COMPUTE", "draw"))
    texts = Docstrings(("aaalib", "bbblib"), split=SplitPlan(0.34, 0.34)).load()
    words = ("one", "two", "three", "four", "five", "six")
    tail = f"of {MASK} for a graph with {MASK}Error or {MASK}.{MASK}_x"
    assert read(texts) == sorted(
        (f"{verb} the number {word} {tail} {word} here.", library)
        for verb, library in (("Compute", "aaalib"), ("Draw", "bbblib"))
        for word in words
    )


def test_a_library_that_is_not_installed_is_refused_by_name() -> None:
    with pytest.raises(UserError, match=r"got no_such_library, which is not\. pip install no_such_library"):
        fingerprint(Docstrings(("numpy", "no_such_library")))


def test_its_name_holds_the_versions_and_the_options(monkeypatch: pytest.MonkeyPatch) -> None:
    base = Docstrings(LIBRARIES)
    others = [
        Docstrings(LIBRARIES[:2]),
        Docstrings(LIBRARIES, rows_per_library=41),
        Docstrings(LIBRARIES, max_words=31),
        Docstrings(LIBRARIES, split=SplitPlan(seed=1)),
    ]
    assert len({fingerprint(source) for source in [base, *others]}) == 5
    before = fingerprint(base)
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0.0.1")
    assert fingerprint(base) != before


def test_the_default_data_set_is_large_enough_and_gives_nothing_away() -> None:
    texts = build(resolved_config(compose().dataset), "dataset").load()
    assert len(texts.classes) >= 8
    assert sum(len(some.texts) for some in texts.splits.values()) >= 6_000
    assert not gives_away(texts)
    assert any(MASK in text for some in texts.splits.values() for text in some.texts)
    assert not shared_keys(texts)
