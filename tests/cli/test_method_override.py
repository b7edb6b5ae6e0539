"""A loss beside method=baseline would make a distilled student of it, and is refused."""

from __future__ import annotations

import pytest

from kd_lab.__main__ import command
from kd_lab.cli.method_override import check_method


@pytest.mark.parametrize(
    "given",
    [
        ["method=baseline", "loss=logit_mse"],
        ["-m", "method=baseline,distilled", "loss=logit_mse"],
        ["-m", "method=distilled,baseline", "loss=kl,cross_entropy"],
    ],
)
def test_it_is_refused_with_the_axis_that_gives_both_rows(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command(given) == 2
    said = capsys.readouterr().err.strip()
    assert "method=baseline: expected its own loss, cross_entropy, got loss=" in said
    cure = said.partition("sweep the loss: ")[2].rstrip(".").split()
    assert cure[0] == "-m"
    check_method(cure[1:])


@pytest.mark.parametrize(
    "given",
    [
        ["method=distilled", "loss=logit_mse"],
        ["method=baseline", "loss.alpha=0.5"],
        ["method=baseline", "loss=cross_entropy"],
        ["loss=cross_entropy,logit_mse"],
    ],
)
def test_what_does_not_contradict_itself_is_taken(given: list[str]) -> None:
    check_method(given)
