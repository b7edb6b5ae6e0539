"""A user's own package is trusted by name and as a whole; nothing that Python happens to have is, nor what is not."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from kd_lab.core import signature, trust
from kd_lab.core.cache import fingerprint
from kd_lab.core.errors import UserError
from kd_lab.core.instantiate import TARGET, build

TERM = """\
import dataclasses
from typing import Optional, Union

import torch

from kd_lab.losses.base import Term


class Mine(Term):
    needs = frozenset()

    def __init__(self, power: float = 2.0, own: "int" = 1, path: torch.Size = None, a: Optional[list[int]] = None,
                 b: Union[int, str] = 0, anything=None) -> None:
        super().__init__()
        self.power, self.own, self.path, self.a, self.b, self.anything = power, own, path, a, b, anything

    def forward(self, student, batch):
        return student.logits.sum() * 0


class Stranger:
    pass


def make():
    open("made", "w")


replaced = make
alias = Mine
"""


@pytest.fixture
def term(own_package: Path) -> str:
    """The dotted name of a module with a term, in a package that is trusted."""
    (own_package / "terms.py").write_text(TERM)
    trust.trust_packages([own_package.name])
    return f"{own_package.name}.terms"


def loss(target: Any, **options: Any) -> dict[str, Any]:
    terms = {"mine": {TARGET: target, **options}}
    return {TARGET: "kd_lab.losses.weighted_sum.WeightedSum", "terms": terms, "weights": {"mine": 1.0}}


def refused(settings: dict[str, Any], where: str = "loss") -> UserError:
    with pytest.raises(UserError) as caught:
        build(settings, where)
    assert "\n" not in str(caught.value)
    assert not Path("made").exists()
    return caught.value


# who may be trusted


@pytest.mark.parametrize(
    ("packages", "got"),
    [
        ("my_package", "'my_package'"),
        (None, "None"),
        ({"os": 1}, "{'os': 1}"),
        ([1], "1"),
        (["os"], "os, a part of Python"),
        (["subprocess"], "subprocess, a part of Python"),
        (["importlib"], "importlib, a part of Python"),
        (["builtins"], "builtins, a part of Python"),
        (["kd_lab"], "kd_lab, kd_lab's own, which needs no trust"),
        (["hydra_plugins"], "hydra_plugins, kd_lab's own, which needs no trust"),
        (["os.path"], "'os.path'"),
        (["../evil"], "'../evil'"),
        (["a-b"], "'a-b'"),
        ([""], "''"),
        (["*"], "'*'"),
        (["no_such_package_anywhere"], "no_such_package_anywhere, which is not found"),
        (["six"], "six, which is no folder with an __init__.py"),
        (["__main__"], "__main__, which is"),
    ],
)
def test_what_is_no_package_of_a_users_own_is_trusted_by_no_name(packages: Any, got: str) -> None:
    trust.trust_packages(())
    with pytest.raises(UserError) as caught:
        trust.trust_packages(packages)
    assert caught.value.where == "trust.packages"
    assert caught.value.got.startswith(got)
    assert "\n" not in str(caught.value)
    assert trust.names() == ()


def test_a_folder_without_an_init_is_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "loose_folder").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=r"no folder with an __init__\.py"):
        trust.trust_packages(["loose_folder"])


def test_who_is_trusted_now_is_all_who_are_and_none_is_imported(own_package: Path) -> None:
    (own_package / "__init__.py").write_text("open('made', 'w')\n")
    trust.trust_packages([own_package.name])
    assert trust.names() == (own_package.name,)
    assert own_package.name not in sys.modules
    with pytest.raises(UserError):
        trust.trust_packages([own_package.name, "os"])
    assert trust.names() == (), "a line that is refused leaves nobody trusted"


# what may be named then


def test_a_class_of_a_trusted_package_is_made_and_its_options_are_checked(term: str) -> None:
    made = build(loss(f"{term}.Mine", power=3.0), "loss")
    assert made.terms["mine"].power == 3.0
    assert len(fingerprint(made)) == 16
    assert refused(loss(f"{term}.Mine", power="x")).where == "loss.terms.mine.power"
    assert refused(loss(f"{term}.Mine", own=1.5)).where == "loss.terms.mine.own"
    assert refused(loss(f"{term}.Mine", a=["x"])).where == "loss.terms.mine.a"
    assert refused(loss(f"{term}.Mine", pwer=1)).expected.startswith("an option of Mine: power, own, path, a, b")
    plain = {"path": {"any": [1]}, "b": "text", "anything": [None]}
    assert build(loss(f"{term}.Mine", **plain), "loss").terms["mine"].anything == [None]


@pytest.mark.parametrize(
    "name",
    [
        "terms.make",  # a function
        "terms.replaced",
        "terms.alias",  # a class by a name that its file does not define it under
        "terms.torch.nn.Linear",  # another's class through a module that is trusted
        "terms.Term",
        "terms.dataclasses",
        "terms.Nothing",
        "terms",
        "no_such_module.Mine",
        "terms..Mine",
        "..os.system",
        "terms.Mine.forward",
    ],
)
def test_what_is_no_class_that_a_file_of_the_package_defines_is_refused(name: str, term: str) -> None:
    package = term.partition(".")[0]
    told = refused(loss(f"{package}.{name}"))
    assert told.where == "loss.terms.mine._target_"
    assert told.expected == f"a class of kd_lab or {package}"
    assert package not in sys.modules


def test_the_rest_of_the_world_stays_refused_while_one_is_trusted(term: str) -> None:
    for target in ("os.system", "torch.nn.Linear", f"{term.partition('.')[0]}_evil.terms.Mine", "subprocess.Popen"):
        assert refused(loss(target)).where == "loss.terms.mine._target_"
    for cure in (refused(loss("os.system")).cure, refused(loss(5)).cure):
        assert "trust" not in cure
    assert "trust.packages=[torch]" in refused(loss("torch.nn.Linear")).cure


def test_a_class_stands_only_where_it_has_what_its_place_demands(term: str) -> None:
    told = refused({TARGET: f"{term}.Stranger"}, "model")
    assert (told.where, told.expected) == ("model._target_", "a model")
    assert told.got.endswith("which has no build, kind, name, starts_from_teacher")
    told = refused(loss(f"{term}.Stranger"))
    assert told.expected == "a kd_lab.losses.base.Term"
    assert refused(loss(f"{term}.Mine", anything={TARGET: f"{term}.Stranger"})).expected == "plain data here"
    assert refused(loss(f"{term}.Mine", anything=[{"x": {TARGET: f"{term}.Stranger"}}])).got == f"{term}.Stranger"


def test_a_trusted_class_is_none_of_hydras_plug_ins(term: str) -> None:
    assert refused({TARGET: f"{term}.Mine"}, "hydra.launcher").where == "hydra.launcher._target_"


@pytest.mark.parametrize(
    ("text", "got"),
    [
        ("class Mine(:\n", "invalid syntax"),
        ("import no_such_library\nfrom kd_lab.losses.base import Term\nclass Mine(Term):\n  pass\n", "ModuleNotFound"),
        (
            "from kd_lab.losses.base import Term\n@lambda kind: print\nclass Mine(Term):\n  pass\n",
            "<built-in function print>",
        ),
        (
            "import os\nfrom kd_lab.losses.base import Term\n@lambda kind: os.PathLike\nclass Mine(Term):\n  pass\n",
            "<class 'os",
        ),
    ],
)
def test_a_file_that_is_wrong_is_one_clear_line(text: str, got: str, term: str) -> None:
    package = Path(sys.path[0]) / term.partition(".")[0]
    (package / "broken.py").write_text(text)
    told = refused(loss(f"{package.name}.broken.Mine"))
    assert told.got.startswith(got)
    assert "broken" in told.where


def test_trust_that_is_withdrawn_holds_no_longer(term: str) -> None:
    assert signature.exists(f"{term}.Mine")
    trust.trust_packages(())
    assert not signature.exists(f"{term}.Mine")
    assert refused(loss(f"{term}.Mine")).cure.endswith(
        f"trust.packages=[{term.partition('.')[0]}] (kd-lab report: --trust {term.partition('.')[0]})."
    )
