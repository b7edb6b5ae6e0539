"""Every option of conf/ refuses what it is not, by a line that names it, before anything is made or torch imported."""

from __future__ import annotations

import dataclasses
import inspect
import json
import math
import subprocess
import sys
import typing
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hydra.utils import get_object
from pydantic import TypeAdapter, ValidationError

from experiments.reliability.options import COMMANDS, WRONG, composed, leaves, option_files, try_all
from kd_lab.cli import check as check_verb
from kd_lab.cli.compose import register
from kd_lab.core import signature
from kd_lab.core.errors import UserError
from kd_lab.core.instantiate import TARGET, check, check_value, targets
from kd_lab.core.option_types import HasKey, Rule, example, fits, split
from kd_lab.core.signature import MISSING, Made


@cache
def classes() -> list[str]:
    """Those that files of conf/ name, and that have options."""
    named = {str(target) for chosen in option_files() for _, target in targets(composed(chosen)[0], "")}
    return sorted(target for target in named if signature.exists(target) and signature.options(target))


def each_class(test: Callable[[str], None]) -> Callable[[], None]:
    """The test over every class, as one: to name them takes composing every config. It says all that fail."""

    def over_all() -> None:
        wrong = []
        for target in classes():
            try:
                test(target)
            except (AssertionError, UserError) as error:
                wrong.append(f"{target}: {error}")
        assert not wrong, "\n".join(wrong)

    over_all.__doc__ = test.__doc__
    return over_all


def command(*given: str) -> UserError | None:
    register()
    try:
        check_verb.command(given)
    except UserError as error:
        return error
    return None


def refused(*given: str) -> UserError:
    told = command(*given)
    assert told is not None, f"{given} was taken"
    assert "\n" not in str(told)
    return told


def said_by_python(target: str) -> dict[str, Any]:
    """Name -> type of a constructor's arguments, as Python itself has them when the class is imported."""
    kind = get_object(target)
    of = kind if dataclasses.is_dataclass(kind) else kind.__init__
    hints = typing.get_type_hints(of, include_extras=True)
    return {name: hints[name] for name in inspect.signature(kind).parameters}


def of_classes(kind: Any) -> Iterator[type]:
    bare, _, _ = split(kind)
    for one in (bare, *typing.get_args(bare)):
        if isinstance(one, type) and issubclass(one, Made):
            yield one


# every option


@pytest.mark.parametrize("chosen", [*option_files(), "config"])
def test_each_option_is_refused_or_right_and_the_line_names_it(chosen: str) -> None:
    """A new YAML is covered without a word here: `try_all` walks what it composes."""
    tried = list(try_all([chosen]))
    for one in tried:
        if one.told is None:
            continue
        named = one.told.where == one.option or one.told.where.startswith(f"{one.option}.")
        assert named, f"{one.option}={one.value!r}: {one.told}"
        assert all((one.told.expected, one.told.got, one.told.cure))
        assert len(str(one.told)) < 800
        assert "\n" not in str(one.told)
    assert {one.wrong for one in tried} == (set(WRONG) if tried else set())


def test_the_walk_finds_the_options_that_the_issue_names() -> None:
    found = {option for chosen in (*option_files(), "config") for option in leaves(*composed(chosen))}
    assert {"seed", "name", "recovery", "paths.cache", "paths.multirun", "teacher.seed", "dataset.split.limit"} <= found
    assert {"model.hidden", "teacher.trainer.max_epochs", "loss.alpha", "compression.prune_l1.amount"} <= found
    assert {"tokenizer.max_tokens", "dataset.encoding", "tracking.uri", "evaluation.rounds", "search.number"} <= found
    assert {"hydra.sweeper.trials", "hydra.launcher.num_cpus", "loss.terms.kl.temperature"} <= found


