"""An LSTM with attention on IMDB at 128 tokens: examples a second, ours beside the peer at its best and a bare loop.

The teacher has MiniLM's weights and an unfitted head, and the word vectors are random: what they say is worth nothing,
what they compute costs the same.
"""

from __future__ import annotations

from collections.abc import Sequence

from experiments.speed import result, sides
from experiments.speed.command_line import ask, parser
from experiments.speed.prepared import prepare
from experiments.speed.rounds import by_turns
from experiments.speed.worker import workers

OVERRIDES = (
    "dataset=imdb",
    "model=lstm_attention",
    "model.init=random",
    "teacher=minilm",
    "teacher.trainer.max_epochs=0",
    "trainer.batch_size=48",
    "dataset.split.limit=6000",
)
QUICK = ("dataset.split.limit=300",)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, writes `lstm/result.json`, prints."""
    made = parser("lstm", __doc__, rounds=5)
    made.add_argument("--sides", default="b,ours,bare", help="of a,b,ours,bare")
    made.add_argument("--steps-a", type=int, help="training steps of (a) in a turn, 20")
    made.add_argument("--steps-b", type=int, help="of (b), 60")
    asked = ask(made, arguments)
    steps = {"a": asked.number("steps_a", 20, 4), "b": asked.number("steps_b", 60, 5)}
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
        notes=["the teacher's head and the word vectors are random: only their arithmetic counts here"],
    )


if __name__ == "__main__":
    main()
