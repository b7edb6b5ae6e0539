"""Finds the torch model that an exported or quantized classifier was made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kd_lab.core.errors import UserError
from kd_lab.core.results import RunResult
from kd_lab.models.saved_model import CARD
from kd_lab.pipeline.cell import Cell
from kd_lab.pipeline.run_folder import MODEL
from kd_lab.report.release.reopened import ReopenedCells
from kd_lab.training.fit import Fitted

EXPORTS = ("onnx", "openvino", "torch_int8", "torch_bf16", "sparse")  # how steps begin that change a model's form alone


@dataclass(frozen=True)
class Origin:
    """Where a classifier comes from.

    Args:
        exports: the steps at the end of its making that store or compute the same weights in another way.
        exact: whether these steps claim to compute the same in float32.
        model: the saved torch classifier before them; None where it is not to be had.
        missing: why not.
    """

    exports: tuple[str, ...]
    exact: bool
    model: Path | None
    missing: str = ""


def origin(cell: RunResult, cells: Sequence[RunResult], study: Path, reopened: ReopenedCells) -> Origin | None:
    """The torch model before the export steps of a cell; None where it has none.

    It is another cell of the study where one is that model, else the cache's, else it is made now: by steps that
    train nothing, out of the fit in the cache.

    Args:
        cells: all of the study.
        study: its folder.
        reopened: cells of the study.
    """
    steps: dict[str, Any] = dict(cell.config["compression"])
    first = next((place for place, name in enumerate(steps) if name.startswith(EXPORTS)), len(steps))
    exports, kept = list(steps)[first:], dict(list(steps.items())[:first])
    if not exports:
        return None
    exact = all(_exact(name, steps[name]) for name in exports)
    for other in cells:
        alike = other.fingerprint.get("fit") == cell.fingerprint.get("fit")
        alike = alike and list(other.config["compression"].items()) == list(kept.items())
        model = study / other.cell / MODEL
        if alike and other.status == "finished" and (model / CARD).is_file():  # a user may have removed it for its size
            return Origin(tuple(exports), exact, model)
    try:
        return Origin(tuple(exports), exact, _made(cell, kept, reopened))
    except UserError as error:
        return Origin(tuple(exports), exact, None, str(error))


def _exact(name: str, options: Mapping[str, Any]) -> bool:
    return name in ("onnx", "sparse") or (name == "openvino" and options.get("precision") == "f32")


def _made(cell: RunResult, kept: Mapping[str, Any], reopened: ReopenedCells) -> Path:
    before = Cell.of({**cell.config, "compression": dict(kept)})
    fitted = before.cache.find("fit", cell.fingerprint["fit"])
    found = fitted
    if kept:
        found = before.cache.find("compressed", before.fingerprints["compressed"])
        trains = [name for name, step in before.steps.items() if getattr(step, "epochs", 0)]
        if not found and fitted and not trains:
            found = before.compressed(Fitted(fitted), before.taught_tokens(reopened.tokens(before)), None).parent
    if not found:
        raise UserError(
            f"the torch model before {cell.cell}",
            expected="a cell of the study or an entry of the cache",
            got="neither",
            cure=f"Run it too: compression=[{','.join(kept)}].",
        )
    return found / MODEL
