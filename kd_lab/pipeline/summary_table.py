"""Results as a table, for the terminal and for Markdown; every number comes from a RunResult."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table

from kd_lab.core import nested, tables
from kd_lab.core.nested import at
from kd_lab.core.results import RunResult
from kd_lab.core.tables import MISSING, milliseconds, one_line
from kd_lab.evaluation.balanced_accuracy import uneven

COLUMNS = (
    "model",
    "method",
    "test accuracy",
    "macro-F1",
    "agreement",
    "parameters / non-zero",
    "size MiB",
    "p50 ms",
    "p95 ms",
    "speed-up",
)
BALANCED = "balanced accuracy"  # a column after that of test accuracy where classes of test are uneven
MICRO = "micro-F1"  # and where rows may bear several labels
EXTRA = {BALANCED: "balanced_accuracy", MICRO: "f1_micro"}  # such columns -> the metric of test
_SPARE = ("p95 ms", "macro-F1", BALANCED, "agreement", "parameters / non-zero", "p50 ms", "size MiB", "speed-up")
_NAMED = {"data set": "dataset.name", "teacher": "teacher.model.name"}
_NAMES = 2  # of the columns say what a row is; what tells rows apart stands after them
_WORDS = range(_NAMES)
_STYLES = {"teacher": "bold"}
# Parts of a config that do not make a row another row.
_UNTOLD = {"name", "search", "paths", "tracking", "evaluation", "also_on"}
_WITHOUT_TEACHER = ("CrossEntropy", "Entropy", "VirtualAdversarial", MISSING)  # terms that ask no teacher
_LETTERS = 60  # of an error that fit into a cell


def rows(results: Sequence[RunResult]) -> list[dict[str, str]]:
    """One row for each distinct teacher, then one for each result, all with the same columns in the same order.

    The columns are `COLUMNS`, those of `EXTRA` among them that one of the results `shows`, and, after the method,
    whatever tells rows apart: data set, teacher, loss, seed, and any option in which rows of the same making differ.
    Accuracy is that of test with its 95 % interval, of rows that may bear several labels the share that has all of them
    right; agreement is that with the teacher; latency is that of one example a time; speed-up is over the teacher.
    """
    teachers = {result.teacher["fingerprint"]: result for result in reversed(results) if result.teacher}
    told = [("teacher", result) for result in reversed(teachers.values())] + [("", result) for result in results]
    heads = _telling(results)
    more = [head for head in EXTRA if any(head in shows(result) for result in results)]
    found = []
    for role, result in told:
        if role == "teacher":
            names = {"model": str(result.teacher["model"]), "method": "teacher"}
            own = _flat(result)  # a teacher is known by its own options and its data, whichever cell tells of it
            extra = {head: str(own[key]) if _of_teacher(key) and key in own else MISSING for key, head in heads.items()}
            about = {**result.teacher, "fidelity": {}, "error": None}
        else:
            names = {"model": str(at(result.config, "model.name") or MISSING), "method": method(result.config)}
            extra = {head: str(_flat(result).get(key, MISSING)) for key, head in heads.items()}
            about = {"metrics": result.metrics, "cost": result.cost, "fidelity": result.fidelity, "error": result.error}
        found.append({**names, **extra, **_numbers(about, more)})
    return found


def shows_balanced(result: RunResult) -> bool:
    """Whether balanced accuracy is of interest: classes of test are `uneven`, or the fit went by classes alike."""
    trainer = result.config.get("trainer")
    chosen = trainer if isinstance(trainer, Mapping) else {}
    asked = chosen.get("sampling") == "balanced" or chosen.get("monitor") == "balanced_accuracy"
    return asked or uneven(result.metrics.get("test") or {})


def shows(result: RunResult) -> list[str]:
    """Which of `EXTRA` are of interest for a result."""
    several = "f1_micro" in (result.metrics.get("test") or {})
    return [head for head, there in ((BALANCED, shows_balanced(result)), (MICRO, several)) if there]


def method(config: Mapping[str, Any]) -> str:
    """What was done, read off the resolved config: "baseline" or "distilled", then the steps of compression."""
    first = "distilled" if _distils(config.get("loss") or {}) else "baseline"
    return " + ".join([first, *(config.get("compression") or {})])


def notes(results: Sequence[RunResult]) -> list[str]:
    """Every error in full, and every warning, each once."""
    failed = [f"{result.cell} failed: {one_line(result.error)}" for result in results if result.error]
    return list(dict.fromkeys([*failed, *(one_line(text) for result in results for text in result.warnings)]))


def to_rich(results: Sequence[RunResult], title: str) -> Table:
    """The table for the terminal, with `notes` under it."""
    body = rows(results)
    styles = ["red" if row["test accuracy"].startswith("failed") else _STYLES.get(row["method"], "") for row in body]
    lines = [list(row.values()) for row in body]
    caption = "\n".join(notes(results)) or None
    return tables.to_rich(
        title, list(body[0] if body else COLUMNS), lines, words=_WORDS, spare=_SPARE, styles=styles, caption=caption
    )


def to_markdown(results: Sequence[RunResult]) -> str:
    """The table as GitHub shows it, with `notes` as a list under it; ends with a line break."""
    body, under = rows(results), tables.bullets(notes(results))
    head = list(body[0] if body else COLUMNS)
    table = tables.to_markdown(head, (list(row.values()) for row in body), words=_WORDS)
    return f"{table}\n{under}" if under else table


def _numbers(about: Mapping[str, Any], more: Sequence[str]) -> dict[str, str]:
    test, cost = at(about, "metrics.test") or {}, about.get("cost") or {}
    interval, speedup = test.get("accuracy_interval"), cost.get("speedup")
    accuracy = _percent(test.get("accuracy"))
    if interval:
        accuracy += f" [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"
    if about["error"]:
        text = one_line(about["error"])
        accuracy = "failed: " + (text if len(text) <= _LETTERS else text[: _LETTERS - 1] + "…")
    counts = [_count(cost[name]) for name in ("parameters", "parameters_nonzero") if cost.get(name) is not None]
    cells = (
        accuracy,
        _percent(test.get("f1_macro")),
        _percent(at(about, "fidelity.agreement")),
        " / ".join(counts) or MISSING,
        MISSING if (size := cost.get("size_mib")) is None else f"{size:.1f}",
        *(MISSING if (one := at(cost, f"latency_ms.{name}")) is None else milliseconds(one) for name in ("p50", "p95")),
        MISSING if speedup is None else f"{speedup:.1f}x",
    )
    first, *rest = zip(COLUMNS[_NAMES:], cells, strict=True)
    return dict([first, *((head, _percent(test.get(EXTRA[head]))) for head in more), *rest])


def _telling(results: Sequence[RunResult]) -> dict[str, str]:
    """What rows must say beside model and method: key in `_flat` -> column.

    Data set and teacher where there are several; an option where it differs between rows that are alike in all these.
    """
    flat: list[dict[str, Any]] = []
    alike: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for result in results:
        told = _flat(result)
        kind = (str(at(result.config, "model.name")), method(result.config), *(told[name] for name in _NAMED))
        flat.append(told)
        alike.setdefault(kind, []).append(told)
    shown = [name for name in _NAMED if len({told[name] for told in flat}) > 1]
    keys = sorted({key for told in flat for key in told} - set(_NAMED))
    for key in keys:
        if any(len({told[key] for told in group if key in told}) > 1 for group in alike.values()):
            shown.append(key)
    short = [key.rpartition(".")[2] for key in shown]
    return {key: name if short.count(name) == 1 else key for key, name in zip(shown, short, strict=True)}


def _flat(result: RunResult) -> dict[str, Any]:
    """Everything that may tell a result's row from others: `_NAMED`, the loss, and options by their dotted names."""
    told: dict[str, Any] = {name: str(at(result.config, path) or MISSING) for name, path in _NAMED.items()}
    told["loss"] = " + ".join(_terms(result.config.get("loss") or {}))
    return told | {key: value for key, value in flat_options(result.config) if _told(key)}