@each_class
def test_what_is_read_from_the_source_is_what_python_says(target: str) -> None:
    """The check never imports the class, so it must not be of another opinion than the class."""
    read, real = signature.options(target), said_by_python(target)
    assert list(read) == list(real)
    for name, option in read.items():
        default = inspect.signature(get_object(target)).parameters[name].default
        assert (option.default is MISSING) == (default is inspect.Parameter.empty)
        if option.plain_default is not MISSING:
            assert option.plain_default == default
        if not list(of_classes(option.kind)):
            assert option.kind == real[name]
        for made in of_classes(option.kind):
            assert get_object(made.target).__module__ == made.target.rpartition(".")[0]


@each_class
def test_what_fits_is_what_pydantic_takes_in_strict_mode(target: str) -> None:
    values = [value for values in WRONG.values() for value in values]
    for name, kind in said_by_python(target).items():
        if list(of_classes(signature.options(target)[name].kind)) or any(
            isinstance(rule, Rule | HasKey) for rule in split(kind)[1]
        ):
            continue
        adapter = TypeAdapter(kind)
        for value in values:
            if (isinstance(value, float) and not math.isfinite(value)) or (
                isinstance(value, int) and abs(value) > 2**62
            ):
                continue  # JSON has no such number
            try:
                adapter.validate_json(json.dumps(value), strict=True)
                taken = True
            except ValidationError:
                taken = False
            assert fits(value, kind) == taken, f"{name}={value!r}"


@each_class
def test_the_value_that_a_cure_gives_is_right(target: str) -> None:
    for name, option in signature.options(target).items():
        if list(of_classes(option.kind)):
            continue
        if option.plain_default is not MISSING:
            check_value(option.plain_default, option.kind, name)
        told = example(option.kind)
        if told not in ("NAME", "null") and not told.startswith(("[", "{")):
            check_value(json.loads(told) if told[0].isdigit() or told == "true" else told, option.kind, name)


# lines as they are typed


@pytest.mark.parametrize(
    ("given", "where", "words"),
    [
        ("seed=x", "seed", "a whole number from 0 to 4294967295, got 'x'. Use e.g. seed=0, or leave it out."),
        ("seed=-1", "seed", "got -1"),
        ("seed=null", "seed", "got null"),
        ("seed=", "seed", "got ''"),
        ("seed=true", "seed", "got True"),
        ("model=lstm_attention model.hidden=7.5", "model.hidden", "to 32768, got 7.5. Use e.g. model.hidden=240"),
        ("model=lstm_attention model.hidden=1000000000", "model.hidden", "from 1 to 32768"),
        ("model=lstm_attention model.layers=1000000", "model.layers", "from 1 to 256"),
        ("model=lstm_attention model.hidden=480.0", "model.hidden", "Write model.hidden=480."),
        ("trainer.batch_size=1e12", "trainer.batch_size", "got 1000000000000.0"),
        ("trainer.batch_size='8'", "trainer.batch_size", "got '8'"),
        ("teacher.trainer.max_epochs=null", "teacher.trainer.max_epochs", "Use e.g. teacher.trainer.max_epochs=4"),
        ("teacher.seed=1.5", "teacher.seed", "Use e.g. teacher.seed=0"),
        ("loss.alpha=nan", "loss.alpha", "a number from 0 to 1, got nan"),
        ("loss.temperature=inf", "loss.temperature", "got inf"),
        ("optimizer.betas=[0.9]", "optimizer.betas", "Use e.g. optimizer.betas=[0.9,0.999]"),
        ("compression=[prune_l1] compression.prune_l1.amount=1", "compression.prune_l1.amount", "to below 1, got 1"),
        ("+compression.mine.amount=1", "compression.mine", "a step of compression"),
        ("compression=null", "override compression", "a name or a list of names, got null"),
        ("name=5", "name", "\"name='5'\""),
        ("recovery=both", "recovery", "student or teacher"),
        ("paths.cache=", "paths.cache", "a path"),
        ("+paths.more=x", "paths.more", "one of data, cache, weights, multirun"),
        ("dataset=csv dataset.path=a dataset.encoding=klingon", "dataset.encoding", "an encoding that Python knows"),
        ("~seed", "seed", "Leave ~seed out"),
        ("~trainer.batch_size +trainer.batchsize=3", "trainer.batchsize", "an option of Trainer"),
        ("-m hydra/sweeper=optuna hydra.sweeper.trials=0 seed=0,1", "hydra.sweeper.trials", "from 1"),
        (
            "-m hydra/launcher=joblib hydra.launcher.n_jobs=x seed=0,1",
            "hydra.launcher.n_jobs",
            "could not be converted",
        ),
        ("-m seed=0,1 trainer.patience=x", "trainer.patience", "from 1"),
        ("seed=0 -m seed=1 --nothing", "command line", "flags"),
    ],
)
def test_a_wrong_value_is_one_line_with_its_range_and_a_cure(given: str, where: str, words: str) -> None:
    told = refused(*given.split())
    assert told.where == where
    assert words in str(told)


