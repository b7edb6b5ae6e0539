"""A frontier as a table: for the terminal, Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.table import Table

from kd_lab.core import tables
from kd_lab.core.errors import disk_errors
from kd_lab.core.nested import leaves
from kd_lab.core.reading import reading
from kd_lab.core.tables import MISSING, milliseconds
from kd_lab.report.release.frontier import BUSY, COMPRESSED, Frontier
from kd_lab.report.study import measures
from kd_lab.report.study.documents import write_texts

SCHEMA = 1
_SCOPES = {"accuracy_in_scope": "in scope", "recall_out_of_scope": "OOS recall"}
_WORDS = ("label", "role", "model", "method", "cell", "data_set", "fronts")  # of a row
_STYLES = {"teacher": "bold", "uncompressed": "bold"}
Row = Mapping[str, Any]  # of a model, by dotted names


def rows(models: Sequence[Row]) -> list[dict[str, str]]:
    """A row for each model, teachers first, all with the same columns in the same order.

    Accuracy is test's with its 95 % interval; smaller and faster are against the teacher; ms are medians of one query
    a time, `p50` to `p99` of real ones; energy only where it was measured.
    """
    scopes = [name for name in _SCOPES if any(row.get(name) is not None for row in models)]
    lengths = _shapes(models, "shapes.1x")
    energy = any(row["energy_j_per_1000"] is not None for row in models)
    found = []
    for row in models:
        told = {"model": row["label"], "accuracy": _rate(row, "accuracy")}
        told |= {_SCOPES[name]: _rate(row, name) for name in scopes}
        told["MiB"] = f"{row['size_mib']:.1f}"
        told["smaller"] = MISSING if row["smaller"] is None else f"{100 * row['smaller']:.1f} %"
        told |= {f"{name} ms": milliseconds(row[f"queries.{name}"]) for name in ("p50", "p95", "p99")}
        told["p50 with tokenisation"] = milliseconds(row["queries_with_tokenisation.p50"])
        told |= {f"{length} tokens": milliseconds(row[name]) for name, length in lengths.items()}
        told["speed-up"] = MISSING if row["speedup"] is None else f"{row['speedup']:.1f}x"
        told["peak MiB"] = f"{row['peak_memory_mib']:.0f}"
        if energy:
            told["J per 1,000"] = MISSING if (joule := row["energy_j_per_1000"]) is None else f"{joule:.1f}"
        told["Pareto"] = " + ".join(row["fronts"].split()) or MISSING
        found.append(told)
    return found


def batch_rows(models: Sequence[Row]) -> list[dict[str, str]]:
    """A row for each model: median ms of every batch and length."""
    shapes = _shapes(models, "shapes.")
    return [
        {"model": row["label"], **{shape: milliseconds(row[name]) for name, shape in shapes.items()}} for row in models
    ]


def lines(frontier: Frontier) -> list[str]:
    """How it was measured, and what could not be."""
    here, timing = frontier.machine, frontier.timing
    n = frontier.rows[0]["queries"]["n"]
    sentences = [
        f"Measured in one run on {here['processor']}, {here['threads']} of {here['cores']} threads, instructions: "
        f"{', '.join(here['features']) or 'unknown'}. {timing['rounds']} rounds, all models by turns; "
        f"{n} queries each.",
        "speed-up: the teacher's median in torch, float32, over the model's, real queries one by one, without "
        "tokenisation. Pareto: no model of the data set is as accurate and as cheap, and better in one.",
    ]
    if timing["contended"]:
        sentences.append(BUSY)
    if timing["remeasured"]:
        sentences.append(f"{timing['remeasured']} rounds were measured again, since other processes were busy in them.")
    if all(row["energy_j_per_1000"] is None for row in frontier.rows):
        sentences.append("Energy: not measured; this machine shows no counters under /sys/class/powercap.")
    return [*sentences, *frontier.missing]


def to_rich(frontier: Frontier) -> Table:
    """The table for the terminal."""
    body = rows(flat_rows(frontier))
    styles = [
        "green" if row["fronts"] and row["role"] == COMPRESSED else _STYLES.get(row["role"], "")
        for row in frontier.rows
    ]
    title, head = f"{frontier.name}: every model measured in one run", list(body[0])
    by_length = [name for name in head if name.endswith(" tokens")]
    spare = ["peak MiB", "p99 ms", "p95 ms", *by_length, "p50 with tokenisation", "J per 1,000", "smaller"]
    lines = (list(row.values()) for row in body)
    return tables.to_rich(title, head, lines, words=range(1), spare=spare, styles=styles)


def to_markdown(frontier: Frontier, command: str) -> str:
    """The whole page.

    Args:
        command: what made it.
    """
    notes, (main, by_batch) = tables.bullets(lines(frontier)), to_tables(flat_rows(frontier))
    return (
        f"# {frontier.name}: accuracy against size and latency\n\nMade by `{command}`; not to be edited.\n\n"
        f"{main}\n{notes}\nMedian ms by batch x tokens, random word pieces:\n\n{by_batch}"
    )


def to_tables(models: Sequence[Row]) -> tuple[str, str]:
    """The two tables of the page."""
    return _markdown(rows(models)), _markdown(batch_rows(models))


def to_csv(frontier: Frontier) -> str:
    """A row for each model, every number unrounded, under dotted names."""
    return tables.to_csv(flat_rows(frontier))


def flat_rows(frontier: Frontier) -> list[Row]:
    """The rows of a `Frontier` under dotted names: an interval as `.low` and `.high`, the fronts as one text."""
    return [dict(_flat(row)) for row in frontier.rows]


def from_csv(path: Path) -> Sequence[Row]:
    """The `flat_rows` that `to_csv` wrote; a number that a row lacks is None.

    Raises:
        UserError: there is no such file, or it is none of these.
    """
    with reading(path, expected="a frontier's rows", cure="Write it anew: kd-lab report NAME --frontier."):
        with path.open(encoding="utf-8", newline="") as file:
            lines = list(csv.DictReader(file, strict=True))
        found = [{name: _read(name, text) for name, text in line.items()} for line in lines]
        to_tables(found)  # all that a table needs is there
    return found


def write(frontier: Frontier, page: str, folder: Path) -> list[Path]:
    """Writes frontier.json, .csv, .md (which holds `page`) and the figures into `folder`."""
    from kd_lab.report.release import frontier_figure

    texts = {
        "frontier.json": json.dumps({"schema": SCHEMA, **asdict(frontier)}, indent=1) + "\n",
        "frontier.csv": to_csv(frontier),
        "frontier.md": page,
    }
    with disk_errors(folder):
        return [*write_texts(folder, texts), *frontier_figure.draw(frontier, folder / "frontier")]


def _shapes(models: Sequence[Row], start: str) -> dict[str, str]:
    """Name of a median under `start` -> what stands between the two, such as "8x16"."""
    names = (name for name in models[0] if name.startswith(start) and name.endswith(".p50"))
    return {name: name.removeprefix(start).removesuffix(".p50") for name in names}


def _rate(row: Row, name: str) -> str:
    low, high = (row.get(f"{name}_interval.{end}") for end in ("low", "high"))
    return MISSING if low is None or high is None else f"{100 * row[name]:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def _markdown(body: Sequence[Mapping[str, str]]) -> str:
    return tables.to_markdown(list(body[0]), (list(row.values()) for row in body), words=range(1))


def _read(name: str, text: str) -> float | str | None:
    number = measures.number(text)
    return text if name in _WORDS else number if number is not None else text or None


def _flat(row: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in leaves(row):
        if name == "fronts":
            yield name, " ".join(value)
        elif isinstance(value, Sequence) and not isinstance(value, str):
            yield from ((f"{name}.{end}", one) for end, one in zip(("low", "high"), value, strict=True))
        else:
            yield name, value
