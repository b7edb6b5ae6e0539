"""What a run leaves of the process that called it: all as it was. And what `import kd_lab` costs."""

from __future__ import annotations

import gc
import logging
import os
import random
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf
from omegaconf.basecontainer import BaseContainer
from quick_lines import COLUMNS, QUICK

import kd_lab


def state() -> dict[str, Any]:
    """What belongs to the caller."""
    loggers = [logging.root, *(logging.getLogger(name) for name in ("kd_lab", "users.own", "mlflow", "alembic"))]
    return {
        "argv": list(sys.argv),
        "path": list(sys.path),
        "folder": os.getcwd(),
        "environment": dict(os.environ),
        "loggers": [(one.name, one.level, list(one.handlers), one.disabled, one.propagate) for one in loggers],
        "warnings": list(warnings.filters),
        "hydra": GlobalHydra.instance().is_initialized(),
        "config": HydraConfig.instance().cfg,
        "resolvers": dict(BaseContainer._resolvers),
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "cudnn": (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark),
        "random": random.getstate(),
        "numpy": tuple(map(str, np.random.get_state())),
        "torch": torch.get_rng_state().tolist(),
        "interrupt": signal.getsignal(signal.SIGINT),
    }


def test_the_process_is_as_it_was_after_runs_a_sweep_mistakes_and_ctrl_c(
    table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    kd_lab.run(*QUICK, train=table, **COLUMNS)  # imports libraries, which stay
    before, frozen = state(), gc.get_freeze_count()  # some of what the tests have frozen may go
    kd_lab.run(*QUICK, "seed=1", train=table, **COLUMNS)
    kd_lab.sweep(*QUICK, "name=s", "seed=1,2", train=table, **COLUMNS)
    for mistake in ("trainer.max_epochs=-1", "dataset.label_column=x"):
        with pytest.raises(kd_lab.UserError):
            kd_lab.run(*QUICK, mistake, train=table, **COLUMNS)

    def interrupted(*_: object) -> None:
        torch.set_num_threads(torch.get_num_threads() + 1)
        os.chdir("/")
        raise KeyboardInterrupt

    monkeypatch.setattr("kd_lab.pipeline.run.publish.publish", interrupted)
    with pytest.raises(KeyboardInterrupt):
        kd_lab.run(*QUICK, "seed=3", train=table, **COLUMNS)
    assert state() == before
    assert gc.get_freeze_count() <= frozen


def test_a_program_that_uses_hydra_and_logs_to_a_file_does_so_afterwards(table: pd.DataFrame, tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "mine.yaml").write_text("here: ${root:}\n")
    log = logging.getLogger("users.own")
    log.setLevel(logging.WARNING)  # whatever an earlier run by the command line has left at the root
    log.addHandler(handler := logging.FileHandler(tmp_path / "own.log", mode="w"))
    ours = BaseContainer._resolvers.pop("root", None)
    OmegaConf.register_new_resolver("root", lambda: "the user's")
    try:
        with initialize_config_dir(str(tmp_path / "conf"), version_base="1.1"):
            kd_lab.run(*QUICK, train=table, **COLUMNS)
            assert compose("mine").here == "the user's"
        log.warning("still heard")
    finally:
        BaseContainer._resolvers.update({"root": ours} if ours else {})
        log.removeHandler(handler)
        handler.close()
    assert (tmp_path / "own.log").read_text() == "still heard\n"


def test_importing_changes_nothing_and_loads_none_of_the_large_libraries() -> None:
    script = (
        "import os, sys; before = (dict(os.environ), list(sys.path)); import kd_lab; kd_lab.UserError;"
        "assert (dict(os.environ), list(sys.path)) == before;"
        "large = {'torch', 'numpy', 'pandas', 'hydra', 'rich', 'mlflow'} & {one.split('.')[0] for one in sys.modules};"
        "assert not large, large; assert dir(kd_lab) == sorted(kd_lab.__all__), dir(kd_lab)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_importing_loads_a_handful_of_modules() -> None:
    """So that it takes no tenth of a second; a clock would tell of the machine's other work too."""
    script = "import sys; before = len(sys.modules); import kd_lab; print(len(sys.modules) - before)"
    assert int(subprocess.check_output([sys.executable, "-c", script])) < 40


def test_every_name_is_there_and_no_other() -> None:
    for name in kd_lab.__all__:
        assert getattr(kd_lab, name).__name__ == name
    with pytest.raises(AttributeError, match="module 'kd_lab' has no attribute 'train'"):
        _ = kd_lab.train


def test_no_name_is_hidden_by_a_room() -> None:
    rooms = {path.stem for path in Path(kd_lab.__file__).parent.iterdir()}
    assert not rooms & set(kd_lab.__all__)


def test_a_script_without_a_main_guard_runs_once(table: pd.DataFrame, workplace: Path) -> None:
    table.to_parquet(workplace / "mine.parquet")
    script = workplace / "script.py"
    script.write_text(
        "import gc, os, sys\nfrozen = gc.get_freeze_count()\nimport pandas as pd\nimport kd_lab\nprint('once')\n"
        f"ran = kd_lab.run(*{QUICK}, train=pd.read_parquet('mine.parquet'), text='says', label='kind')\n"
        "print(os.environ['GOMP_SPINCOUNT'], gc.get_freeze_count() - frozen, len(ran.result.history))\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    done = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["once", "10000 0 2"]
