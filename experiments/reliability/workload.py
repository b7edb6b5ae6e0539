"""The small job that is cut off, starved and damaged: a teacher, a student, pruned while it trains, in INT8, mirrored.

Every command runs in a fork of this process, which has imported all libraries and run nothing: it starts at once. Only
the measuring of times is not done in a process of its own.
"""

from __future__ import annotations

import gc
import io
import os
import shutil
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

from kd_lab.core import results

NAME = "safe"
SETTINGS = [
    *("dataset=csv", "dataset.path=words.csv", f"name={NAME}", "tokenizer.max_tokens=16"),
    *("model=lstm_attention", "model.init=random", "model.embedding=8", "model.hidden=8", "model.layers=1"),
    *("model@teacher.model=lstm_attention", "teacher.model.init=random", "teacher.model.hidden=8"),
    *("trainer.max_epochs=2", "teacher.trainer.max_epochs=1", "trainer.precision=32-true"),
    *("teacher.trainer.precision=32-true", "evaluation.requests=2", "evaluation.rounds=1"),
]
COMPRESSED = ["compression=[prune_l1,torch_int8]", "compression.prune_l1.epochs=1"]
CELL = [*SETTINGS, *COMPRESSED]
SWEEP = ["-m", *SETTINGS, "seed=0,1"]


_LOADED = [
    *("kd_lab.cli.run", "kd_lab.cli.finish", "kd_lab.cli.report", "kd_lab.cli.hydra_files", "kd_lab.pipeline.run"),
    *("kd_lab.compression.prune.magnitude", "kd_lab.compression.quantize.torch_int8_classifier", "kd_lab.data.csv"),
    *("kd_lab.models.lstm_attention", "kd_lab.models.word2vec", "kd_lab.sweeps.search.study"),
    *("kd_lab.tracking.mlflow_run", "kd_lab.tracking.mlflow_store", "kd_lab.tracking.mlflow_level"),
    *("hydra_plugins.kd_lab.grid_sweeper", "hydra_plugins.kd_lab.optuna_sweeper", "hydra_plugins.kd_lab.ray_launcher"),
    *("hydra_plugins.hydra_joblib_launcher.joblib_launcher", "hydra_plugins.kd_lab.submitit_launcher"),
    *("mlflow.store.tracking.sqlalchemy_store", "mlflow.pyfunc.model", "mlflow.store.workspace.utils"),
    *("sqlalchemy.dialects.sqlite", "alembic.command", "optuna", "selectors", "PIL.JpegImagePlugin"),
    *("matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg", "omegaconf._impl", "rich._emoji_codes"),
]


class Ended(NamedTuple):
    """How a command ended."""

    code: int  # exit code; minus the signal that killed it
    said: str  # standard error

    @property
    def lines(self) -> list[str]:
        """The lines in which it tells the user of a mistake or a failure."""
        marks = ("kd-lab: ", "failed: ", "warning: ", "MLflow at ")
        return [line for line in self.said.splitlines() if any(mark in line for mark in marks)]

    @property
    def traceback(self) -> bool:
        """Whether a user saw one."""
        return "Traceback" in self.said


def imports() -> None:
    """Loads all that a command needs, once, and what it would look up for itself; no thread is started."""
    os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
    import importlib

    for name in _LOADED:
        importlib.import_module(name)
    from kd_lab.core.code_hash import code_hash

    for name in ("cli.run", "cli.report"):  # what they import is read and hashed once
        code_hash(f"kd_lab.{name}")
    from mlflow.utils import requirements_utils

    requirements_utils._init_modules_to_packages_map()  # a look at every installed package
    gc.freeze()  # or each fork would look through all that is imported, again and again: a sixth of its time
    gc.set_threshold(50_000, 20, 20)


def make(folder: Path) -> Path:
    """A new folder with the data set."""
    folder.mkdir(parents=True)
    rows = [f"plain words {label} number {i},{label}" for i in range(20) for label in ("one", "two", "three")]
    (folder / "words.csv").write_text("\n".join(["text,label", *rows]) + "\n", encoding="utf-8")
    return folder


def command(folder: Path, arguments: Sequence[str], begin: Callable[[], object] = lambda: None) -> Ended:
    """Runs `kd-lab arguments` in a fork, in `folder`, with a cache below it.

    Args:
        begin: called in the fork just before the command.
    """
    said = folder.parent / f"{folder.name}.{os.getpid()}.said"
    child = os.fork()
    if not child:
        run_here(folder, arguments, begin, said)
    _, status = os.waitpid(child, 0)
    ended = Ended(os.waitstatus_to_exitcode(status), said.read_text(encoding="utf-8") if said.exists() else "")
    said.unlink(missing_ok=True)
    return ended


def run_here(folder: Path, arguments: Sequence[str], begin: Callable[[], object], said: Path) -> None:
    """Runs the command in this very process, a fork, and ends it; its lines go into the file `said`."""
    code = 70
    try:
        os.chdir(folder)
        os.environ["KD_LAB_CACHE"] = str(folder / "cache")
        from kd_lab.__main__ import command as kd_lab
        from kd_lab.core.progress import console
        from kd_lab.evaluation import latency

        latency.in_fresh_process = lambda work, *given, timeout_s: work(*given)
        with said.open("w", encoding="utf-8", buffering=1) as errors:
            console.file = errors
            with redirect_stdout(io.StringIO()), redirect_stderr(errors):
                begin()
                try:
                    code = kd_lab(list(arguments))
                except BaseException:
                    traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


def rows(folder: Path) -> dict[str, Any]:
    """What must be the same, cell by cell: all of a result but times, sizes of memory and where it lies."""
    found = {}
    for cell in results.collect(folder / "multirun" / NAME):
        teacher = {key: value for key, value in cell.teacher.items() if key != "cost"}
        told = [cell.status, cell.metrics, cell.fidelity, cell.history, cell.fingerprint, cell.compression, teacher]
        found[cell.cell] = told if cell.status == "finished" else [cell.status, cell.error]
    return _without_seconds(found)


def _without_seconds(told: Any) -> Any:
    if isinstance(told, dict):
        return {key: _without_seconds(value) for key, value in told.items() if key != "seconds"}
    return [_without_seconds(value) for value in told] if isinstance(told, list) else told


def copy(whole: Path, to: Path) -> Path:
    """A copy to be spoilt."""
    shutil.copytree(whole, to, symlinks=True)
    return to


def half_written(folder: Path) -> list[str]:
    """Drafts that lie about: what a user would have to clear away, or a program could take for whole."""
    marks = (".draft-", ".new", ".part", ".tmp")
    hidden = [path for path in folder.rglob("*") if any(mark in path.name for mark in marks)]
    drafts = [path for path in folder.rglob(".*.json.*") if not path.name.endswith(".lock")]
    return sorted(str(path.relative_to(folder)) for path in {*hidden, *drafts})
