"""Finds studies and their results under multirun/."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kd_lab.core import results
from kd_lab.core.errors import UserError
from kd_lab.core.results import RunResult

_DEPTHS = ("*/*", "*/*/*")  # study/cell and paper/study/cell
_COPIES = "mlartifacts"  # MLflow's


def studies(multirun: Path) -> list[str]:
    """Names of the studies that hold results: their folders under multirun/, such as "demo" or "seeds/clinc"."""
    found = [path.relative_to(multirun) for depth in _DEPTHS for path in multirun.glob(f"{depth}/{results.FILE}")]
    return sorted({path.parent.parent.as_posix() for path in found if path.parts[0] != _COPIES})


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
