"""Memory of distilling from the cache: a fit of kd_lab beside a bare loop, each in a fresh process, for one epoch.

Ours composes its config, finds tokens, teacher and outputs in the cache, checks some rows of the outputs against the
teacher, and fits. The bare loop reads the same arrays and a saved student. `peak_mib` is the whole process's,
`above_libraries_mib` what came after the imports, `classifiers` how many models are in memory at the last step.
"""

from __future__ import annotations

import gc
import importlib
import json
import pickle
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from experiments.speed import child, result
from experiments.speed.command_line import ask, parser
from experiments.speed.peak import now_mib, peak_mib
from experiments.speed.rounds import Figures
from experiments.speed.student import OVERRIDES, QUICK


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, writes `memory/result.json`, prints."""
    from experiments.speed.prepared import SAME_LOSS, prepare
    from kd_lab.models import saved_model

    asked = ask(parser("memory", __doc__, rounds=3), arguments)
    overrides = [*OVERRIDES, *(QUICK if asked.quick else ()), *asked.overrides, "trainer.max_epochs=1"]
    prepared = prepare(overrides)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        saved_model.save(prepared.start, folder / "student", {})
        np.save(folder / "logits.npy", prepared.logits.numpy())
        spec = prepared.spec
        given = prepared.tokens, prepared.loss, spec.optimizer, spec.trainer, spec.seed
        (folder / "bare.pickle").write_bytes(pickle.dumps((type(prepared.start).__module__, given)))
        jobs = {
            "ours": partial(child.answer, __spec__.name, "ours", *SAME_LOSS, *overrides),
            "bare": partial(child.answer, __spec__.name, "bare", name),
        }
        measured = asked.by_turns(jobs)
    ratios = {
        "ours / bare": measured.ratio("peak_mib", "ours", "bare"),
        "ours / bare, above the libraries": measured.ratio("above_libraries_mib", "ours", "bare"),
    }
    result.write(asked, [measured], ratios, prepared.settings())


def ours(overrides: Sequence[str]) -> Figures:
    """A fit as a cell makes it; afterwards it is forgotten."""
    from kd_lab.cli.compose import compose
    from kd_lab.core.process_tuning import keep_freed_memory
    from kd_lab.pipeline.cell import Cell

    keep_freed_memory()  # as the command does
    cell = Cell(compose(overrides))
    libraries = now_mib()
    tokens = cell.tokens()
    teacher = cell.teaching(cell.asked(tokens, tokens))
    seen = _Count()
    with tempfile.TemporaryDirectory() as scratch:
        from kd_lab.training import fit

        fit.fit(cell.student, tokens, teacher, replace(cell.cache, root=Path(scratch)), {}, {}, advance=seen)
    return seen.figures(libraries)


def bare(folder: Path) -> Figures:
    """The loop alone."""
    import torch

    from experiments.speed.bare import train
    from kd_lab.models import saved_model

    module, given = pickle.loads((folder / "bare.pickle").read_bytes())  # noqa: S301 - written by `main`
    tokens, loss, optimizer, settings, seed = given
    importlib.import_module(module)  # as `cell` has done for ours by then
    libraries = now_mib()
    model = saved_model.load(folder / "student")
    logits = torch.from_numpy(np.load(folder / "logits.npy", mmap_mode="c"))
    seen = _Count()
    train(model, tokens, logits, loss, optimizer, settings, seed, seen)
    return seen.figures(libraries)


class _Count:
    """Counts steps, and models at the last one's end."""

    def __init__(self) -> None:
        self.steps, self.classifiers = 0, 0

    def __call__(self, rows: int) -> None:
        from kd_lab.models.base import TorchClassifier

        self.steps += 1
        if self.steps == 2:  # the first may come before what was needed to begin is gone
            self.classifiers = sum(isinstance(one, TorchClassifier) for one in gc.get_objects())

    def figures(self, libraries: float) -> Figures:
        peak = peak_mib()
        return {
            "peak_mib": peak,
            "above_libraries_mib": peak - libraries,
            "classifiers": self.classifiers,
            "steps": self.steps,
        }


if __name__ == "__main__":
    if sys.argv[1:2] == ["ours"]:
        print(json.dumps(ours(sys.argv[2:])))
    elif sys.argv[1:2] == ["bare"]:
        print(json.dumps(bare(Path(sys.argv[2]))))
    else:
        main()