@pytest.mark.parametrize(
    "given",
    [
        "seed=4294967295 trainer.max_epochs=0 loss.alpha=1 loss.temperature=3",
        "model=lstm_attention model.hidden=32 dataset=csv dataset.path=a.csv dataset.encoding=cp1252",
        "name=frontier/mine paths.multirun=../results teacher=none search=null",
        "compression=[prune_l1,onnx_int8] compression.prune_l1.amount=0 recovery=teacher",
        "compression=[drop_layers] compression.drop_layers.keep=[0,2] dataset.split.limit=100",
        "name=\"'5'\"",
        "-m seed=0,1 loss.alpha=0.5",
        "-m dataset=csv dataset.path=a.csv,b.csv model=lstm_attention,minilm",
        "-m hydra/launcher=joblib hydra.launcher.n_jobs=2 seed=0,1",
        "-m hydra/sweeper=optuna loss.temperature=interval(1,10)",
        "experiments=demo",
        "--cfg job seed=x",
    ],
)
def test_what_people_do_is_taken(given: str) -> None:
    assert command(*given.split()) is None


def test_a_wrong_value_is_refused_before_torch_is_imported_and_leaves_nothing(tmp_path: Path) -> None:
    code = f"""
import sys
from kd_lab.__main__ import command
for given in {COMMANDS!r}:
    assert command([*given, "tracking=none"]) == 2, given
assert not {{"torch", "pytorch_lightning", "mlflow", "transformers"}} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) == len(COMMANDS)
    assert not list(tmp_path.iterdir())


# objects in place of others


@pytest.mark.parametrize("place", ["dataset", "model", "teacher.model", "loss", "trainer", "tracking", "compression.x"])
@pytest.mark.parametrize(
    "target", ["kd_lab.core.cache.Cache", "kd_lab.core.errors.UserError", "kd_lab.data.dataset.SplitPlan"]
)
def test_a_class_of_another_kind_is_refused_at_its_place(place: str, target: str) -> None:
    with pytest.raises(UserError) as caught:
        check({TARGET: target}, place)
    assert caught.value.where == f"{place}.{TARGET}"


def test_a_class_stands_only_where_an_annotation_names_it() -> None:
    csv: Mapping[str, Any] = {TARGET: "kd_lab.data.csv.Csv", "path": "a.csv"}
    check({**csv, "split": {TARGET: "kd_lab.data.dataset.SplitPlan"}}, "dataset")
    with pytest.raises(UserError, match=r"dataset\.split\._target_: expected a kd_lab\.data\.dataset\.SplitPlan"):
        check({**csv, "split": {TARGET: "kd_lab.training.optimizer.AdamW"}}, "dataset")
    loss = {TARGET: "kd_lab.losses.weighted_sum.WeightedSum", "weights": {"a": 1}}
    with pytest.raises(UserError, match=r"loss\.terms\.a\._target_: expected a kd_lab\.losses\.base\.Term"):
        check({**loss, "terms": {"a": {TARGET: "kd_lab.training.optimizer.AdamW"}}}, "loss")
