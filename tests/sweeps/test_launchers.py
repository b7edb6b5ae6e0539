"""A sweep is the same whatever runs its cells: processes of joblib, Ray, submitit; also when a worker is lost."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from omegaconf import OmegaConf

from hydra_plugins.kd_lab.ray_launcher import RayLauncher
from hydra_plugins.kd_lab.submitit_launcher import SlurmLauncher
from kd_lab.core import results
from kd_lab.core.paths import root

QUICK = [
    "dataset=csv",
    "dataset.path=toy.csv",  # relative: workers must stand where the caller stands
    "tracking=none",
    "teacher.trainer.max_epochs=1",
    "model@teacher.model=lstm_attention",
    "teacher.model.hidden=16",
    "teacher.model.init=random",
    "model=lstm_attention",
    "model.hidden=8",
    "model.init=random",
    "evaluation=none",
    "trainer.device=cpu",
    "teacher.trainer.device=cpu",
    "name=study",
]
CORES = os.cpu_count() or 1
LONGEST_S = 600  # for what takes half a minute where nothing else runs
LAUNCHERS = {  # overrides; what the command line of a process that runs a cell holds; threads of a cell
    "joblib": (["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"], "LokyProcess", max(1, CORES // 2)),
    "ray": (["hydra/launcher=ray", "hydra.launcher.cluster_cpus=2"], "ray::kd_lab_cell", 1),
    "slurm_local": (["hydra/launcher=slurm_local"], "submitit.core._submit", CORES),
}
each_launcher = pytest.mark.parametrize("launcher", LAUNCHERS)


def start(folder: Path, launcher: str, *overrides: str) -> subprocess.Popen[str]:
    """`kd-lab -m` as a person starts it, in a folder of its own."""
    rows = "".join(
        f"the {word} {label} number {n},{label}\n" for n in range(40) for word, label in (("red", "a"), ("old", "b"))
    )
    (folder / "toy.csv").write_text("text,label\n" + rows)
    words = [sys.executable, "-m", "kd_lab", "-m", *QUICK, *LAUNCHERS[launcher][0], *overrides]
    environment = {**os.environ, "KD_LAB_CACHE": str(folder / "cache")}
    environment.pop("OMP_NUM_THREADS", None)
    with (folder / "out").open("w") as out, (folder / "err").open("w") as err:
        return subprocess.Popen(words, cwd=folder, env=environment, stdout=out, stderr=err, text=True)


def said(folder: Path) -> str:
    """What the command and all its workers wrote on stderr."""
    logs = (folder / "multirun" / "study").glob(".submitit/*/*_log.err")
    return "".join(path.read_text() for path in [folder / "err", *logs])


def workers(command: psutil.Process, kind: str = "") -> list[psutil.Process]:
    """The processes under the command whose command line holds `kind`."""
    found = []
    for process in command.children(recursive=True):
        with suppress(psutil.Error):
            if kind in " ".join(process.cmdline()):
                found.append(process)
    return found


# a sweep that goes well


@dataclass(frozen=True)
class Sweep:
    launcher: str
    folder: Path
    code: int


@pytest.fixture(scope="module", params=LAUNCHERS)
def sweep(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    """Three cells, run once a launcher."""
    folder = tmp_path_factory.mktemp("sweep")
    process = start(folder, request.param, "trainer.max_epochs=1", "loss.temperature=1,2,4")
    try:
        return Sweep(request.param, folder, process.wait(LONGEST_S))
    finally:
        process.kill()


@pytest.mark.integration
def test_every_cell_finishes_and_the_command_prints_the_table(sweep: Sweep) -> None:
    cells = results.collect(sweep.folder / "multirun" / "study")
    assert sweep.code == 0, said(sweep.folder)
    assert [cell.status for cell in cells] == ["finished"] * 3
    assert sorted(cell.config["loss"]["temperature"] for cell in cells) == [1, 2, 4]
    printed = (sweep.folder / "out").read_text()
    assert len([line for line in printed.splitlines() if "lstm_attention" in line and "distilled" in line]) == 3
    assert "done " not in printed, "stdout is for tables"


@pytest.mark.integration
def test_processes_that_want_the_same_teacher_fit_it_once(sweep: Sweep) -> None:
    assert said(sweep.folder).count("done fit teacher") == 1
    assert len(list((sweep.folder / "cache" / "fit").glob("*/manifest.json"))) == 4


@pytest.mark.integration
def test_a_cells_threads_are_its_share_of_the_cores(sweep: Sweep) -> None:
    cells = results.collect(sweep.folder / "multirun" / "study")
    assert {cell.machine["threads"] for cell in cells} == {LAUNCHERS[sweep.launcher][2]}


@pytest.mark.integration
def test_nobody_says_more_than_the_cells(sweep: Sweep) -> None:
    assert "Traceback" not in said(sweep.folder)
    assert not [word for word in ("Token authentication", "usage stats", "FutureWarning") if word in said(sweep.folder)]


# a sweep that loses a worker


@pytest.mark.slow
@pytest.mark.integration
@each_launcher
def test_a_worker_that_is_killed_fails_its_cell_alone(launcher: str, tmp_path: Path) -> None:
    """Submitit's own launchers raise at once, while other cells still run."""
    process = start(tmp_path, launcher, "trainer.patience=100000", "trainer.max_epochs=1,100000")
    study, command = tmp_path / "multirun" / "study", psutil.Process(process.pid)
    there = [command]
    try:
        give_up = time.monotonic() + LONGEST_S
        while process.poll() is None and not list(study.glob("*/result.json")) and time.monotonic() < give_up:
            time.sleep(0.2)
        time.sleep(2)  # the first cell's job ends, and its process is idle
        there += workers(command)
        listening = [port for one in there for port in one.net_connections() if port.status == psutil.CONN_LISTEN]
        for worker in workers(command, LAUNCHERS[launcher][1]):
            with suppress(psutil.NoSuchProcess):
                worker.kill()
        assert process.wait(LONGEST_S) == 1
        assert not psutil.wait_procs(there, timeout=20)[1], "a process outlived the command"
    finally:
        for one in reversed(there):
            with suppress(psutil.NoSuchProcess):
                one.kill()
    assert listening or launcher != "ray"
    assert {port.laddr.ip.removeprefix("::ffff:") for port in listening} <= {"127.0.0.1", "::1"}
    cells = {cell.config["trainer"]["max_epochs"]: cell for cell in results.collect(study)}
    assert {epochs: cell.status for epochs, cell in cells.items()} == {1: "finished", 100000: "failed"}
    assert "worker died" in str(cells[100000].error)
    assert "Traceback" not in (tmp_path / "err").read_text()
    assert "failed" in (tmp_path / "out").read_text()


