"""Keeps a study's rows beside its table, so that the table can be made anew by anybody, without training anything.

`rows.json` holds of each cell its `result.json` without the history of the fit and, of its test rows, the gold and the
said class, without a text; hashes of the texts where two of a study's splits have some in common. `restore` makes a
study of it again, which every report reads like one that has just run.
"""

from __future__ import annotations

import base64
import json
import os
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kd_lab.core import result_shape, results
from kd_lab.core.errors import UserError, disk_errors
from kd_lab.core.reading import read_json, reading
from kd_lab.core.results import CELL_S, RunResult
from kd_lab.evaluation import predictions
from kd_lab.report.study.answers import LARGEST, read_predictions

FILE = "rows.json"
SCHEMA = 1
_LEFT_OUT = ("history", "schema")
_LONG = ":"  # no sign of base 85
_EXPECTED, _CURE = "a study's rows", "Take the committed file, or write it anew: kd-lab report NAME --keep."


def keep(study: Path, cells: Sequence[RunResult], path: Path) -> None:
    """Writes the rows of a study, a line a cell.

    Args:
        study: the cells' folder.
        cells: all of them.
        path: of the file.

    Raises:
        UserError: a cell's answers are damaged, there is no room to write, or the file has cells that would be lost.
    """
    _refuse_to_lose(path, cells)
    lines: list[dict[str, Any]] = []
    gold: dict[str, str] = {}  # name of test rows -> their labels; cells of a data set share them
    texts: dict[str, NDArray[np.uint64]] = {}  # name of test rows -> hashes of their texts
    for cell in cells:
        line = {key: value for key, value in asdict(cell.public()).items() if key not in _LEFT_OUT}
        said = read_predictions(study, cell)
        if said is not None and predictions.TEST in cell.fingerprint:
            gold[cell.fingerprint[predictions.TEST]] = _packed(said.labels)
            if said.texts is not None:
                texts[cell.fingerprint[predictions.TEST]] = said.texts
            line["answers"] = _packed(said.predictions)
        lines.append(line)
    said_of_all = {"schema": SCHEMA, "name": cells[0].name, "date": newest_day(study, cells), "gold": gold}
    if partly := {name: _packed(found.view("<i8")) for name, found in texts.items() if _overlaps(name, texts)}:
        said_of_all["texts"] = partly
    head = json.dumps(said_of_all)
    body = ",\n".join(json.dumps(line, allow_nan=False) for line in lines)
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        results.write_atomically(path, f'{head[:-1]}, "cells": [\n{body}\n]}}\n')


def restore(path: Path, multirun: Path) -> str:
    """Makes a study of kept rows under a folder like multirun/; a cell that has finished there stays as it is.

    Returns:
        the study's name.

    Raises:
        UserError: there is no such file, or it is damaged.
    """
    stored = _read(path)
    with reading(path, expected=_EXPECTED, cure=_CURE):
        gold = {name: _unpacked(text) for name, text in stored["gold"].items()}
        hashes = {name: _unpacked(text).view(np.uint64) for name, text in stored.get("texts", {}).items()}
        noon = datetime.fromisoformat(f"{stored['date']}T12:00:00+00:00").timestamp()
        study = multirun / stored["name"]
        there = _statuses(results.collect(study))
        for cell, said in _cells(path, stored):
            folder = study / cell.cell
            if multirun.resolve() not in study.resolve().parents or folder.resolve().parent != study.resolve():
                raise ValueError(f"a cell {cell.cell!r} of a study {stored['name']!r}")
            if _as_good(there, cell):
                continue
            os.utime(cell.write(folder), (noon, noon))
            if said is not None:
                rows = cell.fingerprint[predictions.TEST]
                alike = np.full(gold[rows].shape, int(rows, 16), np.uint64)  # where the rows are
                texts = hashes.get(rows, alike)
                np.savez_compressed(
                    folder / predictions.FILE, labels=gold[rows], predictions=_unpacked(said), texts=texts
                )
    return str(stored["name"])


