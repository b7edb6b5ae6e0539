"""Finds studies and their results under multirun/."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kd_lab import results
from kd_lab.errors import UserError
from kd_lab.results import RunResult


def studies(multirun: Path) -> list[str]:
    """Names of the studies that hold results."""
    return sorted({path.parent.parent.name for path in multirun.glob(f"*/*/{results.FILE}")})


def study(multirun: Path, name: str) -> Sequence[RunResult]:
    """A study's results, by model and cell.

    Raises:
        UserError: there is no such study.
    """
    found = results.collect(multirun / name)
    if not found:
        there = studies(multirun)
        raise UserError(
            f"study {name!r}",
            expected=f"one of {', '.join(there)}" if there else f"results under {multirun}/",
            got="none of that name",
            cure="Run it first, e.g. kd-lab experiments=demo.",
        )
    return sorted(found, key=lambda result: (str(result.config.get("model", {}).get("name")), result.cell))
