"""One student on CLINC150 plus: examples a second in training steps, ours beside the peers and a bare loop.

Validation, checkpoints, evaluation, saving and logging are outside the timed window of every side.
"""

from __future__ import annotations

from collections.abc import Sequence

from experiments.speed import result, sides
from experiments.speed.command_line import ask, parser
from experiments.speed.prepared import prepare
from experiments.speed.rounds import by_turns
from experiments.speed.worker import workers

OVERRIDES = ("dataset=clinc", "model=distilbert_mini", "teacher=minilm", "trainer.batch_size=48")
QUICK = ("dataset.split.limit=600", "teacher.trainer.max_epochs=1")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, writes `student/result.json`, prints."""
    made = parser("student", __doc__, rounds=5)
    made.add_argument("--sides", default="a,b,ours,bare", help="of a,b,ours,bare; a ratio needs both of its sides")
    made.add_argument("--steps-a", type=int, help="training steps of (a) in a turn, 20")
    made.add_argument("--steps-b", type=int, help="of (b), 150")
    asked = ask(made, arguments)
    steps = {"a": asked.number("steps_a", 20, 5), "b": asked.number("steps_b", 150, 8)}
    chosen = asked.options.sides.split(",")
    overrides = [*OVERRIDES, *(QUICK if asked.quick else ()), *asked.overrides]
    prepared = prepare(overrides)
    with workers(chosen, "steps", overrides, {side: {"steps": number} for side, number in steps.items()}) as jobs:
        measured = by_turns(jobs, asked.rounds, asked.again, asked.benchmark)
    result.write(
        asked,
        [measured],
        sides.ratios(measured, chosen),
        {**prepared.settings(), "sides": {side: sides.SIDES[side] for side in chosen}, "steps": steps},
    )


if __name__ == "__main__":
    main()