def made(path: Path) -> tuple[str, Sequence[str], float]:
    """Of kept rows (day of the newest, their commits, each once, shortened, hours that they took in all).

    Steps that came from the cache are not counted.

    Raises:
        UserError: as `restore`.
    """
    stored = _read(path)
    cells = [cell for cell, _ in _cells(path, stored)]
    return str(stored["date"]), commits(cells), sum(cell.durations_s.get(CELL_S, 0.0) for cell in cells) / 3600


def newest_day(study: Path, cells: Sequence[RunResult]) -> str:
    """The day of the newest result in a study's folder, UTC."""
    newest = max((study / cell.cell / results.FILE).stat().st_mtime for cell in cells)
    return datetime.fromtimestamp(newest, UTC).date().isoformat()


def commits(cells: Sequence[RunResult]) -> Sequence[str]:
    """The commits that results were made at, each once, `shortened`."""
    return list(dict.fromkeys(shortened(cell.git_commit or "unknown") for cell in cells))


def shortened(commit: str) -> str:
    """A commit in seven letters, and "-dirty" where it was changed."""
    return commit[:7] + "-dirty" * commit.endswith("-dirty")


def _refuse_to_lose(path: Path, cells: Sequence[RunResult]) -> None:
    """A study may have run in part, or elsewhere; what was kept of the rest is the work of hours."""
    there, known = _statuses(cells), _cells(path, _read(path)) if path.exists() else []
    missing = [cell.cell for cell, _ in known if not _as_good(there, cell)]
    if missing:
        raise UserError(
            str(path),
            expected="rows of cells that have finished under multirun/ too",
            got=f"{len(missing)} that have not, such as {missing[0]}",
            cure=f"kd-lab report {cells[0].name} --restore puts them there; or remove the file, to keep yours alone.",
        )


def _statuses(cells: Sequence[RunResult]) -> Mapping[str, str]:
    return {cell.cell: cell.status for cell in cells}


def _as_good(there: Mapping[str, str], kept: RunResult) -> bool:
    """Whether a kept cell is there as it was kept, or finished."""
    return there.get(kept.cell) in (kept.status, "finished")


def _read(path: Path) -> dict[str, Any]:
    stored = read_json(path, expected=_EXPECTED, cure=_CURE)
    if stored.get("schema") != SCHEMA:
        raise UserError(str(path), expected=f"rows of schema {SCHEMA}", got=repr(stored.get("schema")), cure=_CURE)
    return stored


def _cells(path: Path, stored: dict[str, Any]) -> Sequence[tuple[RunResult, str | None]]:
    known = {entry.name for entry in fields(RunResult)}
    found = []
    with reading(path, expected=_EXPECTED, cure=_CURE):
        for line in stored["cells"]:
            cell = RunResult(**{key: value for key, value in line.items() if key in known})
            result_shape.check(vars(cell))
            found.append((cell, line.get("answers")))
    return found


def _overlaps(name: str, texts: Mapping[str, NDArray[np.uint64]]) -> bool:
    """Whether some of a split's test rows are another's too: then their texts are paired, see `paired_tests`."""
    return any(np.isin(texts[name], other).any() for place, other in texts.items() if place != name)


def _packed(numbers: NDArray[np.int64]) -> str:
    """Numbers as text: the least bytes that hold them, packed; of those beyond 32 bits with `_LONG` before it."""
    long = bool((numbers != numbers.astype(np.int32)).any())
    packed = base64.b85encode(zlib.compress(numbers.astype("<i8" if long else "<i4").tobytes(), 9)).decode()
    return _LONG * long + packed


def _unpacked(text: str) -> NDArray[np.int64]:
    unpacker = zlib.decompressobj()
    content = unpacker.decompress(base64.b85decode(text.removeprefix(_LONG)), LARGEST)
    if unpacker.unconsumed_tail:
        raise ValueError(f"more than {LARGEST} bytes of answers")
    return np.frombuffer(content, "<i8" if text.startswith(_LONG) else "<i4").astype(np.int64)
