"""Examples a second in training steps, sides by turns: the measurement behind `student` and `lstm`."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.speed import result, sides
from experiments.speed.command_line import STUDENT, ask, parser
from experiments.speed.prepared import prepare
from experiments.speed.share import Share
from experiments.speed.worker import workers


def measure(
    name: str,
    about: str | None,
    arguments: Sequence[str] | None,
    *,
    chosen: str,
    steps: dict[str, tuple[int, int]],
    overrides: Sequence[str],
    quick: Sequence[str],
    notes: Sequence[str] = (),
    student_on_gpu: Sequence[str] = STUDENT,
) -> None:
    """Measures, writes `<name>/result.json`, prints.

    Args:
        name: of the benchmark.
        about: for `--help`.
        arguments: of the command line; None takes sys.argv.
        chosen: the sides, with commas.
        steps: of a peer in a turn -> (training steps, the same with --quick).
        overrides, quick: of kd_lab's config, always and with --quick.
        notes: that stand in the result.
        student_on_gpu: overrides that choose another student there, see `command_line.parser`.
    """
    made = parser(name, about, rounds=5, student=student_on_gpu)
    made.add_argument("--sides", default=chosen, help="of a,b,ours,bare,eager; a ratio needs both of its sides")
    for side, (number, _) in steps.items():
        made.add_argument(f"--steps-{side}", type=int, help=f"training steps of ({side}) in a turn, {number}")
    asked = ask(made, arguments)
    counts = {side: asked.number(f"steps_{side}", *numbers) for side, numbers in steps.items()}
    compared = asked.options.sides.split(",")
    composed = [*overrides, *(quick if asked.quick else ()), *asked.overrides]
    prepared = prepare(composed)
    with workers(compared, "steps", composed, {side: {"steps": number} for side, number in counts.items()}) as jobs:
        share = Share(prepared, asked.quick)
        measured = asked.by_turns(jobs)
        figures = share.figures(measured.medians())
    settings = {**prepared.settings(), "sides": {side: sides.SIDES[side] for side in compared}, "steps": counts}
    result.write(asked, [measured], sides.ratios(measured, compared), settings, figures=figures, notes=notes)
