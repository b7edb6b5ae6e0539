"""Refuses a loss beside `method=baseline`: Hydra takes the loss, and the baseline would be distilled like the rest."""

from __future__ import annotations

from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from kd_lab.core.errors import UserError

_OF_LABELS = "cross_entropy"


def check_method(overrides: Sequence[str]) -> None:
    """Refuses such a line.

    Raises:
        UserError: with the axis that gives both rows.
    """
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    chosen = {one.get_key_element().lstrip("+~"): _choices(one) for one in parsed}
    losses = [loss for loss in chosen.get("loss", []) if loss != _OF_LABELS]
    if "baseline" in chosen.get("method", []) and losses:
        cure = f"Leave the method out and sweep the loss: -m loss={','.join([_OF_LABELS, *losses])}."
        got = f"loss={','.join(losses)}, which would stand in its place"
        raise UserError("method=baseline", expected=f"its own loss, {_OF_LABELS}", got=got, cure=cure)


def _choices(one: Override) -> list[str]:
    value = one.value()
    return [str(choice) for choice in getattr(value, "list", [value])]
