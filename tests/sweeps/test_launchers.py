"""A sweep is the same whatever runs its cells: processes of joblib, Ray, submitit; also when a worker is lost."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from omegaconf import OmegaConf
from quick_lines import STUDENT, TEACHER, TOY

from hydra_plugins.kd_lab.ray_launcher import RayLauncher
from hydra_plugins.kd_lab.submitit_launcher import SlurmLauncher
from kd_lab.__main__ import command
from kd_lab.core import results
from kd_lab.core.errors import UserError
from kd_lab.core.paths import root

QUICK = [*TOY, *STUDENT, *TEACHER]
CORES = os.cpu_count() or 1
LONGEST_S = 600  # for what takes half a minute where nothing else runs
LAUNCHERS = {  # overrides; what the command line of a process that runs a cell holds; threads of a cell
    "joblib": (["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"], "LokyProcess", max(1, CORES // 2)),
    "ray": (["hydra/launcher=ray", "hydra.launcher.cluster_cpus=2"], "ray::kd_lab_cell", 1),
    "slurm_local": (["hydra/launcher=slurm_local"], "submitit.core._submit", CORES),
}
# After a kill submitit waits 15 seconds for a file that nobody writes.
SOON = "from submitit.core.core import Job\nJob._results_timeout_s = 1"

PROGRAM = """
import json
import sys
{before}
from kd_lab.__main__ import command

if __name__ == "__main__":
    for line in sys.stdin:
        code = command(json.loads(line))
        sys.stdout.flush()
        with open("codes", "a") as file:
            print(code, file=file)
"""


class Program:
    """A process that runs one line after another, each as `kd-lab` does."""

    def __init__(self, folder: Path, before: str = "") -> None:
        (folder / "program.py").write_text(PROGRAM.format(before=before))
        self.folder, self.given, self.said_before = folder, 0, {"out": 0, "err": 0}
        self.met: list[psutil.Process] = []  # that were seen under it
        environment = {**os.environ, "KD_LAB_CACHE": str(folder / "cache")}
        environment.pop("OMP_NUM_THREADS", None)
        words = [sys.executable, "program.py"]
        with (folder / "out").open("w") as out, (folder / "err").open("w") as err:
            self.process = subprocess.Popen(
                words, cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=out, stderr=err, text=True
            )

    def give(self, *words: str) -> None:
        """Has it run the line."""
        self.said_before = {name: (self.folder / name).stat().st_size for name in self.said_before}
        self.given += 1
        assert self.process.stdin
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()

    def code(self) -> int:
        """That of the line that was given last, once it has run."""
        give_up = time.monotonic() + LONGEST_S
        while time.monotonic() < give_up and self.process.poll() is None:
            codes = (self.folder / "codes").read_text() if (self.folder / "codes").exists() else ""
            if codes.count("\n") == self.given:
                return int(codes.split()[-1])
            time.sleep(0.05)
        raise AssertionError(self.said("err"))

    def said(self, name: str) -> str:
        """What it and its workers wrote on "out" or "err" since the last line was given."""
        return (self.folder / name).read_bytes()[self.said_before[name] :].decode()

    def workers(self, kind: str = "") -> list[psutil.Process]:
        """The processes under it whose command line holds `kind`."""
        found = []
        for process in psutil.Process(self.process.pid).children(recursive=True):
            with suppress(psutil.Error):
                if kind in " ".join(process.cmdline()):
                    found.append(process)
        return found

    def end(self) -> None:
        """Gives it no more lines; it ends by itself, and so do all of its workers."""
        left = [*self.met, *self.workers()] if self.process.poll() is None else self.met
        try:
            self.process.communicate(timeout=60)
            assert not psutil.wait_procs(left, timeout=20)[1], "a process outlived the command"
        finally:
            self.process.kill()
            for one in left:
                with suppress(psutil.NoSuchProcess):
                    one.kill()


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A process for one launcher after the other; in its folder there is a data set."""
    folder = tmp_path_factory.mktemp("program")
    rows = "".join(
        f"the {word} {label} number {n},{label}\n" for n in range(40) for word, label in (("red", "a"), ("old", "b"))
    )
    (folder / "toy.csv").write_text("text,label\n" + rows)
    program = Program(folder, SOON)
    yield program
    program.end()