# mistakes


def kd_lab(folder: Path, *words: str, before: str = "") -> subprocess.CompletedProcess[str]:
    """`kd-lab` after a line of Python."""
    code = f"import sys\n{before}\nfrom kd_lab.__main__ import command\nsys.exit(command(sys.argv[1:]))"
    words = (sys.executable, "-c", code, *words)
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


HIDE = """
import pkgutil
sys.modules.update({"ray": None, "hydra_plugins.hydra_submitit_launcher": None})
walk, hidden = pkgutil.walk_packages, ("hydra_plugins.hydra_joblib", "hydra_plugins.hydra_submitit")
pkgutil.walk_packages = lambda *given, **named: (m for m in walk(*given, **named) if not m.name.startswith(hidden))
"""


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
def test_a_launcher_that_is_not_installed_names_its_cure(launcher: str, extra: str, tmp_path: Path) -> None:
    done = kd_lab(tmp_path, "-m", f"hydra/launcher={launcher}", "seed=1,2", before=HIDE)
    [line] = done.stderr.splitlines()
    assert done.returncode == 2
    assert f"pip install 'kd_lab[{extra}]'" in line
    assert not (tmp_path / "multirun").exists()


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("hydra.launcher.num_cpus=0", "above 0"),
        ("hydra.launcher.address=127.0.0.1:1", "a Ray cluster that answers"),
        ("hydra.launcher.num_cpus=1000", "at most the"),
    ],
)
def test_a_ray_cluster_that_cannot_run_a_cell_is_told_in_one_line(wrong: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "toy.csv").write_text("text,label\n")
    done = kd_lab(tmp_path, "-m", *QUICK, "hydra/launcher=ray", "seed=1,2", wrong)
    [line] = done.stderr.splitlines()
    assert done.returncode == 2
    assert line.startswith("kd-lab: hydra.launcher.")
    assert told in line


# settings


def test_rays_defaults_are_the_signatures() -> None:
    settings = OmegaConf.to_container(OmegaConf.load(root() / "conf" / "hydra" / "launcher" / "ray.yaml"))
    assert isinstance(settings, dict)
    assert settings.pop("_target_") == f"{RayLauncher.__module__}.{RayLauncher.__qualname__}"
    assert settings == {name: one.default for name, one in inspect.signature(RayLauncher).parameters.items()}


def test_slurm_is_asked_for_what_the_settings_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No cluster here: a file named srun makes submitit believe in one, and the file that sbatch would get is read."""
    shown = kd_lab(
        tmp_path, "hydra/launcher=slurm", "hydra.launcher.partition=gpu", "--cfg", "hydra", "-p", "hydra.launcher"
    )
    settings = OmegaConf.create(shown.stdout)
    del settings["_target_"]
    settings.submitit_folder = str(tmp_path / "logs" / "%j")
    (tmp_path / "srun").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    script = SlurmLauncher(**settings)._executor()._executor._make_submission_file_text("run a cell", "id")
    lines = set(script.splitlines())
    assert {"#SBATCH --partition=gpu", "#SBATCH --cpus-per-task=4", "#SBATCH --gpus-per-node=1"} <= lines
    assert {"#SBATCH --mem=16GB", "#SBATCH --time=240", "#SBATCH --job-name=kd-lab"} <= lines
    assert "export OMP_NUM_THREADS=$SLURM_CPUS_PER_TASK" in lines
