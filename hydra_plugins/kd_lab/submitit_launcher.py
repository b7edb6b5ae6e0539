"""`hydra/launcher=slurm` and `slurm_local`: submitit's launchers, made to wait for every cell though one is lost.

Those of the plug-in raise at the first job without a result, while the others still run, and their results are lost
to the sweep's table.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf

from kd_lab.core.progress import say

_INSTALLED = find_spec("hydra_plugins.hydra_submitit_launcher") is not None

if _INSTALLED:  # without it Hydra says so: conf/hydra/launcher/slurm.yaml stands on the plug-in's own
    from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf
    from hydra_plugins.hydra_submitit_launcher.submitit_launcher import BaseSubmititLauncher

    class _Patient(BaseSubmititLauncher):
        def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
            """Submits a batch of cells and waits for all of them.

            Returns:
                what each job returned, in the order given; status FAILED where it was killed, timed out or cancelled.
            """
            Path(str(self.config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
            jobs = [
                (list(overrides), "hydra.sweep.dir", number, f"job_id_for_{number}", Singleton.get_state())
                for number, overrides in enumerate(job_overrides, initial_job_idx)
            ]
            submitted = self._executor().map_array(self, *zip(*jobs, strict=True))
            return [_result(job, overrides) for job, (overrides, *_) in zip(submitted, jobs, strict=True)]

        def _executor(self) -> Any:
            import submitit

            params = dict(self.params)
            at_start = {f"{self._EXECUTOR}_max_num_timeout": params.pop("max_num_timeout", None)}
            at_start = {name: value for name, value in at_start.items() if value is not None}
            executor = submitit.AutoExecutor(params.pop("submitit_folder"), cluster=self._EXECUTOR, **at_start)
            of_all = OmegaConf.structured(BaseQueueConf)
            executor.update_parameters(
                **{name if name in of_all else f"{self._EXECUTOR}_{name}": value for name, value in params.items()}
            )
            return executor

    def _result(job: Any, overrides: list[str]) -> JobReturn:
        try:
            done: JobReturn = job.results()[0]
        except Exception as error:  # submitit has a kind of its own for each way in which a job can be lost
            why = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            say(f"job {job.job_id} lost: {why}")
            done = JobReturn(overrides=overrides, status=JobStatus.FAILED)
            done.return_value = RuntimeError(why)
        return done

    class SlurmLauncher(_Patient):
        """Each cell is a task of a job array."""

        _EXECUTOR = "slurm"

    class LocalLauncher(_Patient):
        """Each cell is a process of this machine, all at once: what SLURM would do, to be tried without a cluster."""

        _EXECUTOR = "local"
