"""docs/notebook.ipynb runs from its first cell to its last; of its outputs, those are kept that help who reads it.

KD_LAB_WRITE_NOTEBOOK=1 KD_LAB_SLOW=1 pytest tests/test_notebook.py runs it word for word, and writes them anew; else
its fits are shortened.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from kd_lab.core.paths import root

NOTEBOOK = root() / "docs" / "notebook.ipynb"
WRITE = bool(os.environ.get("KD_LAB_WRITE_NOTEBOOK"))
FITS = 'few = ("trainer.max_epochs=10", "teacher.trainer.max_epochs=3", "teacher.trainer.batch_size=8")'
AXES = 'axes = ("loss.temperature=1,8", "seed=0,1")'
UNTIMED = AXES.replace(")", ', "evaluation.timed=false")')  # what `distil` makes is timed
SHORTER = FITS.replace("=10", "=6").replace("=3", "=2").replace(")", ', "evaluation=quick")')


def values(cell: Any) -> list[Any]:
    """What a cell shows for good, its value or what it prints; lines of progress are displayed, and are not kept."""
    kept = [one for one in cell.outputs if one.output_type == "execute_result" or one.get("name") == "stdout"]
    for one in kept:
        if one.output_type == "execute_result":
            one["execution_count"] = None
            one["data"] = dict(sorted(one["data"].items())[:1])  # text/html where it is a table, else text/plain
    return kept


@pytest.mark.slow
@pytest.mark.integration
def test_every_cell_of_the_notebook_runs(tmp_path: Path) -> None:
    notebook = nbformat.read(NOTEBOOK, 4)
    for line in (FITS, AXES):
        assert sum(line in cell.source for cell in notebook.cells) == 1
    for cell in () if WRITE else notebook.cells:
        cell.source = cell.source.replace(FITS, SHORTER).replace(AXES, UNTIMED)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    for cell in notebook.cells:
        assert not [one for one in cell.get("outputs", []) if one.get("name") == "stderr"], "nobody but us speaks"
        cell.metadata.clear()
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = values(cell), None
    shown = [
        one["data"].get("text/html", "") for cell in notebook.cells for one in cell.get("outputs", []) if "data" in one
    ]
    assert sum("distilled + onnx_int8" in html for html in shown) == 1
    assert sum("p against best" in html and "over 2 seeds" in html for html in shown) == 1
    if WRITE:
        notebook.metadata["language_info"] = {"name": "python"}
        nbformat.write(notebook, NOTEBOOK)


def test_the_notebook_keeps_tables_and_answers_alone() -> None:
    code = [cell for cell in nbformat.read(NOTEBOOK, 4).cells if cell.cell_type == "code"]
    assert [len(cell.outputs) for cell in code] == [0, *[1] * (len(code) - 1)], "all but the imports show one thing"
    for one in (one for cell in code for one in cell.outputs):
        assert one.get("name") == "stdout" or list(one["data"]) in (["text/html"], ["text/plain"])
    assert NOTEBOOK.stat().st_size < 20_000
