from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pictures import cell, lost, setting

from kd_lab.report.figures.pareto_front import front

SIZE = "cost.size_mib"


def test_the_front_is_what_none_beats_cheapest_first() -> None:
    dear, cheap, beaten, middle = (
        setting({"m": name}, cell(score, mib=mib))
        for name, score, mib in (("dear", 0.9, 40), ("cheap", 0.7, 5), ("beaten", 0.75, 30), ("middle", 0.8, 20))
    )
    assert front([dear, cheap, beaten, middle], SIZE) == [cheap, middle, dear]


def test_equals_stay_together_and_the_less_accurate_of_one_size_goes() -> None:
    one, twin, less = (setting({"t": t}, cell(score, mib=10)) for t, score in ((1, 0.8), (2, 0.8), (3, 0.79)))
    assert front([less, one, twin], SIZE) == [one, twin]


def test_the_front_goes_by_means_over_seeds() -> None:
    lucky = setting({"t": 1}, cell(0.95, 0, mib=10), cell(0.75, 1, mib=10))  # mean 0.85
    steady = setting({"t": 2}, cell(0.86, 0, mib=10), cell(0.86, 1, mib=10))
    assert front([lucky, steady], SIZE) == [steady]


def test_settings_without_a_number_are_left_out() -> None:
    assert front([setting({"t": 1}, failed=(lost(),))], SIZE) == []
    assert front([setting({"t": 1}, cell(0.8))], "cost.unheard_of") == []


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 5)), max_size=12))
def test_the_front_is_that_of_the_definition(points: list[tuple[int, int]]) -> None:
    every = [setting({"n": n}, cell(score / 10, mib=mib)) for n, (score, mib) in enumerate(points)]
    best = {
        str(n)
        for n, (score, mib) in enumerate(points)
        if not any(s >= score and m <= mib and (s, m) != (score, mib) for s, m in points)
    }
    assert {one.values["n"] for one in front(every, SIZE)} == best
