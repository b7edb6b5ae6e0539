"""What a run ran on: the machine, the packages and the commit; and the device and precision that suit it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess  # git and sysctl with fixed arguments, no shell
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

import psutil

from kd_lab.core import cores
from kd_lab.core.paths import root

Device = Literal["cuda", "mps", "cpu"]  # the fastest first
Precision = Literal["bf16-mixed", "32-true"]

FEATURES = (  # the processor's instructions that decide how fast a classifier is
    "avx2",
    "avx512f",
    "avx512_bf16",
    "avx512_vnni",
    "avx512_fp16",
    "avx_vnni",
    "amx_tile",
    "amx_bf16",
    "amx_int8",
    "asimd",
    "asimddp",
    "i8mm",
    "bf16",
    "sve",
)
PACKAGES = (  # what a number in a result can depend on
    "kd_lab",
    "torch",
    "transformers",
    "tokenizers",
    "datasets",
    "pytorch-lightning",
    "torchmetrics",
    "onnx",
    "onnxruntime",
    "openvino",
    "nncf",
    "gensim",
    "scikit-learn",
    "scipy",
    "numpy",
    "hydra-core",
    "mlflow",
)
COMPUTING = (  # what a time can depend on: it computes, or makes the graph that is computed
    "torch",
    "transformers",
    "onnx",
    "onnxruntime",
    "openvino",
    "nncf",
    "numpy",
)
CPUINFO = Path("/proc/cpuinfo")
_GENERATED = (":(exclude)*.md", ":(exclude)experiments/*/result.json")  # what a run writes is no change of its code
# A hook sets them to the repository it is called in.
_GIT = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"}


def describe_machine() -> dict[str, Any]:
    """The machine as `result.json` records it.

    Returns:
        what `processor` says, `threads` (torch's), `memory_gib`, `device` (the GPU's name, "mps" or "cpu").
    """
    import torch

    device: str = best_device()
    return {
        **processor(),
        "threads": torch.get_num_threads(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "device": torch.cuda.get_device_name() if device == "cuda" else device,
    }


def processor() -> dict[str, Any]:
    """What of the machine computes, and decides how fast.

    Returns:
        `processor` (its name), `architecture`, `cores` (logical ones that this process may use, see `cores.usable`),
        `features` (of `FEATURES`, empty where there is no /proc/cpuinfo).
    """
    return {
        "processor": _processor(),
        "architecture": platform.machine(),
        "cores": cores.usable(),
        "features": features(),
    }


def features() -> list[str]:
    """Those of `FEATURES` that this processor has; empty where there is no /proc/cpuinfo."""
    flags = set(_cpuinfo("flags", "Features").split())
    return [name for name in FEATURES if name in flags]


def best_device() -> Device:
    """The fastest place to fit a model here."""
    return next(name for name in get_args(Device) if has_device(name))


def limit_threads() -> None:
    """Has torch compute with no more threads than cores that this process may use; OMP_NUM_THREADS has its way.

    torch knows of affinity and not of a container's quota, which would stop all of its threads again and again.
    """
    import torch

    if "OMP_NUM_THREADS" not in os.environ and torch.get_num_threads() > cores.usable():
        torch.set_num_threads(cores.usable())


def has_device(name: str) -> bool:
    """Whether torch can compute on it here."""
    import torch

    if name == "cuda":
        return torch.cuda.is_available()
    return name == "cpu" or torch.backends.mps.is_available()


def best_precision(device: str) -> Precision:
    """bfloat16 where `device` multiplies it in hardware, else float32 (MPS included, which emulates much of it)."""
    import torch

    if device == "cuda":
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    fast = device == "cpu" and {"amx_bf16", "avx512_bf16"} & set(features())
    return "bf16-mixed" if fast else "32-true"


def versions(packages: Sequence[str] | None = None) -> dict[str, str]:
    """Package -> version, of Python and of those that are installed; without `packages` of those in `PACKAGES`."""
    found = {"python": platform.python_version()}
    for name in PACKAGES if packages is None else packages:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@cache
def own_commit() -> str | None:
    """The commit of the code that this process runs: as it was when first asked for, since what is imported stays."""
    return git_commit(root())


def git_commit(checkout: Path) -> str | None:
    """The commit of kd_lab's own checkout in this folder, with "-dirty" where tracked files were changed; else None.

    A wheel in the environment of another project lies within that project's repository: its commit is not kd_lab's.
    Markdown and committed results do not count: one that is written would make the next look unclean.
    """
    git = ("git", "--no-optional-locks", "-C", str(checkout))
    top, own = _output(*git, "rev-parse", "--show-toplevel"), _output(*git, "ls-files", "--", "kd_lab/__init__.py")
    if not top or not own or Path(top).resolve() != checkout.resolve():
        return None
    commit = _output(*git, "rev-parse", "HEAD")
    if not commit:
        return None
    changed = _output(*git, "status", "--porcelain", "--untracked-files=no", "--", ".", *_GENERATED)
    return commit if changed == "" else f"{commit}-dirty"


def _processor() -> str:
    name = _cpuinfo("model name")
    if not name and platform.system() == "Darwin":
        name = _output("sysctl", "-n", "machdep.cpu.brand_string") or ""
    return name or platform.processor() or platform.machine()


def _cpuinfo(*keys: str) -> str:
    """The first value that /proc/cpuinfo gives under one of `keys`, or "" where there is none."""
    try:
        lines = CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    pairs = (line.partition(":") for line in lines)
    return next((value.strip() for key, _, value in pairs if key.strip() in keys), "")


def _output(*command: str) -> str | None:
    """What a program prints, stripped, or None where it is missing, fails or hangs."""
    surroundings = {name: value for name, value in os.environ.items() if name not in _GIT}
    try:
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, timeout=10, check=True, env=surroundings
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
