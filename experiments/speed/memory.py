"""Memory of distilling from the cache: a fit of kd_lab beside a bare loop, each in a fresh process, for one epoch.

Ours composes its config, finds tokens, teacher and outputs in the cache, checks some rows of the outputs against the
teacher, and fits. The bare loop reads the same arrays and a saved student. `peak_mib` is the whole process's,
`above_libraries_mib` what came after the imports, `classifiers` how many models are in memory at the last step.
"""

from __future__ import annotations

import gc
import importlib
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
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
        told = {
            "tokens": {**vars(prepared.tokens), "folder": str(prepared.tokens.folder)},
            "optimizer": asdict(prepared.spec.optimizer),
            "trainer": asdict(prepared.spec.trainer),
            "loss": prepared.loss,
            "seed": prepared.spec.seed,
            "module": type(prepared.start).__module__,
        }
        (folder / "bare.json").write_text(json.dumps(told))
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
    from kd_lab.data.tokenized import Tokens
    from kd_lab.models import saved_model
    from kd_lab.training.optimizer import AdamW
    from kd_lab.training.settings import Trainer

    told = json.loads((folder / "bare.json").read_text())
    optimizer, settings = AdamW(**told["optimizer"]), Trainer(**told["trainer"])
    tokens = Tokens(**{**told["tokens"], "folder": Path(told["tokens"]["folder"])})
    importlib.import_module(told["module"])  # as `cell` has done for ours by then
    libraries = now_mib()
    model = saved_model.load(folder / "student")
    logits = torch.from_numpy(np.load(folder / "logits.npy", mmap_mode="c"))
    seen = _Count()
    train(model, tokens, logits, told["loss"], optimizer, settings, told["seed"], seen)  # type: ignore[arg-type]
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
