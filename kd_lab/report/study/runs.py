"""Which run of its setting a cell is: the seeds in its config, of the fit, the teacher and the data's split alike."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from kd_lab.core.nested import at
from kd_lab.core.option_roles import is_seed
from kd_lab.core.results import RunResult
from kd_lab.pipeline.summary_table import flat_options

Run = tuple[tuple[str, int], ...]  # (dotted option, value) of every seed, by option
_ELSEWHERE = {"paths", "tracking", "search", "hydra"}  # parts of a config whose seeds fit no model
_DATA = "dataset"
_MADE = "dataset.augmentation."  # options of rows that are made out of others: train's alone
Held = TypeVar("Held")


def run(cell: RunResult) -> Run:
    """The seeds of a cell; that of rows made out of others where it learned from some."""
    makes = at(cell.config, f"{_MADE}factor") and cell.config.get("teacher") is not None
    found = {
        key: value if isinstance(value, int) else 0
        for key, value in flat_options(cell.config)
        if is_seed(key) and key.partition(".")[0] not in _ELSEWHERE and (makes or not key.startswith(_MADE))
    }
    return tuple(sorted({"seed": 0, **found}.items()))


def split(run: Run) -> Run:
    """Those of a run's seeds that choose the rows of its splits."""
    return tuple((key, value) for key, value in run if key.partition(".")[0] == _DATA and not key.startswith(_MADE))


def by_shared_seeds(settings: Sequence[Mapping[Run, Held]]) -> list[dict[Run, Held]]:
    """Each setting's runs by the seeds that all have: a baseline has no teacher's seed, and is one run beside any.

    Of several runs that are alike in these, the first counts: the others are no further repetitions.
    """
    shared = set.intersection(*({key for run in setting for key, _ in run} for setting in settings))
    found: list[dict[Run, Held]] = [{} for _ in settings]
    for setting, reduced in zip(settings, found, strict=True):
        for run, held in setting.items():
            reduced.setdefault(tuple(pair for pair in run if pair[0] in shared), held)
    return found


def runs_in_words(runs: Iterable[Run]) -> str:
    """Such as "one seed", "3 seeds", "3 split seeds" or "6 runs (2 seeds, 3 split seeds)"."""
    known = list(runs)
    values: dict[str, set[int]] = {}
    for key, value in (pair for run in known for pair in run):
        values.setdefault(key, set()).add(value)
    varied = {key: len(found) for key, found in values.items() if len(found) > 1}
    if len(known) == 1:
        return "one seed"
    if len(varied) < 2:
        return f"{len(known)} {_plural(next(iter(varied), 'seed'))}"
    return f"{len(known)} runs ({', '.join(f'{count} {_plural(key)}' for key, count in varied.items())})"


def _plural(key: str) -> str:
    """ "split seeds" of "dataset.split.seed", "word2vec seeds" of "model.word2vec_seed"."""
    whose = re.split(r"[._]", key)[-2:-1]
    return " ".join([*whose, "seeds"])
