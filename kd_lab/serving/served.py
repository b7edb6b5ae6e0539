"""The line by which MLflow serves the model of a run over HTTP, and one that asks it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from kd_lab.core.errors import UserError
from kd_lab.models import saved_model

SERVED = "served"  # entry of classifier.json
_PORT = 5131


class Served(NamedTuple):
    """A run whose model MLflow keeps."""

    store: str  # what MLFLOW_TRACKING_URI names, without credentials
    run: str  # its id

    def line(self) -> str:
        """What starts the server, whole, in the environment that has kd_lab."""
        store = f"MLFLOW_TRACKING_URI={shlex.quote(self.store)}"
        return f"{store} mlflow models serve -m runs:/{self.run}/model --env-manager local -p {_PORT}"


def ask(pairs: bool) -> str:
    """What asks the server, from another terminal; for a model of pairs two texts are one row."""
    row = '{"text": "a text", "text_pair": "another"}' if pairs else '{"text": "a text"}, {"text": "another"}'
    body = f'{{"dataframe_records": [{row}]}}'
    return f"curl -s http://127.0.0.1:{_PORT}/invocations -H 'Content-Type: application/json' -d '{body}'"


def how_served(model: Path) -> list[str]:
    """What is said of serving the model that lies in a folder: nothing where MLflow keeps none, or nobody knows."""
    try:
        card = saved_model.read_card(model)
    except UserError:
        return []
    served = served_in(card)
    return [] if served is None else ["Serve it:", served.line(), "Ask it:", ask(bool(card.get("pairs")))]


def served_in(card: Mapping[str, Any]) -> Served | None:
    """What classifier.json says of it; None where it says nothing."""
    told = card.get(SERVED)
    if isinstance(told, dict) and all(isinstance(told.get(name), str) for name in Served._fields):
        return Served(**{name: told[name] for name in Served._fields})
    return None
