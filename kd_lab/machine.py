"""What a run ran on: the machine, the packages and the commit; and the device and precision that suit it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess  # git and sysctl with fixed arguments, no shell
from pathlib import Path
from typing import Any, Literal

import psutil

Device = Literal["cuda", "mps", "cpu"]
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
CPUINFO = Path("/proc/cpuinfo")
_GIT = {
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_PREFIX",
}  # a hook sets them to the repository it is called in


def describe_machine() -> dict[str, Any]:
    """The machine as `result.json` records it.

    Returns:
        `processor` (its name), `architecture`, `cores` (logical), `threads` (torch's), `features` (of `FEATURES`,
        empty where there is no /proc/cpuinfo), `memory_gib`, `device` (the GPU's name, "mps" or "cpu").
    """
    import torch

    device: str = best_device()
    return {
        "processor": _processor(),
        "architecture": platform.machine(),
        "cores": psutil.cpu_count(logical=True),
        "threads": torch.get_num_threads(),
        "features": features(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "device": torch.cuda.get_device_name() if device == "cuda" else device,
    }


def features() -> list[str]:
    """Those of `FEATURES` that this processor has; empty where there is no /proc/cpuinfo."""
    flags = set(_cpuinfo("flags", "Features").split())
    return [name for name in FEATURES if name in flags]


def best_device() -> Device:
    """The fastest place to fit a model here."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def best_precision(device: str) -> Precision:
    """bfloat16 where `device` multiplies it in hardware, else float32 (MPS included, which emulates much of it)."""
    import torch

    if device == "cuda":
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    fast = device == "cpu" and {"amx_bf16", "avx512_bf16"} & set(features())
    return "bf16-mixed" if fast else "32-true"


def versions() -> dict[str, str]:
    """Package -> version, of Python and of those in `PACKAGES` that are installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def git_commit(root: Path) -> str | None:
    """The commit of kd_lab's own checkout in `root`, with "-dirty" where tracked files were changed; else None.

    A wheel in the environment of another project lies within that project's repository: its commit is not kd_lab's.
    Markdown does not count: a report that writes its table would make the next result look unclean.
    """
    git = ("git", "--no-optional-locks", "-C", str(root))
    top, own = _output(*git, "rev-parse", "--show-toplevel"), _output(*git, "ls-files", "--", "kd_lab/__init__.py")
    if not top or not own or Path(top).resolve() != root.resolve():
        return None
    commit = _output(*git, "rev-parse", "HEAD")
    if not commit:
        return None
    changed = _output(*git, "status", "--porcelain", "--untracked-files=no", "--", ".", ":(exclude)*.md")
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
