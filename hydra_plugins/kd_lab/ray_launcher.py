"""`hydra/launcher=ray`: each cell of a sweep is a Ray task, on this machine or on a cluster that runs already."""

import os
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from importlib.util import find_spec
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from kd_lab.core import cores
from kd_lab.core.errors import UserError
from kd_lab.core.option_types import Cores, Gpus, NonEmpty, Threads
from kd_lab.core.progress import say
from kd_lab.core.safe_path import leave_out_working_folder

_SETTINGS = {  # read by Ray when it is first imported and by the processes it starts; what the user has set stands
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # a cell that reserves no GPU sees them all, as without Ray
    "RAY_DEDUP_LOGS": "0",
}
_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}  # its one effect elsewhere: every port is 127.0.0.1's alone
_SENT = ("GOMP_SPINCOUNT", "TOKENIZERS_PARALLELISM")  # what a cell must find as the caller has it, and all of `_OURS`
_OURS = ("KD_LAB_", "MLFLOW_")
_SECRET = ("PASSWORD", "TOKEN", "SECRET")  # stays here: this process mirrors in the end what workers could not


class RayLauncher(Launcher):
    """Runs the cells of a sweep as Ray tasks.

    A cell that loses its worker (killed, out of memory) is not tried again: it comes back as a failed job, and the
    others go on. Machines of a cluster need kd_lab and the caller's folder, at the same path.

    Args:
        address: a running cluster, `auto`, `HOST:PORT` or `ray://HOST:PORT`; None starts one on this machine that
            listens on 127.0.0.1 alone, and ends it after the cells.
        num_cpus: cores that a cell reserves, and its threads.
        num_gpus: GPUs that a cell reserves; 0.5 puts two cells on one.
        cluster_cpus: cores of the cluster that `address=None` starts; None takes all that this process may use. Over
            num_cpus: cells at once.
    """

    def __init__(
        self,
        address: NonEmpty | None = None,
        num_cpus: Cores = 1,
        num_gpus: Gpus = 0,
        cluster_cpus: Threads | None = None,
    ) -> None:
        self.address, self.num_cpus, self.num_gpus, self.cluster_cpus = address, num_cpus, num_gpus, cluster_cpus

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keeps what a job is made of.

        Raises:
            UserError: Ray is not installed, or a number is none that a cell can run with.
        """
        if not self.num_cpus > 0:  # Ray takes 0 for "no limit", and would start every cell at once
            raise UserError("hydra.launcher.num_cpus", expected="above 0", got=str(self.num_cpus), cure="1 is usual.")
        if find_spec("ray") is None:
            raise UserError(
                "hydra/launcher=ray", expected="the package ray", got="none", cure="pip install 'kd_lab[ray]'"
            )
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Runs a batch of cells, as many at once as the cluster has room for.

        Returns:
            what each job returned, in the order given; status FAILED where its worker died.

        Raises:
            UserError: the cluster cannot be reached, or a cell wants more than it has.
        """
        jobs = [(initial_job_idx + number, list(overrides)) for number, overrides in enumerate(job_overrides)]
        with redirect_stdout(sys.stderr), self._cluster() as ray:  # stdout is for tables
            common = (self.hydra_context, self.config, self.task_function, Singleton.get_state())
            packed = ray.put(ray.cloudpickle.dumps(common))
            cell = ray.remote(kd_lab_cell).options(num_cpus=self.num_cpus, num_gpus=self.num_gpus, max_retries=0)
            asked = [cell.remote(packed, overrides, number, os.getcwd(), self._sent()) for number, overrides in jobs]
            return [self._result(ray, task, job) for task, job in zip(asked, jobs, strict=True)]

    @contextmanager
    def _cluster(self) -> Iterator[Any]:
        for name, value in {**_SETTINGS, **(_LOOPBACK if self.address is None else {})}.items():
            os.environ.setdefault(name, value)
        import ray

        if self.address is None:
            ray.init(
                "local", num_cpus=self.cluster_cpus or cores.usable(), include_dashboard=False, logging_level="error"
            )
        else:
            try:
                _knock(self.address)
                ray.init(self.address, logging_level="error")
            except (OSError, ValueError, ImportError) as error:
                raise UserError(
                    "hydra.launcher.address",
                    expected="a Ray cluster that answers",
                    got=f"{self.address}: {(str(error) or type(error).__name__).splitlines()[0].rstrip('.')}",
                    cure="hydra.launcher.address=null starts one on this machine.",
                ) from error
        try:
            if self.address is None:
                self._check_room(ray.cluster_resources())
            yield ray
        finally:
            ray.shutdown()

    def _check_room(self, there: Mapping[str, float]) -> None:
        """Ray would wait for ever for what a cluster of one machine will never have."""
        for name, wanted, kind in (("num_cpus", self.num_cpus, "CPU"), ("num_gpus", self.num_gpus, "GPU")):
            if wanted > there.get(kind, 0):
                raise UserError(
                    f"hydra.launcher.{name}",
                    expected=f"at most the {there.get(kind, 0):g} {kind}s of the cluster",
                    got=f"{wanted:g}",
                    cure="Lower it.",
                )

    def _sent(self) -> dict[str, str]:
        ours = {name: value for name, value in os.environ.items() if self._is_sent(name)}
        return {**ours, "OMP_NUM_THREADS": str(max(1, round(self.num_cpus)))}

    def _is_sent(self, name: str) -> bool:
        return name in _SENT or (name.startswith(_OURS) and not any(word in name for word in _SECRET))

    def _result(self, ray: Any, task: Any, job: tuple[int, list[str]]) -> JobReturn:
        number, overrides = job
        try:
            done: JobReturn = ray.get(task)
        except ray.exceptions.RayError as error:
            why = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            say(f"{number + 1}. lost: {why}")
            done = JobReturn(overrides=overrides, status=JobStatus.FAILED)
            done.return_value = RuntimeError(why)
        return done


def _knock(address: str) -> None:
    """Asks in five seconds what Ray asks in minutes: whether anybody is there."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon:
        socket.create_connection((host, int(port)), timeout=5).close()


def kd_lab_cell(
    packed: bytes, overrides: list[str], number: int, folder: str, environment: dict[str, str]
) -> JobReturn:
    """Runs one job in a worker; its name is what Ray writes before the worker's lines."""
    os.environ.update(environment)
    os.chdir(folder)
    leave_out_working_folder()  # Ray puts it there
    from ray import cloudpickle

    # Unpacked here and not by Ray: it imports torch, which reads the environment once.
    hydra_context, config, task_function, singletons = cloudpickle.loads(packed)
    setup_globals()
    Singleton.set_state(singletons)
    job = hydra_context.config_loader.load_sweep_config(config, overrides)
    with open_dict(job):
        job.hydra.job.id = f"{job.hydra.job.name}_{number}"
        job.hydra.job.num = number
    HydraConfig.instance().set_config(job)
    return run_job(
        hydra_context=hydra_context,
        config=job,
        task_function=task_function,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )
