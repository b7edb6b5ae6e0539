"""`result.json` of a row of the table: what was tried, how often, what was wrong, when and on what."""

from __future__ import annotations

import argparse
import datetime
import json
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

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
    told = {"figures": dict(figures), "wrong": list(wrong)}
    path = save(to / row / name, f"{PACKAGE}.{shlex.join(_ASKED)}", root(), told)
    print(json.dumps(told["figures"], indent=1))
    return path


def save(path: Path, asked: str, checkout: Path, told: Mapping[str, Any]) -> Path:
    """Writes what is told, and before it how, when, at which commit and on what it was found.

    Args:
        path: its folder is made where it is not there.
        asked: the line that finds it again, after `python -m`.
        checkout: whose code was tried.
    """
    found = {
        "schema": SCHEMA,
        "command": f"python -m {asked}",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "git_commit": git_commit(checkout),
        "versions": versions(),
        "machine": describe_machine(),
        **told,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return path


def finish(
    row: str, figures: Mapping[str, Any], wrong: Sequence[Any], to: Path, began: float, name: str = NAME
) -> NoReturn:
    """Writes the result, with how many were wrong and the seconds since `began`, and ends: 1 where any was wrong."""
    write(row, {**figures, "wrong": len(wrong), "seconds": round(time.time() - began)}, wrong, to, name)
    sys.exit(1 if wrong else 0)
