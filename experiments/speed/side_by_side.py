"""Students of a sweep side by side on one GPU: examples a second of 1, 2, 4 ... processes together.

Each process fits a student with a temperature and an alpha of its own on the answers of one teacher, as the cells of a
sweep do under `hydra/launcher=joblib`. They wait for each other after two epochs; then the rows of all over the
time from there until the last has done the last step of the last epoch, validation and checkpoints in between included.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from experiments.speed import result
from experiments.speed.command_line import ask, parser
from experiments.speed.prepared import prepare
from experiments.speed.rounds import Figures
from experiments.speed.share import Share
from experiments.speed.student import OVERRIDES, QUICK
from experiments.speed.worker import Turn, workers

LOSSES = [*itertools.product((0.1, 0.5, 0.9, 0.3), (1.0, 2.0, 4.0, 8.0))]  # (alpha, temperature)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, writes `side_by_side/result.json`, prints."""
    made = parser("side_by_side", __doc__, rounds=2, again=0)
    made.add_argument("--processes", default="1,2,4,8", help=f"how many side by side, each at most {len(LOSSES)}")
    made.add_argument("--epochs", type=int, help="that are timed, 1")
    asked = ask(made, arguments)
    counts = [int(count) for count in asked.options.processes.split(",")]
    epochs = asked.number("epochs", 1, 1)
    overrides = [*OVERRIDES, *(QUICK if asked.quick else ()), *asked.overrides]
    prepared = prepare(overrides)
    names = [f"ours {number}" for number in range(max(counts))]
    options = {name: {"loss": loss, "epochs": epochs} for name, loss in zip(names, LOSSES, strict=False)}
    with workers(names, "beside", overrides, options) as jobs:
        share = Share(prepared, asked.quick)
        turns = {str(count): partial(_together, {name: jobs[name] for name in names[:count]}) for count in counts}
        measured = asked.by_turns(turns)
        figures = share.figures(measured.medians(), side="ours")
    first, *more = map(str, counts)
    result.write(
        asked,
        [measured],
        {f"{count} / {first}": measured.ratio("examples_per_s", count, first) for count in more},
        {**prepared.settings(), "epochs": epochs, "processes": counts, "losses": LOSSES[: max(counts)]},
        figures=figures,
        notes=["all processes' rows over the time from the first one's begin to the last one's end, after two epochs"],
    )


def _together(jobs: Mapping[str, Turn]) -> Figures:
    """A turn of all of them at once."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(len(jobs)) as threads:
        asked = [threads.submit(job, folder=folder, together=len(jobs)) for job in jobs.values()]
        found = [one.result() for one in asked]
    seconds = max(one["end"] for one in found) - min(one["begin"] for one in found)
    rows = sum(one["rows"] for one in found)
    return {"examples_per_s": rows / seconds, "seconds": seconds, "rows": rows, "processes": len(found)}


if __name__ == "__main__":
    main()
