from __future__ import annotations

import pytest
from matplotlib.figure import Figure

from kd_lab.report.figures import style


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that would have been written."""
    seen: list[Figure] = []
    monkeypatch.setattr(style, "save", lambda figure, stem: seen.append(figure) or [stem])
    return seen
