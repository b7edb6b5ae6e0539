"""Rows in files and in memory, and what was read of them, for the tests of how they are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from kd_lab.data.dataset import Texts


@dataclass(frozen=True)
class Held:
    """A data set of rows that are held, of which a cache may have one."""

    texts: Texts
    name: str = "held"
    loads: list[str] = field(default_factory=list)

    def fingerprint_parts(self) -> dict[str, Any]:
        return {}

    def load(self) -> Texts:
        self.loads.append("loaded")
        return self.texts


def write(path: Path, table: pd.DataFrame | Mapping[str, Sequence[Any]]) -> Path:
    """A table in a file of the kind that its name says; a file of plain text has the texts alone."""
    frame = pd.DataFrame(table)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        frame.to_parquet(path, row_group_size=4)
    elif ".jsonl" in path.suffixes:
        frame.to_json(path, orient="records", lines=True)
    elif path.suffix == ".txt":
        path.write_text("\n".join(frame["text"]))
    else:
        frame.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    return path


def read(texts: Texts) -> list[tuple[str, str]]:
    """(text, class) of the rows of all splits, sorted."""
    return sorted(
        (text, texts.classes[label])
        for split in texts.splits.values()
        for text, label in zip(split.texts, split.labels, strict=True)
    )


def told(texts: Texts) -> dict[str, list[str]]:
    """Text -> its labels, whatever split it is in, where a row may bear several."""
    assert texts.label_sets is not None
    found = {}
    for split in texts.splits.values():
        for text, number in zip(split.texts, split.labels, strict=True):
            found[text] = [name for name, there in zip(texts.classes, texts.label_sets[number], strict=True) if there]
    return found
