"""Fresh Python processes of this checkout."""

from __future__ import annotations

import json
import os
import subprocess  # this interpreter with arguments of our own, no shell
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from kd_lab.core.paths import root


def surroundings() -> dict[str, str]:
    """This process's environment, in which this checkout is found first."""
    places = [str(root()), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(places)}


def run(*arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Runs `python ARGUMENTS` and waits.

    Raises:
        RuntimeError: it failed; with the end of what it said.
    """
    line = [sys.executable, *arguments]
    whole = {**surroundings(), **(environment or {})}
    done = subprocess.run(line, env=whole, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)[:300]} ended with {done.returncode}: {done.stderr[-2000:]}")
    return done


def answer(module: str, *arguments: str, environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What `python -m module ARGUMENTS` prints as its last line, in JSON."""
    said = run("-m", module, *arguments, environment=environment).stdout.strip().splitlines()
    found: dict[str, Any] = json.loads(said[-1])
    return found


def kd_lab(overrides: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    """What `kd-lab OVERRIDES` says on both channels."""
    done = run("-m", "kd_lab", *overrides, environment=environment)
    return done.stdout + done.stderr
