"""One student on CLINC150 plus: examples a second in training steps, ours beside the peers and a bare loop.

Validation, checkpoints, evaluation, saving and logging are outside the timed window of every side.
"""

from __future__ import annotations

from collections.abc import Sequence

from experiments.speed.training_steps import measure

OVERRIDES = ("dataset=clinc", "model=distilbert_mini", "teacher=minilm", "trainer.batch_size=48")
QUICK = ("dataset.split.limit=600", "teacher.trainer.max_epochs=1")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, writes `student/result.json`, prints."""
    measure(
        "student",
        __doc__,
        arguments,
        chosen="a,b,ours,bare",
        steps={"a": (20, 5), "b": (150, 8)},
        overrides=OVERRIDES,
        quick=QUICK,
    )


if __name__ == "__main__":
    main()
