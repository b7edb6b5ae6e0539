"""A process for each side: it prepares itself once, then takes a turn whenever it is told to.

So no side runs with what another has imported, switched on or left in memory, and a peer has nothing of the environment
that `kd-lab` gives itself.
"""

from __future__ import annotations

import json
import os
import subprocess  # this interpreter with arguments of our own, no shell
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from experiments.speed import GIVEN, PLAIN
from experiments.speed.child import surroundings
from experiments.speed.rounds import Figures

PEERS = ("a", "b")
Turn = Callable[..., Figures]  # what it is called with is told to the process, beside the options


@contextmanager
def workers(
    sides: Sequence[str], do: str, overrides: Sequence[str], options: Mapping[str, Mapping[str, Any]]
) -> Iterator[dict[str, Turn]]:
    """Side -> its turn in a process of its own; the processes end with the block.

    Args:
        sides: of `sides.SIDES`.
        do: a function of `sides`, called with what is prepared, the side and its options.
        overrides: what is prepared; from the cache, where the caller has put it.
        options: side -> its options, where it has any.
    """
    task = {"do": do, "overrides": [*overrides]}
    started = {side: _start(side, {**task, "side": side, "options": options.get(side, {})}) for side in sides}
    try:
        for side, process in started.items():
            _answer(side, process)  # it is ready
        yield {side: partial(_turn, side, process) for side, process in started.items()}
    finally:
        for process in started.values():
            process.communicate()  # the end of what it reads is its end


def environment(side: str) -> dict[str, str]:
    """That of the side's process: a peer has what a person gave, and nothing of what `kd-lab` gives itself."""
    found = surroundings()
    if side in PEERS:
        found[PLAIN] = "1"
        for name, value in GIVEN.items():
            if value is None:
                found.pop(name, None)
    return found


def _start(side: str, task: Mapping[str, Any]) -> subprocess.Popen[str]:
    line, pipe = [sys.executable, "-m", "experiments.speed.worker", json.dumps(task)], subprocess.PIPE
    return subprocess.Popen(line, env=environment(side), stdin=pipe, stdout=pipe, text=True)  # noqa: S603


def _turn(side: str, process: subprocess.Popen[str], **more: Any) -> Figures:
    assert process.stdin is not None
    process.stdin.write(json.dumps(more) + "\n")
    process.stdin.flush()
    return _answer(side, process)


def _answer(side: str, process: subprocess.Popen[str]) -> Figures:
    assert process.stdout is not None
    said = process.stdout.readline()
    if not said:
        raise RuntimeError(f"the process of side {side!r} ended with {process.wait()}")
    found: Figures = json.loads(said)
    return found


def main() -> None:
    """The process: says when it is ready, then answers each line with the figures of a turn."""
    answers, sys.stdout = sys.stdout, sys.stderr  # what libraries print is no answer
    task = json.loads(sys.argv[1])

    from experiments.speed import sides
    from experiments.speed.prepared import prepare

    prepared = prepare(task["overrides"])
    print(json.dumps({}), file=answers, flush=True)
    while line := sys.stdin.readline():
        figures = getattr(sides, task["do"])(prepared, task["side"], **task["options"], **json.loads(line))
        print(json.dumps(figures), file=answers, flush=True)


if __name__ == "__main__":
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    main()
