"""What a saved classifier costs: its size, and times that are measured once for all cells that compute the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kd_lab.core.cache import Cache
from kd_lab.evaluation.latency import size_mib
from kd_lab.models.saved_model import Classifier

Costs = tuple[dict[str, Any], dict[str, Any]]  # of the classifier, and of its reference or empty


def sizes(model: Classifier, folder: Path) -> dict[str, Any]:
    """`parameters`, `parameters_nonzero` and `size_mib` of the model, which is saved in `folder`."""
    parameters, nonzero = model.count_parameters()
    return {"parameters": parameters, "parameters_nonzero": nonzero, "size_mib": size_mib(folder)}


def measured_once(measure: Callable[[], Costs], cache: Cache, parts: Mapping[str, Any], sweep: str | None) -> Costs:
    """As `measure` says now, or said before undisturbed, or in the same sweep.

    A sweep over temperatures would measure the same thing again and again, and call the noise a difference. Times that
    others disturbed are kept for no later cell, but for those of the same sweep, which measures them anew at its end.

    Args:
        parts: all that a time depends on.
        sweep: names the sweep that the cell is a part of; None for a cell by itself.
    """
    if not cache.has("timing", parts) and not cache.may_write("timing"):
        return measure()  # times are no reason to refuse a cache that may only be read
    if sweep is not None and not cache.has("timing", parts):
        shared = {**parts, "sweep": sweep}
        return _read(
            cache.build("timing", shared, lambda draft: _write(draft, measured_once(measure, cache, parts, None)))
        )

    def make(draft: Path) -> None:
        found = measure()
        if found[0]["contended"]:
            raise _ContendedError(found)
        _write(draft, found)

    try:
        return _read(cache.build("timing", parts, make))
    except _ContendedError as disturbed:
        return disturbed.costs


class _ContendedError(Exception):
    """Ends the making of an artifact that is not to be kept."""

    def __init__(self, costs: Costs) -> None:
        super().__init__("others were busy meanwhile")
        self.costs = costs


def _write(draft: Path, costs: Costs) -> None:
    (draft / "costs.json").write_text(json.dumps(costs), encoding="utf-8")


def _read(entry: Path) -> Costs:
    own, theirs = json.loads((entry / "costs.json").read_text(encoding="utf-8"))
    return own, theirs
