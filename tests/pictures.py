"""Cells and settings made by hand, and what any written figure must be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from kd_lab.core.results import RunResult
from kd_lab.evaluation.paired_tests import Comparison
from kd_lab.report.study.gain import Gain
from kd_lab.report.study.settings import Setting

TEACHER = {
    "model": "minilm",
    "fingerprint": "t",
    "metrics": {"test": {"accuracy": 0.95}},
    "cost": {"size_mib": 86.6, "latency_ms": {"p50": 9.0}},
}


def cell(
    accuracy: float, seed: int = 0, *, validation: float = 0.5, mib: float = 20, ms: float = 2, rows: int = 1000
) -> RunResult:
    return RunResult(
        name="study",
        cell=f"{accuracy},{seed}",
        status="finished",
        config={"seed": seed},
        metrics={
            "test": {"accuracy": accuracy, "rows": rows, "accuracy_interval": [accuracy - 0.02, accuracy + 0.02]},
            "validation": {"accuracy": validation},
        },
        cost={"size_mib": mib, "latency_ms": {"p50": ms}},
        teacher=TEACHER,
        fidelity={"agreement": accuracy},
    )


def setting(values: Mapping[str, object], *cells: RunResult, failed: tuple[RunResult, ...] = ()) -> Setting:
    return Setting({axis: str(value) for axis, value in values.items()}, cells, failed)


def lost(status: str = "failed") -> RunResult:
    return RunResult(name="study", cell="lost", status=status, config={"seed": 0}, error="the fit went astray")


def gain_of(student: str, low: float, high: float, teacher: dict[str, object] = TEACHER) -> Gain:
    """A student's, from one accuracy with labels alone to another."""
    settings = [setting({"model": student}, replace(cell(score), teacher=teacher)) for score in (high, low)]
    comparison = Comparison(high - low, high - low - 0.03, high - low + 0.03, 0.0, 1)
    return Gain("toy", student, *settings, comparison, 0.0, "")


def study(long: str = "") -> list[Setting]:
    """4 temperatures, 5 alphas, 3 models, 2 seeds; one setting failed."""
    pick, found = np.random.default_rng(0), []
    for mib, model in ((40, "distilbert_mini"), (12, "lstm_attention"), (9, "$tiny^")):
        for temperature in (8, 1, 4, 2):
            for alpha in (0.1, 0.3, 0.5, 0.7, 0.9):
                values = {"model": model + long, "loss.temperature": temperature, "loss.alpha": alpha}
                scores = 0.8 + mib / 1000 + 0.02 * pick.random(2)
                cells = [cell(float(score), seed, mib=mib, ms=mib / 10) for seed, score in enumerate(scores)]
                broken = model == "$tiny^" and temperature == 8 and alpha == 0.9
                found.append(setting(values, *([] if broken else cells), failed=(lost(),) if broken else ()))
    return found


def words(figure: Figure) -> list[str]:
    """Every text in a figure."""
    return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]


def must_be_pictures(files: list[Path], again: list[Path]) -> None:
    """PNG and SVG of one stem, something drawn, nothing at the border, no date, the same bytes twice."""
    assert [file.suffix for file in files] == [".png", ".svg"]
    for file, other in zip(files, again, strict=True):
        assert file.read_bytes() == other.read_bytes()
    with Image.open(files[0]) as picture:
        assert "Software" not in picture.info
        pixels = np.asarray(picture.convert("L"))
    assert len(np.unique(pixels)) > 30
    assert all((edge == 255).all() for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1])), "cut off"
    text = files[1].read_text(encoding="utf-8")
    assert "<dc:date>" not in text
    ElementTree.fromstring(text)  # noqa: S314 - our own file
