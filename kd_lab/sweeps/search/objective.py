"""What a search is for: a figure of `result.json` and its direction."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import reduce
from typing import Any

from kd_lab.core.errors import UserError
from kd_lab.core.nested import numbers
from kd_lab.core.results import RunResult

DIRECTIONS = ("maximize", "minimize")
VALIDATION = "metrics.validation."
ALLOWED = (VALIDATION, "cost.", "durations_s.")
ON_TEST = ("metrics.test", "fidelity", "teacher.")
WHERE = "hydra.sweeper.objectives"
EXAMPLE = f"Write e.g. {WHERE}=[{{metrics.validation.accuracy:maximize}},{{cost.size_mib:minimize}}]."


@dataclass(frozen=True)
class Objective:
    """A figure and whether more of it is better."""

    path: str  # such as metrics.validation.accuracy
    direction: str  # one of DIRECTIONS

    @property
    def monitor(self) -> str | None:
        """The metric's name where it can be watched during the fit, such as `accuracy`."""
        return self.path.removeprefix(VALIDATION) if self.path.startswith(VALIDATION) else None

    def of(self, result: RunResult) -> float:
        """The figure of a finished cell; NaN where it could not be measured.

        Raises:
            UserError: results have no such figure.
        """
        try:
            value: Any = reduce(lambda node, key: node[key], self.path.split("."), asdict(result))
        except (KeyError, TypeError):
            value = {}
        if isinstance(value, Mapping | str | bool | list):
            known = ", ".join(sorted(path for path, _ in numbers(asdict(result)) if path.startswith(ALLOWED)))
            raise UserError(WHERE, expected=f"a figure of result.json ({known})", got=self.path, cure=EXAMPLE)
        return math.nan if value is None else float(value)


def objectives(given: Any) -> tuple[Objective, ...]:
    """The objectives as the config writes them: a list of `{path: direction}`.

    Raises:
        UserError: they are written otherwise, or look at the test rows.
    """
    if not isinstance(given, Sequence) or isinstance(given, str) or not given:
        raise UserError(WHERE, expected="a list of {path: direction}", got=repr(given), cure=EXAMPLE)
    return tuple(_objective(entry) for entry in given)


def _objective(entry: Any) -> Objective:
    if not isinstance(entry, Mapping) or len(entry) != 1:
        raise UserError(WHERE, expected="entries {path: direction}", got=repr(entry), cure=EXAMPLE)
    [(path, direction)] = entry.items()
    if direction not in DIRECTIONS:
        raise UserError(WHERE, expected="maximize or minimize", got=f"{path}: {direction}", cure=EXAMPLE)
    if str(path).startswith(ON_TEST):
        raise UserError(
            WHERE,
            expected="a figure that is not measured on the test rows, for what is searched on them says nothing more",
            got=str(path),
            cure=f"Search on validation: {VALIDATION}accuracy.",
        )
    if not str(path).startswith(ALLOWED):
        raise UserError(WHERE, expected=f"a path that begins with {', '.join(ALLOWED)}", got=str(path), cure=EXAMPLE)
    return Objective(str(path), direction)