def _of_teacher(key: str) -> bool:
    """Whether a teacher's own row says it."""
    return key == "data set" or ("." in key and key.partition(".")[0] in ("dataset", "teacher"))


def _told(key: str) -> bool:
    """Whether an option may become a column: not where a class, a name or a place stands."""
    return key.partition(".")[0] not in _UNTOLD and not key.endswith(("_target_", ".name"))


def flat_options(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted name, value) of everything in a config; a list is one value, as text."""
    for name, value in nested.leaves(config, prefix):
        yield name, str(value) if isinstance(value, list) else value


def _terms(loss: Mapping[str, Any]) -> list[str]:
    """Names of the terms that have weight, by the classes that compute them; a loss without terms is itself."""
    terms, weights = loss.get("terms"), loss.get("weights") or {}
    if not terms:
        return [str(loss.get("_target_", MISSING)).rpartition(".")[2]]
    return [str(term["_target_"]).rpartition(".")[2] for name, term in terms.items() if weights.get(name, 1)]


def _distils(loss: Mapping[str, Any]) -> bool:
    on_labels = loss.get("alpha") == 1 and loss.get("alpha_end") in (None, 1)
    return not on_labels and any(term not in _WITHOUT_TEACHER for term in _terms(loss))


def _percent(rate: float | None) -> str:
    return MISSING if rate is None else f"{100 * rate:.1f} %"


def _count(number: int) -> str:
    return f"{number / 1e6:.1f} M" if number >= 1e5 else f"{number / 1e3:.1f} k"
