"""Rounds of a benchmark: whose turn it is, which rounds count, and what is worked out from them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from experiments.speed import rounds
from experiments.speed.rounds import Measured, Ratio, Round, by_turns


class Machine:
    """A clock and a neighbour: each turn takes a second, and the neighbour uses `busy` cores while it is there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, neighbour: list[float]) -> None:
        self.now, self.used, self.turns, self.neighbour = 0.0, 0.0, [], neighbour
        monkeypatch.setattr(rounds, "time", SimpleNamespace(perf_counter=lambda: self.now))
        monkeypatch.setattr(rounds, "others_s", lambda: self.used)
        monkeypatch.setattr(rounds, "gc", SimpleNamespace(collect=lambda: 0))  # of all tests' objects: a second a turn

    def job(self, name: str, figure: float = 1.0):
        def turn() -> dict[str, float]:
            busy = self.neighbour[len(self.turns)] if len(self.turns) < len(self.neighbour) else 0.0
            self.turns.append(name)
            self.now += 1
            self.used += busy
            return {"rate": figure + len(self.turns) / 100}

        return turn


def test_every_second_round_goes_the_other_way_round(monkeypatch):
    machine = Machine(monkeypatch, [])
    measured = by_turns({name: machine.job(name) for name in "abc"}, 3)
    assert "".join(machine.turns) == "abccbaabc"
    assert [list(one.order) for one in measured.rounds] == [["a", "b", "c"], ["c", "b", "a"], ["a", "b", "c"]]
    assert all(list(one.figures) == ["a", "b", "c"] for one in measured.rounds)


def test_a_disturbed_round_is_thrown_away_and_measured_again(monkeypatch):
    machine = Machine(monkeypatch, [0, 0, 1.0, 0, 0, 0])  # the third turn, which is in the second round
    measured = by_turns({name: machine.job(name) for name in "ab"}, 2)
    assert "".join(machine.turns) == "abbaba"
    assert [one.figures["b"]["rate"] for one in measured.rounds] == [1.02, 1.05]
    assert [one.figures["b"]["rate"] for one in measured.thrown_away] == [1.03]
    assert measured.thrown_away[0].others_cores == 0.5
    assert measured.thrown_away[0].contended
    assert not measured.contended


def test_no_round_begins_after_the_time_that_is_given(monkeypatch):
    machine = Machine(monkeypatch, [])
    jobs = {name: machine.job(name) for name in "ab"}
    assert len(by_turns(jobs, 9, within=3.5).rounds) == 2
    assert len(by_turns(jobs, 9, within=0).rounds) == 1  # there is always one


def test_after_so_many_times_a_disturbed_round_is_kept_and_marked(monkeypatch, capsys):
    machine = Machine(monkeypatch, [1.0] * 9)
    measured = by_turns({"a": machine.job("a")}, 2, again=2, label="speed")
    assert len(machine.turns) == 6
    assert [one.figures["a"]["rate"] for one in measured.rounds] == [1.03, 1.06]
    assert len(measured.thrown_away) == 4
    assert measured.contended
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 6
    assert lines[0].startswith("speed round 1 of 2: a 1.01 rate")
    assert [line.endswith("thrown away)") for line in lines] == [True, True, False, True, True, False]
    assert lines[5].endswith("kept and marked)")


@pytest.mark.parametrize(("cores", "contended"), [(rounds.CONTENDED, False), (rounds.CONTENDED + 0.1, True)])
def test_a_little_of_others_is_no_disturbance(monkeypatch, cores, contended):
    machine = Machine(monkeypatch, [cores])
    assert by_turns({"a": machine.job("a")}, 1, again=0).contended is contended


def test_descendants_are_none_of_the_others(monkeypatch):
    """Those that were waited for, 30 + 5 s, and those that live, 8 + 2 s and 3 + 1 s of their own children."""
    monkeypatch.setattr(rounds, "cpu_s_of_others", lambda: 100.0)
    ended = SimpleNamespace(ru_utime=30.0, ru_stime=5.0)
    monkeypatch.setattr(rounds.resource, "getrusage", lambda who: {rounds.resource.RUSAGE_CHILDREN: ended}[who])
    alive = SimpleNamespace(
        cpu_times=lambda: SimpleNamespace(user=8.0, system=2.0, children_user=3.0, children_system=1.0)
    )
    monkeypatch.setattr(rounds.psutil, "Process", lambda: SimpleNamespace(children=lambda recursive: [alive]))
    assert rounds.others_s() == 51.0


def test_medians_and_ratios_are_those_of_the_rounds():
    """The ratio is taken in each round: that of the medians, 4 / 2, would be another."""
    rates = [(2.0, 1.0), (9.0, 2.0), (4.0, 4.0)]
    measured = Measured([Round("ab", {"a": {"rate": a}, "b": {"rate": b}}, 1, 0, False) for a, b in rates], [])
    assert measured.medians() == {"a": {"rate": 4.0}, "b": {"rate": 2.0}}
    assert measured.ratio("rate", "a", "b") == Ratio("rate", 2.0, 1.0, 4.5, 3)
    assert measured.ratio("rate", "b", "a").median == 0.5
