"""Files of a cell that are written after the others: noted behind, and no damage meanwhile."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kd_lab.pipeline.run_folder import FILES
from kd_lab.pipeline.written_files import damaged, note, noted_anew

CARD = "model/README.md"


@pytest.fixture
def cell(tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    for name in ("result.json", "model/model.safetensors", CARD):
        (tmp_path / name).write_text(name, encoding="utf-8")
    note(tmp_path)
    return tmp_path


def test_what_is_written_within_is_noted_behind(cell: Path) -> None:
    before = json.loads((cell / FILES).read_text(encoding="utf-8"))
    with noted_anew(cell, [CARD, "model/not there"]):
        (cell / CARD).write_text("with a line more", encoding="utf-8")
        assert damaged(cell) == []
        (cell / "model" / "model.safetensors").write_text("damaged", encoding="utf-8")
        assert damaged(cell) == ["model/model.safetensors"], "the others stay noted"
    after = json.loads((cell / FILES).read_text(encoding="utf-8"))
    assert list(after) == sorted(before)
    assert {name for name in after if after[name] != before[name]} == {CARD}
    (cell / CARD).write_text("changed", encoding="utf-8")
    assert damaged(cell) == sorted([CARD, "model/model.safetensors"])


def test_an_end_within_leaves_nothing_that_is_taken_for_damage(cell: Path) -> None:
    def killed() -> None:
        with noted_anew(cell, [CARD]):
            (cell / CARD).write_text("half", encoding="utf-8")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        killed()
    assert damaged(cell) == []
    with noted_anew(cell, [CARD]):
        (cell / CARD).write_text("whole", encoding="utf-8")
    assert CARD in json.loads((cell / FILES).read_text(encoding="utf-8"))


@pytest.mark.parametrize("content", [None, "{", "[]"])
def test_where_nothing_is_noted_nothing_will_be(cell: Path, content: str | None) -> None:
    (cell / FILES).unlink()
    if content is not None:
        (cell / FILES).write_text(content, encoding="utf-8")
    with noted_anew(cell, [CARD]):
        (cell / CARD).write_text("new", encoding="utf-8")
    assert ((cell / FILES).read_text(encoding="utf-8") if (cell / FILES).exists() else None) == content
