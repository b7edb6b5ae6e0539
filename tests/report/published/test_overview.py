"""The pictures over all studies: what they show is what is committed, and what was not judged is not shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kd_lab.core import tables
from kd_lab.core.errors import UserError
from kd_lab.core.paths import root
from kd_lab.report.published import check_table, overview
from kd_lab.report.published.expected import FILE

LINES = """
small distilled|accuracy|0.8600 ± 0.0200|3|0.8200 to 0.9000|0.8000|+0.06|0.02|better|-
small distilled|parameters|1,000|1|-|1,000|+0|0|reproduced|-
small distilled|time|3.00|1|-|2.00|+1.00|0.5|not run here: busy|-
small distilled|other|3.00|1|-|2.00|+1.00|-|not run here: no|-
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A study's table with two figures that were judged."""
    study = tmp_path / "paper" / "toy"
    study.mkdir(parents=True)
    (study / FILE).touch()
    lines = [line.split("|") for line in LINES.strip().splitlines()]
    table = tables.to_markdown(check_table.COLUMNS, lines, words=range(2))
    (study / overview.TABLE).write_text(f"# A title\n\nStatus.\n\n{table}\nafter\n", encoding="utf-8")
    return tmp_path


def test_ours_is_shown_in_tolerances_and_only_where_it_was_judged(folder: Path) -> None:
    first, second = overview.published(folder)
    assert first.name == "paper/toy: accuracy"
    assert (first.value, first.low, first.high) == pytest.approx((3, 1, 5))
    assert (second.value, second.low, second.high) == (0, None, None)


def test_gains_are_shown_in_points_and_drawn_beside_the_figures(folder: Path) -> None:
    file = folder / "paper" / "toy" / overview.GAINS
    assert [path.name for path in overview.draw(folder)] == ["published.png"]
    file.write_text("data_set,student,gain,low,high,runs\nd,small,0.05,-0.01,0.11,3\n", encoding="utf-8")
    (one,) = overview.gains(folder)
    assert one.name == "paper/toy: small"
    assert (one.value, one.low, one.high) == pytest.approx((5, -1, 11))
    assert [path.name for path in overview.draw(folder)] == ["gain.png", "published.png"]
    assert sorted(path.name for path in folder.glob("*.*")) == ["gain.png", "published.png"]
    lines = "".join(f"{name},small,0.05,-0.01,0.11,3\n" for name in ("d", "e"))
    file.write_text(f"data_set,student,gain,low,high,runs\n{lines}", encoding="utf-8")
    assert [one.name for one in overview.gains(folder)] == ["paper/toy: d, small", "paper/toy: e, small"]
    file.write_text("data_set,student,gain\nd,small,much\n", encoding="utf-8")
    with pytest.raises(UserError, match="gains of distillation"):
        overview.gains(folder)


def test_the_committed_tables_are_read_and_the_gains_are_those_that_readme_tells() -> None:
    there = root() / "experiments"
    names = {one.name.partition(":")[0] for one in overview.published(there)}
    ran = [path.parent for path in there.rglob(FILE) if (path.parent / "table.md").is_file()]
    assert names == {folder.relative_to(there).as_posix() for folder in ran}
    readme = " ".join((root() / "README.md").read_text(encoding="utf-8").split())
    told = {"demo: lstm_attention", "demo: distilbert_mini", "few_labels/imdb: lstm_attention"}
    told |= {"students/sst2: lstm_attention", "students/ten_labels_sentences: lstm_attention", "students/bbc: static"}
    shown = [one for one in overview.gains(there) if one.name in told]
    assert len(shown) == len(told)
    for one in shown:
        assert f"**{one.value:.1f} [{one.low:.1f}, {one.high:.1f}]**" in readme


def test_the_page_of_students_tells_gains_that_are_in_readme_or_in_a_study() -> None:
    readme = (root() / "README.md").read_text(encoding="utf-8")
    page = (root() / "experiments" / "students" / "README.md").read_text(encoding="utf-8")
    shown = {f"{one.value:.1f} [{one.low:.1f}, {one.high:.1f}]" for one in overview.gains(root() / "experiments")}
    told = re.findall(r"-?\d+\.\d \[[^]]*\]", page)
    assert len(told) >= 9
    assert [one for one in told if one not in shown and one not in readme] == []
