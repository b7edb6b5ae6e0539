"""Writes the tables of README.md: what each setting came to on validation of the three data sets searched.

python -m experiments.recommended.table
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from statistics import fmean

from experiments.speed import table as speed
from kd_lab.core.paths import root
from kd_lab.core.tables import to_markdown

HERE = root() / "experiments" / "recommended"
SEARCHED = ("sst2", "clinc", "docstrings")
SEARCHES = {"search": "distilled", "labels": "labels alone"}  # the folder -> what its students learn from
Setting = tuple[tuple[str, str], ...]  # (axis, value) by axis


def main() -> None:
    """Puts each search's table between its two marks in README.md."""
    path = HERE / "README.md"
    text = path.read_text(encoding="utf-8")
    for search, said in SEARCHES.items():
        begins = f"<!-- {said}: made by `python -m experiments.recommended.table` -->"
        text = speed.placed(text, render(search), begins, f"<!-- end of {said} -->")
    speed.put(path, text)


def render(search: str) -> str:
    """A row a setting, the best mean first; those last that were given up on a data set, as they fell behind others."""
    found = {data_set: _accuracies(search, data_set) for data_set in SEARCHED}
    settings = sorted({setting for one in found.values() for setting in one}, key=lambda one: -_mean(one, found))
    axes = [axis.rpartition(".")[2] for axis, _ in settings[0]]
    rows = [
        (*(value for _, value in setting), *(_shown(one.get(setting)) for one in found.values()), mean)
        for setting in settings
        for mean in [_shown(_mean(setting, found) or None)]
    ]
    return to_markdown((*axes, *SEARCHED, "mean"), rows, words=range(len(axes)))


def _accuracies(search: str, data_set: str) -> Mapping[Setting, float]:
    """Setting -> accuracy on validation, of trials that were not given up."""
    told = json.loads((HERE / search / data_set / "optuna.json").read_text(encoding="utf-8"))
    return {_setting(one["params"]): one["values"][0] for one in told["trials"] if one["state"] == "finished"}


def _setting(params: Mapping[str, object]) -> Setting:
    return tuple((axis, f"{value:.4f}" if isinstance(value, float) else str(value)) for axis, value in params.items())


def _mean(setting: Setting, found: Mapping[str, Mapping[Setting, float]]) -> float:
    values: Sequence[float] = [one[setting] for one in found.values() if setting in one]
    return fmean(values) if len(values) == len(found) else 0.0


def _shown(accuracy: float | None) -> str:
    return "-" if accuracy is None else f"{accuracy:.1%}"


if __name__ == "__main__":
    main()
