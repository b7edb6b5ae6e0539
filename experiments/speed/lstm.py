"""An LSTM with attention on IMDB at 128 tokens: examples a second, ours beside the peer at its best and a bare loop.

The teacher has MiniLM's weights and an unfitted head, and the word vectors are random: what they say is worth nothing,
what they compute costs the same.
"""

from __future__ import annotations

from collections.abc import Sequence

from experiments.speed.training_steps import measure

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
    measure(
        "lstm",
        __doc__,
        arguments,
        chosen="b,ours,bare",
        steps={"a": (20, 4), "b": (60, 5)},
        overrides=OVERRIDES,
        quick=QUICK,
        student_on_gpu=(),
        notes=["the teacher's head and the word vectors are random: only their arithmetic counts here"],
    )


if __name__ == "__main__":
    main()
