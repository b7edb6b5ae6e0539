"""The gate's findings as a table with the reasons under it: for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from kd_lab.core import tables
from kd_lab.core.tables import MISSING
from kd_lab.evaluation.paired_tests import Comparison
from kd_lab.report.release.gate import Gate
from kd_lab.report.release.gate_verdict import ALL, ALONE, IN_SCOPE, OUT_OF_SCOPE, SHIP, STOP, Evidence, Export, points
from kd_lab.report.study import comparisons

_STYLES = {SHIP: "green", ALONE: "yellow", STOP: "red"}


def rows(gate: Gate) -> list[dict[str, str]]:
    """A row for each compressed cell, all with the same columns in the same order.

    Changes are in points of accuracy against the uncompressed cell of the same fit, with the paired 95 % interval; p
    is McNemar's; labels changed are those of rows fed in batches, or padded, against the same rows alone; size and p50
    are those of the uncompressed cell over the cell's own.
    """
    scoped = any(IN_SCOPE in found.accuracy or OUT_OF_SCOPE in found.accuracy for found, _ in gate.verdicts)
    lines = []
    for found, ruling in gate.verdicts:
        told = {"cell": found.label, "verdict": ruling.verdict, "accuracy": _points(found.accuracy.get(ALL))}
        told["p"] = _p(found.accuracy.get(ALL))
        if scoped:
            told |= {name: _points(found.accuracy.get(name)) for name in (IN_SCOPE, OUT_OF_SCOPE)}
        told["changed by batch"] = _changed(found, "batch")
        told["by padding"] = _changed(found, "padded")
        told["as in torch"] = _export(found.export)
        told["smaller"] = _times(found.size_ratio)
        told["faster"] = MISSING if found.contended else _times(found.latency_ratio)
        lines.append(told)
    return lines


def lines(gate: Gate) -> list[str]:
    """The reasons of each verdict, what else is to be known, and where it was measured."""
    sentences = []
    for found, ruling in gate.verdicts:
        sentences.append(f"{found.label}: {ruling.verdict}: {'; '.join(ruling.reasons)}.")
        if ruling.remarks:
            sentences.append(f"  also: {'; '.join(ruling.remarks)}.")
        for name, precision in found.precision.items():
            sentences.append(f"  {name} computes in {_flat(precision)}.")
    here = gate.machine
    features = ", ".join(here["features"]) or "unknown"
    sentences.append(f"Asked on {here['processor']}, {here['threads']} threads, instructions: {features}.")
    return sentences


def to_rich(gate: Gate) -> Table:
    """The table for the terminal."""
    body = rows(gate)
    styles = [_STYLES.get(row["verdict"], "dim") for row in body]
    title = f"{gate.name}: may it ship? {_margin(gate)}"
    return tables.to_rich(title, list(body[0]), (list(row.values()) for row in body), words=range(2), styles=styles)


def to_markdown(gate: Gate, command: str) -> str:
    """The whole page.

    Args:
        command: what made it.
    """
    body = rows(gate)
    table = tables.to_markdown(list(body[0]), (list(row.values()) for row in body), words=range(2))
    notes = tables.bullets(line.strip() for line in lines(gate))
    return (
        f"# {gate.name}: may it ship?\n\nMade by `{command}`; not to be edited. {_margin(gate)}.\n\n{table}\n"
        "Changes are in points against the uncompressed model of the same fit on the same test rows, with the paired "
        "95 % interval; p is McNemar's. Changed: labels of rows in batches of 8 / 64 unlike rows, and padded by 16 / "
        "to the longest input, against the same rows asked alone.\n\n"
        f"{notes}"
    )


def _margin(gate: Gate) -> str:
    return f"A loss of {points(gate.margin)} may be borne"


def _points(change: Comparison | None) -> str:
    return MISSING if change is None else comparisons.points(change)


def _p(change: Comparison | None) -> str:
    return MISSING if change is None else comparisons.rounded_p(change.p)


def _changed(found: Evidence, kind: str) -> str:
    told = [one for way, one in found.dependence.items() if way.startswith(kind)]
    return " / ".join(str(one.changed) for one in told) + f" of {min(one.rows for one in told):,}" if told else MISSING


def _export(export: Export | None) -> str:
    if export is None or export.missing:
        return MISSING
    return f"± {export.largest:.1g}" if export.exact else f"{100 * export.agreement:.2f} %"


def _times(ratio: float | None) -> str:
    return MISSING if not ratio else f"{1 / ratio:.2f}x"


def _flat(precision: Any) -> str:
    """What a step noted, in words: {"bf16": 12, "f32": 3} is "bf16: 12, f32: 3"."""
    if isinstance(precision, Mapping):
        return ", ".join(f"{key}: {_flat(value)}" for key, value in precision.items())
    several = isinstance(precision, Sequence) and not isinstance(precision, str)
    return ", ".join(map(str, precision)) if several else str(precision)
