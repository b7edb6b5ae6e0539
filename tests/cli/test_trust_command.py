"""Only who starts a run, or a report, trusts a package: a result that says so itself is not believed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from quick_lines import EPOCH, STUDENT, TOY

from kd_lab.__main__ import command
from kd_lab.core import code_hash, results, trust

QUICK = [*TOY, *STUDENT, EPOCH, "teacher=none", "hydra.searchpath=[file://conf]"]
TERM = """\
from pathlib import Path

from kd_lab.losses.term.cross_entropy import CrossEntropy

Path("imported").touch()


class Mine(CrossEntropy):
    pass
"""


@pytest.fixture
def line(workplace: Path, own_package: Path, toy_csv: Path) -> list[str]:
    """What runs a cell under a loss of the user's own, but for the trust; conf/ beside it holds the loss."""
    (own_package / "term.py").write_text(TERM)
    Path("conf/loss").mkdir(parents=True)
    Path("conf/loss/own.yaml").write_text(
        "_target_: kd_lab.losses.weighted_sum.WeightedSum\n"
        f"terms: {{mine: {{_target_: {own_package.name}.term.Mine}}}}\nweights: {{mine: 1.0}}\n"
    )
    return [*QUICK, "loss=own"]


def refused(line: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that it is refused with; nothing was imported, nothing is left trusted."""
    capsys.readouterr()
    assert command(line) == 2
    said = capsys.readouterr().err
    (told,) = [one for one in said.splitlines() if one.startswith("kd-lab: ")]
    assert "Traceback" not in said
    assert not Path("imported").exists()
    assert trust.names() == ()
    return told


def forget(package: Path) -> None:
    """As in a new process."""
    Path("imported").unlink()
    for kept in (code_hash._closure, code_hash._hash, code_hash._imported, code_hash._read):
        kept.cache_clear()
    for module in [name for name in sys.modules if name.partition(".")[0] == package.name]:
        del sys.modules[module]


def test_a_loss_of_the_users_own_runs_where_the_line_trusts_its_package_and_is_renamed_by_an_edit(
    line: list[str], own_package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = refused(line, capsys)
    assert f"loss.terms.mine._target_: expected a class of kd_lab, got {own_package.name}.term.Mine" in told
    assert f"trust.packages=[{own_package.name}]" in told
    assert not Path("multirun").exists()
    assert command([*line, f"trust.packages=[{own_package.name}]"]) == 0
    (file,) = Path("multirun").glob("*/*/result.json")
    assert "trust" not in file.parent.name, "who is trusted makes a cell no other one"
    assert trust.names() == ()
    first = results.read(file.parent).fingerprint
    (own_package / "term.py").write_text(TERM.replace("pass", "scale = 2"))
    forget(own_package)
    assert command([*line, f"trust.packages=[{own_package.name}]"]) == 0
    now = results.read(file.parent).fingerprint
    assert {kind for kind in first if first[kind] != now[kind]} == {"fit", "compressed", "result"}


def test_a_users_yaml_may_trust_and_a_sweep_trusts_for_all_its_cells(
    line: list[str], own_package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trusting = f"trust.packages=[{own_package.name}],[]"
    assert "trust.packages: expected the same for all cells" in refused(["-m", *line, trusting], capsys)
    Path("conf/experiments").mkdir()
    Path("conf/experiments/mine.yaml").write_text(
        f"# @package _global_\ntrust: {{packages: [{own_package.name}]}}\n"
        "hydra: {mode: MULTIRUN, sweeper: {params: {seed: '0,1'}}}\nname: mine\n"
    )
    assert command([*line, "experiments=mine"]) == 0
    assert len(list(Path("multirun/mine").glob("*/result.json"))) == 2


@pytest.mark.parametrize("given", ["[os]", "[subprocess]", "[kd_lab]", "os", "null", "[a.b]", "[nowhere_at_all]"])
def test_what_is_no_package_of_ones_own_is_told_in_a_line(
    given: str, line: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert "kd-lab: trust.packages: expected " in refused([*line, f"trust.packages={given}"], capsys)


@pytest.mark.parametrize("given", ["trust=null", "~trust"])
def test_no_trust_at_all_is_trust_in_nobody(given: str, line: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert "loss.terms.mine._target_" in refused([*line, given], capsys)


def test_a_result_is_not_trusted_by_what_it_says_itself(
    line: list[str], own_package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its config names who was trusted when it was made; whoever sent it may have written that."""
    assert command([*line, f"trust.packages=[{own_package.name}]", "name=sent", "compression=[prune_l1]"]) == 0
    (file,) = Path("multirun").glob("sent/*/result.json")
    assert json.loads(file.read_text())["config"]["trust"] == {"packages": [own_package.name]}
    forget(own_package)
    for verb in (["--gate"], ["--frontier", "--rounds", "1"]):
        told = refused(["report", "sent", *verb], capsys)
        assert f"loss.terms.mine._target_: expected a class of kd_lab, got {own_package.name}.term.Mine" in told
        assert f"--trust {own_package.name}" in told
    assert command(["report", "sent"]) == 0, "to read results no class is needed"
    assert not Path("imported").exists()
    assert command(["report", "sent", "--gate", "--trust", own_package.name]) in (0, 1)
    assert Path("imported").exists()
    forget(own_package)
    assert "--trust: expected a package of your own" in refused(["report", "sent", "--trust", "os"], capsys)


def test_a_model_that_could_not_be_loaded_again_is_refused_before_any_fit(
    line: list[str], own_package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (own_package / "model.py").write_text(
        "from dataclasses import dataclass\n"
        "from kd_lab.models.lstm_attention import LstmAttention, LstmAttentionClassifier\n\n\n"
        "class Own(LstmAttentionClassifier):\n    pass\n\n\n"
        "@dataclass(frozen=True)\nclass Honest(LstmAttention):\n    @property\n"
        "    def kind(self):\n        return Own\n\n\n"
        "@dataclass(frozen=True)\nclass Lying(LstmAttention):\n    def build(self, surroundings):\n"
        "        return Own(super().build(surroundings).config).train()\n"
    )
    given = [*line, "loss=cross_entropy", f"trust.packages=[{own_package.name}]"]
    for name in ("Honest", "Lying"):
        told = refused([*given, f"model._target_={own_package.name}.model.{name}"], capsys)
        assert "kd-lab: model: expected a classifier that can be saved and loaded: CnnClassifier, EncoderC" in told
        assert f"got {own_package.name}.model.Own" in told
        assert not list(Path("own_cache").glob("fit/*/model"))
