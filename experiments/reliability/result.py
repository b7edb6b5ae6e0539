"""`result.json` of a row of the table: what was tried, how often, what was wrong, when and on what."""

from __future__ import annotations

import argparse
import datetime
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kd_lab.core.machine import describe_machine, git_commit, versions
from kd_lab.core.paths import root

PACKAGE = "experiments.reliability"
FOLDER = Path(__file__).parent
SCHEMA = 1
NAME = "result.json"
_ASKED = (Path(sys.argv[0]).stem, *sys.argv[1:])  # before a command in this process puts its own there
_Raw = argparse.RawDescriptionHelpFormatter


def parser(module: str, text: str | None) -> argparse.ArgumentParser:
    """The command line of a row, with what all of them take."""
    found = argparse.ArgumentParser(f"python -m {PACKAGE}.{module}", description=text, formatter_class=_Raw)
    found.add_argument("--to", type=Path, default=FOLDER, help="where <row>/result.json is written")
    return found


def name_of(share: int, shares: int) -> str:
    """The file of a row's result, or of one share of it."""
    return NAME if shares == 1 else f"share-{share}-of-{shares}.json"


def write(row: str, figures: Mapping[str, Any], wrong: Sequence[Any] = (), to: Path = FOLDER, name: str = NAME) -> Path:
    """Writes `<row>/result.json` and prints its figures.

    Args:
        row: of the table.
        figures: what was counted.
        wrong: each trial that did not end as it must.
        to: the folder of the rows.
        name: of the file, see `name_of`.
    """
    told = {
        "schema": SCHEMA,
        "command": f"python -m {PACKAGE}.{shlex.join(_ASKED)}",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "git_commit": git_commit(root()),
        "versions": versions(),
        "machine": describe_machine(),
        "figures": dict(figures),
        "wrong": list(wrong),
    }
    path = to / row / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(told, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    print(json.dumps(told["figures"], indent=1))
    return path
