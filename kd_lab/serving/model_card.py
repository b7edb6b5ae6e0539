"""README.md of a deployable folder: what the model is, what was measured of it, how it was made, how to load it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from kd_lab.core.nested import at
from kd_lab.core.results import RunResult
from kd_lab.core.tables import one_line, to_markdown
from kd_lab.data.dataset import MULTI_LABEL
from kd_lab.serving.cascade import SELECTIVE, operating_points
from kd_lab.serving.served import Served, ask
from kd_lab.serving.snippets import SAYS, SEVERAL, SNIPPETS, Kind

_LONGEST = 600  # letters of a step's notes


def model_card(result: RunResult, kind: Kind, card: Mapping[str, Any], served: Served | None = None) -> str:
    """Markdown with the front matter that the Hugging Face hub reads; every number is one of `result`.

    Args:
        result: of the finished cell that the model belongs to.
        kind: what loads the model.
        card: its classifier.json: labels, how many of them a text may bear, and max_tokens.
        served: the run whose model MLflow serves; None where there is none yet.
    """
    result = result.public()
    labels, multi_label = card["labels"], card.get("task") == MULTI_LABEL
    model, data = at(result.config, "model.name"), at(result.config, "dataset.name")
    teacher = result.teacher.get("model")
    steps = list(result.config.get("compression") or {})
    taught = f", taught by {teacher}" if teacher else ""
    smaller = f", compressed by {', '.join(steps)}" if steps else ""
    pairs = bool(at(result.config, "dataset.pair_column"))
    of_which = ", of which a text may bear several" if multi_label else ""
    parts = [
        _front_matter(result, kind, steps),
        f"# {model} on {data}",
        f"A classifier of {'pairs of texts' if pairs else 'texts'} into {len(labels)} classes{of_which}{taught}"
        f"{smaller}. Inputs longer than {card['max_tokens']} word pieces are cut.",
        "## Use",
        _use(kind, pairs, multi_label),
        *([_serving(served, pairs)] if served else []),
        "## Measured",
        _measured(result),
        *_when_sure(result),
        "## How it was made",
        _made(result),
    ]
    if result.warnings:
        parts += ["## Warnings", "\n".join(f"- {one_line(text)}" for text in result.warnings)]
    parts += ["## Classes", ", ".join(f"`{one_line(label)}`" for label in labels)]
    return "\n\n".join(parts) + "\n"


def _front_matter(result: RunResult, kind: Kind, steps: Sequence[str]) -> str:
    data = str(at(result.config, "dataset.hub_id") or at(result.config, "dataset.name"))
    test, model = result.metrics.get("test", {}), str(at(result.config, "model.name"))
    distilled = ["knowledge-distillation"] if result.teacher else []
    lines = [f"library_name: {kind}", "pipeline_tag: text-classification", "tags:"]
    lines += [f"- {json.dumps(tag)}" for tag in ("text-classification", *distilled, *steps)]
    lines += ["datasets:", f"- {json.dumps(data)}", "metrics:", "- accuracy", "- f1", "model-index:"]
    lines += [f"- name: {json.dumps(model)}", "  results:", "  - task:", "      type: text-classification"]
    lines += ["    dataset:", f"      name: {json.dumps(data)}", f"      type: {json.dumps(data)}", "      split: test"]
    lines += ["    metrics:"]
    for name, kept in (("accuracy", "accuracy"), ("f1", "f1_macro")):
        if kept in test:
            lines += [f"    - type: {name}", f"      name: {kept}", f"      value: {json.dumps(test[kept])}"]
    return "\n".join(["---", *lines, "---"])


def _use(kind: Kind, pairs: bool, multi_label: bool) -> str:
    ours, text = '["a first text", "another"]', '"a first text" "another"'
    if pairs:
        seconds = '["what it is held against", "and this"]'
        both = '[("a first text", "what it is held against"), ("another", "and this")]'
        texts, text = both if kind == "onnx" else f"{ours}, {seconds}", "--csv FILE --pair-column NAME"
    else:
        texts = ours
    snippet = (SEVERAL if multi_label else SNIPPETS)[kind].format(texts=texts)
    shell = f"On the command line:\n\n```bash\nkd-lab predict --model . {text}\n```"
    return f"{SAYS[kind]}\n\n```python\n{snippet}```\n\n{shell}"


def _serving(served: Served, pairs: bool) -> str:
    lines = f"```bash\n{served.line()}\n```\n\n```bash\n{ask(pairs)}\n```"
    return f"Over HTTP, by the MLflow that keeps the run, and a question from another terminal:\n\n{lines}"


def _when_sure(result: RunResult) -> list[str]:
    """What the model keeps above a threshold of its probability, on validation."""
    rows = [row for row in operating_points(at(result.metrics, f"validation.{SELECTIVE}")) if row.threshold]
    rows = rows[: 1 + sum(row.coverage > 0 for row in rows)]  # of those that keep nothing the first says it
    if not rows:
        return []
    cascade = any(row.cascade is not None for row in rows)
    head = ["least probability", "rows kept", "of these right", *(["right, the teacher answering the rest"] * cascade)]
    lines = []
    for row in rows:
        rates = (row.coverage, row.accuracy, *([row.cascade] * cascade))
        lines.append([f"{row.threshold:g}", *("-" if rate is None else f"{100 * rate:.1f} %" for rate in rates)])
    said = "Where it is sure, on validation; `kd-lab predict --abstain P` leaves the rest to a human, `--ask DIR` asks"
    return [f"{said} another model of it:\n\n{to_markdown(head, lines, words=()).rstrip()}"]


def _measured(result: RunResult) -> str:
    test, cost = result.metrics.get("test", {}), result.cost
    rows = [
        ("all labels right" if "f1_micro" in test else "test accuracy", _rate(test, "accuracy")),
        ("balanced accuracy", _rate(test, "balanced_accuracy")),
        ("micro-F1", _rate(test, "f1_micro")),
        ("macro-F1", _rate(test, "f1_macro")),
        ("mean average precision", _rate(test, "mean_average_precision")),
        ("accuracy in scope", _rate(test, "accuracy_in_scope")),
        ("recall out of scope", _rate(test, "recall_out_of_scope")),
        ("AUROC out of scope", _rate(test, "auroc_out_of_scope")),
        ("agreement with the teacher", _rate(result.fidelity, "agreement")),
        ("teacher's test accuracy", _rate(at(result.teacher, "metrics.test"), "accuracy")),
        ("parameters", f"{cost['parameters']:,}" if "parameters" in cost else ""),
        ("of these not zero", f"{cost['parameters_nonzero']:,}" if "parameters_nonzero" in cost else ""),
        ("weights on disk", f"{cost['size_mib']:.2f} MiB" if "size_mib" in cost else ""),
        ("latency, one text a time", _latency(cost)),
        ("throughput, 32 texts a time", f"{cost['throughput_per_s']:.0f} /s" if "throughput_per_s" in cost else ""),
        ("speed-up over the teacher", f"{cost['speedup']:.2f}x" if cost.get("speedup") else ""),
        ("machine", _machine(result)),
    ]
    table = "\n".join(f"| {name} | {value} |" for name, value in rows if value)
    return f"| on {test.get('rows', 'all')} rows of test, 95 % intervals | |\n|---|---|\n{table}"


def _rate(values: Mapping[str, Any] | None, name: str) -> str:
    if not values or name not in values:
        return ""
    interval = values.get(f"{name}_interval")
    over = f" [{100 * interval[0]:.2f}, {100 * interval[1]:.2f}]" if interval else ""
    return f"{100 * values[name]:.2f} %{over}"


def _latency(cost: Mapping[str, Any]) -> str:
    times = cost.get("latency_ms")
    if not times:
        return ""
    busy = " (while other processes were busy)" if cost.get("contended") else ""
    return f"p50 {times['p50']:.2f} ms, p95 {times['p95']:.2f} ms with {cost.get('threads')} threads{busy}"


def _machine(result: RunResult) -> str:
    about = result.machine
    features = ", ".join(about.get("features", []))
    return f"{about.get('processor')}, {about.get('cores')} cores{f' ({features})' if features else ''}"


def _made(result: RunResult) -> str:
    command = shlex.join(["kd-lab", *result.overrides])
    lines = [
        f"- study and cell: `{result.name}/{result.cell}`",
        f"- made by `{command}`",
        f"- data set: {at(result.config, 'dataset.name')}, seed {result.config.get('seed')}",
        f"- teacher: {result.teacher.get('model', 'none')}",
        f"- kd_lab's git commit: {result.git_commit or 'unknown'}",
        f"- versions: {', '.join(f'{name} {version}' for name, version in result.versions.items())}",
    ]
    for name, options in (result.config.get("compression") or {}).items():
        given = ", ".join(f"{key}={_short(value)}" for key, value in options.items() if key != "_target_")
        lines.append(f"- step {name}" + (f": {given}" if given else ""))
        if notes := result.compression.get(name):
            lines.append(f"  - {_short(notes)}")
    return "\n".join(lines)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... (the rest stands in result.json)"
