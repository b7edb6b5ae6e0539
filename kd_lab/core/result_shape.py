"""What must hold of a result.json beyond its schema: reports read these parts without looking twice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kd_lab.core.nested import is_number

STATUSES = ("finished", "failed", "pruned")
_OBJECTS = (
    "config",
    "versions",
    "machine",
    "fingerprint",
    "metrics",
    "fidelity",
    "teacher",
    "cost",
    "compression",
    "durations_s",
)
# Of config.
_PARTS = ("dataset", "model", "loss", "teacher", "compression", "tracking", "search", "paths", "evaluation")
_NUMBERS = {  # wherever they stand below metrics, fidelity, cost and teacher
    "accuracy", "f1_macro", "agreement", "kl", "parameters", "parameters_nonzero", "size_mib", "speedup", "p50", "p95",
    "epoch", "ece", "nll", "balanced_accuracy", "majority_rate", "class_ratio",
}  # fmt: skip


def check(result: Mapping[str, Any]) -> None:
    """Refuses a result of which a part is of another kind than `RunResult` says.

    Args:
        result: its fields by name.

    Raises:
        ValueError: naming the part.
    """
    for name in ("name", "cell"):
        _need(isinstance(result[name], str) and "\0" not in result[name], name, "a text")
    _need(result["status"] in STATUSES, "status", f"one of {', '.join(STATUSES)}")
    for name in ("error", "git_commit"):
        _need(result[name] is None or isinstance(result[name], str), name, "a text or null")
    for name in _OBJECTS:
        _need(isinstance(result[name], dict), name, "an object")
    for name in ("overrides", "warnings"):
        _need(_list_of(result[name], str), name, "a list of texts")
    _need(_list_of(result["history"], dict), "history", "a list of objects")
    for name in ("metrics", "teacher.metrics"):
        first, _, second = name.partition(".")
        splits = result[first].get(second) or {} if second else result[first]
        _need(isinstance(splits, dict) and _list_of(list(splits.values()), dict), name, "objects, one for each split")
    for name in ("fidelity", "durations_s"):
        _need(all(map(_number, result[name].values())), name, "numbers")
    _need(all(isinstance(text, str) for text in result["fingerprint"].values()), "fingerprint", "texts")
    if result["teacher"]:
        for name in ("model", "fingerprint"):
            _need(isinstance(result["teacher"].get(name), str), f"teacher.{name}", "a text")
        _need(isinstance(result["teacher"].get("cost") or {}, dict), "teacher.cost", "an object")
    for name in ("metrics", "cost", "teacher"):
        _check_numbers(result[name], name)
    _check_config(result["config"])


def _check_config(config: Mapping[str, Any]) -> None:
    for name in _PARTS:
        part = config.get(name)
        _need(part is None or isinstance(part, dict), f"config.{name}", "an object or null")
    _need(config.get("seed") is None or isinstance(config["seed"], int), "config.seed", "a whole number")
    loss = config.get("loss") or {}
    for name in ("terms", "weights"):
        _need(isinstance(loss.get(name) or {}, dict), f"config.loss.{name}", "an object")
    terms = (loss.get("terms") or {}).values()
    _need(all(isinstance(term, dict) and "_target_" in term for term in terms), "config.loss.terms", "classes")


def _check_numbers(tree: Any, where: str) -> None:
    for key, value in tree.items() if isinstance(tree, dict) else ():
        if key in _NUMBERS:
            _need(value is None or _number(value), f"{where}.{key}", "a number")
        elif key.endswith("_interval"):
            _need(value is None or (_list_of(value, int | float) and len(value) == 2), f"{where}.{key}", "two numbers")
        elif key == "selective":
            _need(_list_of(value, list), f"{where}.{key}", "a list of rows")
        elif key == "latency_ms":
            _need(value is None or isinstance(value, dict), f"{where}.{key}", "an object")
        _check_numbers(value, f"{where}.{key}")


def _number(value: Any) -> bool:
    return is_number(value) and abs(value) < 1e300


def _list_of(values: Any, kind: Any) -> bool:
    return isinstance(values, list) and all(isinstance(value, kind) for value in values)


def _need(holds: bool, name: str, kind: str) -> None:
    if not holds:
        raise ValueError(f"{name} is not {kind}")
