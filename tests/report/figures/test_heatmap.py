from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from pictures import cell, lost, setting, study, words

from kd_lab.report.figures import heatmap


def test_the_grid_holds_means_over_seeds_with_numbers_in_order() -> None:
    found = heatmap.grid(
        [
            setting({"t": 10, "a": 0.5}, cell(0.80, 0), cell(0.90, 1)),
            setting({"t": 2, "a": 0.5}, cell(0.70)),
            setting({"t": 2, "a": 0.1}, cell(0.60)),
            setting({"t": 10, "a": 0.1}, failed=(lost(),)),
        ]
    )
    assert (found.x, found.y, found.x_values, found.y_values) == ("t", "a", ("2", "10"), ("0.1", "0.5"))
    np.testing.assert_allclose(found.panels[0].means(), [[60, np.nan], [70, 85]])


def test_numeric_axes_with_most_values_are_drawn_and_the_others_become_panels() -> None:
    found = heatmap.grid(study())
    assert (found.x, found.y) == ("loss.temperature", "loss.alpha")
    assert [panel.title for panel in found.panels] == ["model=distilbert_mini", "model=lstm_attention", "model=$tiny^"]
    assert found.panels[0].means().shape == (5, 4)


def test_panels_beyond_six_are_told_and_not_averaged(tmp_path: Path, drawn: list[Figure]) -> None:
    many = [setting({"m": f"m{m}", "t": t, "a": a}, cell(0.8)) for m in range(9) for t in (1, 2) for a in (1, 2)]
    found = heatmap.grid(many)
    assert (len(found.panels), found.hidden) == (6, 3)
    heatmap.draw(many, tmp_path / "heatmap")
    assert any("3 more panels not shown" in " ".join(text.split()) for text in words(drawn[0]))


@pytest.mark.parametrize(
    "values",
    [
        [{}],
        [{"t": 1}, {"t": 2}],
        [{"t": 1, "a": 1}, {"t": 2, "a": 1}],
        [{"t": t / 7, "a": a} for t in range(20) for a in (1, 2)],
    ],
    ids=["no axis", "one axis", "one value", "a search"],
)
def test_without_a_grid_nothing_is_drawn(values: list[dict[str, object]], tmp_path: Path) -> None:
    assert heatmap.draw([setting(one, cell(0.8)) for one in values], tmp_path / "heatmap") == []
    assert list(tmp_path.iterdir()) == []


def test_a_cell_says_its_mean_and_spread_or_why_it_has_none(tmp_path: Path, drawn: list[Figure]) -> None:
    heatmap.draw(
        [
            setting({"t": 1, "a": 1}, cell(0.80, 0), cell(0.82, 1), failed=(lost(),)),
            setting({"t": 2, "a": 1}, failed=(lost(),)),
            setting({"t": 1, "a": 2}, failed=(lost("pruned"),)),
        ],
        tmp_path / "heatmap",
    )
    told = words(drawn[0])
    assert {"81.0", "± 1.4", "2 of 3", "failed", "pruned", "not run"} <= set(told)
    caption = next(text for text in told if "Hatched" in text)
    assert "1 failed, 1 pruned, 1 not run" in caption
    assert "1,000 rows: an accuracy of 81.0 % is known to ± 2.4 points" in " ".join(caption.split())


def test_the_frame_goes_by_validation_and_not_by_test(tmp_path: Path, drawn: list[Figure]) -> None:
    grid = [setting({"t": t, "a": a}, cell(0.8 + t / 100, validation=0.9 - t / 10)) for t in (1, 2) for a in (1, 2)]
    heatmap.draw(grid, tmp_path / "heatmap")
    assert any("(framed): t=1 a=1." in text for text in words(drawn[0]))


def test_differences_within_the_noise_do_not_fill_the_colours(tmp_path: Path, drawn: list[Figure]) -> None:
    grid = [setting({"t": t, "a": a}, cell(0.8 + t / 1000)) for t in (1, 2) for a in (1, 2)]
    heatmap.draw(grid, tmp_path / "heatmap")
    low, high = drawn[0].axes[-1].get_ylim()
    assert high - low == pytest.approx(4.95, abs=0.02)  # twice 1.96 sqrt(0.802 * 0.198 / 1000), in points
    assert (low + high) / 2 == pytest.approx(80.15)


def test_text_stays_inside_its_cell(tmp_path: Path, drawn: list[Figure]) -> None:
    half = [replace(one, failed=(lost(),)) if one.cells else one for one in study()]
    heatmap.draw(half, tmp_path / "heatmap")
    canvas = drawn[0].canvas
    canvas.draw()  # texts are placed
    for here in drawn[0].axes[:3]:
        for text in here.texts:
            box = text.get_window_extent(canvas.get_renderer())  # type: ignore[attr-defined]
            corners = here.transData.inverted().transform([(box.x0, box.y0), (box.x1, box.y1)])
            low, high = np.round(corners)
            assert low.tolist() == high.tolist(), f"{text.get_text()!r} reaches into another cell"
