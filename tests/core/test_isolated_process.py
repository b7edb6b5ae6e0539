from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from kd_lab.core.errors import FitError
from kd_lab.core.isolated_process import in_fresh_process


def test_a_process_that_dies_fails_the_cell_with_its_exit_code() -> None:
    with pytest.raises(FitError, match="exit code 3"):
        in_fresh_process(os._exit, 3, timeout_s=60)


def test_a_process_killed_by_the_system_fails_the_cell() -> None:
    with pytest.raises(FitError, match=r"exit code -9 .*memory"):
        in_fresh_process(signal.raise_signal, signal.SIGKILL, timeout_s=60)


def test_a_process_that_hangs_is_killed() -> None:
    start = time.monotonic()
    with pytest.raises(FitError, match=r"more than 0\.5 s"):
        in_fresh_process(time.sleep, 600, timeout_s=0.5)
    assert time.monotonic() - start < 300, "of the 600 s that it would sleep, on a machine however busy"


def test_results_larger_than_a_pipe_arrive() -> None:
    assert in_fresh_process(np.ones, 10**6, timeout_s=60).sum() == 10**6


def test_every_call_has_a_process_of_its_own_and_leaves_none() -> None:
    processes = {in_fresh_process(os.getpid, timeout_s=60) for _ in range(5)}
    assert len(processes) == 5
    assert os.getpid() not in processes
    for process in processes:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


def test_a_script_without_a_main_guard_is_not_run_again(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import os\nfrom kd_lab.core import isolated_process\nisolated_process._LIBRARIES = ('json',)\n"
        "print('ran')\nprint(isolated_process.in_fresh_process(os.getppid, timeout_s=60) != 0)\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == "ran\nTrue\n"
    assert done.stderr == ""