# a sweep that goes well


@dataclass(frozen=True)
class Sweep:
    launcher: str
    cells: int
    fits: int  # in the cache
    line: list[str]  # but for the study's name and what is swept
    study: Path
    code: int
    out: str
    err: str  # of the cells too


@pytest.fixture(scope="module", params=LAUNCHERS)
def sweep(request: pytest.FixtureRequest, program: Program) -> Sweep:
    """Run once a launcher, with a cache of its own."""
    launcher = request.param
    cache, study = program.folder / f"cache_{launcher}", program.folder / "multirun" / launcher
    # A third cell comes to a process that has run one; slurm_local starts a process for each.
    temperatures = (1, 2) if launcher == "slurm_local" else (1, 2, 4)
    line = ["-m", *QUICK, *LAUNCHERS[launcher][0], f"paths.cache={cache}"]
    axis = f"loss.temperature={','.join(map(str, temperatures))}"
    program.give(*line, f"name={launcher}", "trainer.max_epochs=1", axis)
    code = program.code()
    logs = study.glob(".submitit/*/*_log.err")
    err = "".join([program.said("err"), *(path.read_text() for path in logs)])
    fits = len(list((cache / "fit").glob("*/manifest.json")))
    return Sweep(launcher, len(temperatures), fits, line, study, code, program.said("out"), err)


@pytest.mark.integration
def test_every_cell_finishes_and_the_command_prints_the_table(sweep: Sweep) -> None:
    cells = results.collect(sweep.study)
    assert sweep.code == 0, sweep.err
    assert [cell.status for cell in cells] == ["finished"] * sweep.cells
    assert sorted(cell.config["loss"]["temperature"] for cell in cells) == [1, 2, 4][: sweep.cells]
    rows = [line for line in sweep.out.splitlines() if "lstm_attention" in line and "distilled" in line]
    assert len(rows) == sweep.cells
    assert "done " not in sweep.out, "stdout is for tables"


@pytest.mark.integration
def test_processes_that_want_the_same_teacher_fit_it_once(sweep: Sweep) -> None:
    assert sweep.err.count("done fit teacher") == 1
    assert sweep.fits == sweep.cells + 1


@pytest.mark.integration
def test_a_cells_threads_are_its_share_of_the_cores(sweep: Sweep) -> None:
    assert {cell.machine["threads"] for cell in results.collect(sweep.study)} == {LAUNCHERS[sweep.launcher][2]}


@pytest.mark.integration
def test_nobody_says_more_than_the_cells(sweep: Sweep) -> None:
    assert "Traceback" not in sweep.err
    assert not [word for word in ("Token authentication", "usage stats", "FutureWarning") if word in sweep.err]


# a sweep that loses a worker


@pytest.mark.slow
@pytest.mark.integration
def test_a_worker_that_is_killed_fails_its_cell_alone(sweep: Sweep, program: Program) -> None:
    """Submitit's own launchers raise at once, while other cells still run."""
    launcher = sweep.launcher
    study = sweep.study.with_name(f"{launcher}_killed")
    line = [f"name={study.name}", "trainer.patience=100000", "trainer.max_epochs=1,100000"]
    if launcher == "ray":
        line.append("hydra.launcher.cluster_cpus=1")  # one worker after another: it was in `sweep` that two met
    program.give(*sweep.line, *line)
    give_up = time.monotonic() + LONGEST_S
    while program.process.poll() is None and not list(study.glob("*/result.json")) and time.monotonic() < give_up:
        time.sleep(0.2)
    time.sleep(0.5)  # the first cell's job ends, and its process is idle
    there = [psutil.Process(program.process.pid), *program.workers()]
    program.met += there[1:]
    listening = [port for one in there for port in one.net_connections() if port.status == psutil.CONN_LISTEN]
    for worker in program.workers(LAUNCHERS[launcher][1]):
        with suppress(psutil.NoSuchProcess):
            worker.kill()
    assert program.code() == 1
    assert listening or launcher != "ray"
    assert {port.laddr.ip.removeprefix("::ffff:") for port in listening} <= {"127.0.0.1", "::1"}
    cells = {cell.config["trainer"]["max_epochs"]: cell for cell in results.collect(study)}
    assert {epochs: cell.status for epochs, cell in cells.items()} == {1: "finished", 100000: "failed"}
    assert "worker died" in str(cells[100000].error)
    assert "Traceback" not in program.said("err")
    assert "failed" in program.said("out")


