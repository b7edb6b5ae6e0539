"""What a person sees while waiting: the step it is at, a bar, an estimate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from kd_lab.core import redact

Advance = Callable[[int], None]  # called with how much is done since the last call
console = Console(stderr=True, highlight=False)  # stdout is for tables


@contextmanager
def step(label: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Shows `label` with a bar while the block runs, and one line with its seconds when it is done.

    Args:
        label: what is being done.
        total: how much there is of it, in the unit of `advance`; None for a spinner without a bar.

    Yields:
        `advance(amount)`. A block that never calls it took its result from the cache and leaves no line.
    """
    start, moved = perf_counter(), False
    columns = [SpinnerColumn(), TextColumn("{task.description}")]
    if total is not None:
        columns += [BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()]
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(escape(label), total=total)

        def advance(amount: int) -> None:
            nonlocal moved
            moved = True
            bar.advance(task, amount)

        yield advance
    if moved:
        console.print(f"[green]done[/] {escape(label)} [dim]{perf_counter() - start:.1f} s[/]", soft_wrap=True)


def say(text: str) -> None:
    """One line for the person who waits."""
    console.print(escape(redact.text(text)), soft_wrap=True)
