"""Test accuracy of each side after all epochs: precision, batching and caching change no figure beyond noise.

Every side has kd_lab's learning rates and schedule, ends with the last epoch's weights, and is judged in float32. (a)
takes hours: ask for it with --of.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch

from experiments.speed import result, sides
from experiments.speed.command_line import ask, parser
from experiments.speed.prepared import Prepared, prepare
from experiments.speed.rounds import Figures
from experiments.speed.student import OVERRIDES, QUICK
from experiments.speed.window import Window
from kd_lab.evaluation.inference import predict
from kd_lab.evaluation.intervals import wilson


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains, writes `accuracy/result.json`, prints."""
    made = parser("accuracy", __doc__, rounds=1, again=0)
    made.add_argument("--of", default="b,ours,bare", help="sides, of a,b,ours,bare")
    made.add_argument("--epochs", type=int, help="of each, 5")
    asked = ask(made, arguments)
    epochs, chosen = asked.number("epochs", 5, 1), asked.options.of.split(",")
    prepared = prepare([*OVERRIDES, *(QUICK if asked.quick else ()), *asked.overrides])
    jobs = {side: partial(_judge, prepared, side, epochs) for side in chosen}
    measured = asked.by_turns(jobs)
    result.write(
        asked,
        [measured],
        {},
        {**prepared.settings(), "epochs": epochs, "seed": prepared.spec.seed, "split": "test"},
        notes=["one seed; `low` and `high` are Wilson's interval over the test rows"],
    )


def _judge(prepared: Prepared, side: str, epochs: int) -> Figures:
    torch.use_deterministic_algorithms(False)
    window = Window(skip=0, device=prepared.device)
    model = sides.train(prepared, side, window, epochs=epochs, same_rates=True)
    whole_s = window.figures()["whole_s"]
    rows = prepared.tokens.split("test")
    said = predict(model, rows, prepared.tokens.pad_id, "cpu", "32-true").argmax(dim=1)
    right = int((said == torch.from_numpy(rows.labels.copy())).sum())
    low, high = wilson(right, len(rows))
    return {"accuracy": right / len(rows), "low": low, "high": high, "rows": len(rows), "whole_s": whole_s}


if __name__ == "__main__":
    main()