# mistakes


def told(program: Program, *words: str) -> str:
    """The one line with which a mistake is told."""
    program.give(*words)
    assert program.code() == 2
    [line] = program.said("err").splitlines()
    return line


HIDE = """
import pkgutil
sys.modules.update({"ray": None, "hydra_plugins.hydra_submitit_launcher": None})
walk, hidden = pkgutil.walk_packages, ("hydra_plugins.hydra_joblib", "hydra_plugins.hydra_submitit")
pkgutil.walk_packages = lambda *given, **named: (m for m in walk(*given, **named) if not m.name.startswith(hidden))
"""


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A process that finds no launcher but those that come with Hydra."""
    program = Program(tmp_path_factory.mktemp("bare"), HIDE)
    yield program
    program.end()


@pytest.mark.parametrize(
    ("launcher", "extra"),
    [
        ("joblib", "joblib"),
        ("ray", "ray"),
        ("slurm", "submitit"),
        ("slurm_local", "submitit"),
        ("submitit_local", "submitit"),
    ],
)
def test_a_launcher_that_is_not_installed_names_its_cure(launcher: str, extra: str, bare: Program) -> None:
    line = told(bare, "-m", f"hydra/launcher={launcher}", "seed=1,2")
    assert f"pip install 'kd_lab[{extra}]'" in line
    assert not (bare.folder / "multirun").exists()


@pytest.mark.parametrize(
    ("wrong", "why"),
    [("hydra.launcher.num_cpus=0", "above 0"), ("hydra.launcher.address=127.0.0.1:1", "a Ray cluster that answers")],
)
def test_a_ray_cluster_that_cannot_run_a_cell_is_told_in_one_line(wrong: str, why: str, program: Program) -> None:
    line = told(program, "-m", *QUICK, "hydra/launcher=ray", "name=refused", "seed=1,2", wrong)
    assert line.startswith("kd-lab: hydra.launcher.")
    assert why in line


def test_a_cell_that_no_cluster_has_room_for_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a real cluster, which would be started for its size alone."""
    there = {"init": lambda *_, **__: None, "cluster_resources": lambda: {"CPU": 2.0}, "shutdown": lambda: None}
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(**there))
    with pytest.raises(UserError, match="num_cpus: expected at most the 2 CPUs"), RayLauncher(num_cpus=1000)._cluster():
        pass


# settings


def test_rays_defaults_are_the_signatures() -> None:
    settings = OmegaConf.to_container(OmegaConf.load(root() / "conf" / "hydra" / "launcher" / "ray.yaml"))
    assert isinstance(settings, dict)
    assert settings.pop("_target_") == f"{RayLauncher.__module__}.{RayLauncher.__qualname__}"
    assert settings == {name: one.default for name, one in inspect.signature(RayLauncher).parameters.items()}


def test_slurm_is_asked_for_what_the_settings_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No cluster here: a file named srun makes submitit believe in one, and the file that sbatch would get is read."""
    asked = ["hydra/launcher=slurm", "hydra.launcher.partition=gpu", "--cfg", "hydra", "-p", "hydra.launcher"]
    assert command(asked) == 0
    settings = OmegaConf.create(capsys.readouterr().out)
    del settings["_target_"]
    settings.submitit_folder = str(tmp_path / "logs" / "%j")
    (tmp_path / "srun").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    script = SlurmLauncher(**settings)._executor()._executor._make_submission_file_text("run a cell", "id")
    lines = set(script.splitlines())
    assert {"#SBATCH --partition=gpu", "#SBATCH --cpus-per-task=4", "#SBATCH --gpus-per-node=1"} <= lines
    assert {"#SBATCH --mem=16GB", "#SBATCH --time=240", "#SBATCH --job-name=kd-lab"} <= lines
    assert "export OMP_NUM_THREADS=$SLURM_CPUS_PER_TASK" in lines
