"""`kd-lab pretrain`: masked-LM distillation, from text to an encoder that any task can start from."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console
from rich.table import Table

from kd_lab.cli.compose import CONF, compose, mistake
from kd_lab.cli.run_place import check_folder
from kd_lab.core.errors import FitError, UserError
from kd_lab.core.process_tuning import first_import
from kd_lab.core.progress import say
from kd_lab.core.results import RunResult
from kd_lab.pipeline.run_folder import MODEL, cell_lock, give_back, missing_folders

OWN = ("corpus", "teacher", "loss", "trainer", "masking")  # groups that lie in conf/pretrain/
USAGE = """\
kd-lab pretrain distils a masked language model: a teacher's encoder and head, a student with fewer layers, any text.

  kd-lab pretrain [GROUP=OPTION] [name.of.option=VALUE] ...
  kd-lab pretrain --cfg [overrides]                   print every option and its value

The student lands in multirun/NAME/model (name=NAME), which transformers' AutoModelForMaskedLM reads, and any task:
kd-lab model=checkpoint model.path=multirun/NAME/model. Cut off and given again, the same line goes on.

Groups and their options:
"""
EXAMPLES = """
Examples:
  kd-lab pretrain corpus=text 'corpus.path=wiki/*.parquet' name=wiki
  kd-lab pretrain corpus=wikipedia teacher=bert_base model=distilbert model.init=teacher \\
    'model.keep_layers=[0,2,4,7,9,11]'
  kd-lab pretrain loss.weights.hidden_cosine=0 model.init=random trainer.max_steps=1000
  kd-lab pretrain trainer.devices=2 trainer.strategy=ddp
"""
_OWN_GROUP = re.compile(rf"({'|'.join(OWN)})=(.*)", re.DOTALL)


def pretrain(arguments: Sequence[str]) -> int:
    """Pre-trains, and says how to fine-tune what came of it.

    Returns:
        exit code: 0, or 1 where the training failed by itself.

    Raises:
        UserError: a mistake in the overrides, the corpus or the options.
    """
    if {"--help", "-h"} & set(arguments):
        print(USAGE + groups() + EXAMPLES, end="")
        return 0
    show = "--cfg" in arguments
    overrides = [one for one in arguments if one not in ("--cfg", "job")] if show else list(arguments)
    if flags := [one for one in overrides if one.startswith("-")]:
        cure = "One line pre-trains one model; kd-lab pretrain --help."
        raise UserError("kd-lab pretrain", expected="overrides, --cfg or --help", got=flags[0], cure=cure)
    config = composed(overrides)
    try:
        if show:
            print(OmegaConf.to_yaml(config, resolve=True), end="")
            return 0
        folder = Path(str(config.paths.multirun)) / str(config.name)
        check_folder(folder, str(config.paths.multirun))
        result = _run(config, folder, overrides)
    except OmegaConfBaseException as error:
        raise mistake(error) from error
    except FitError as error:
        say(f"failed: {error}")
        return 1
    _show(result, folder)
    return 0


def composed(overrides: Sequence[str] = ()) -> DictConfig:
    """The config of a pre-training.

    Raises:
        UserError: an override is wrong.
    """
    try:
        return compose([_of_group(one) for one in overrides], "pretrain")
    except UserError as error:
        raise _as_typed_here(error) from error


def groups() -> str:
    """The groups that a pre-training chooses from, and their options, a line each."""
    folders = [*(Path(CONF, "pretrain", name) for name in OWN), *(Path(CONF, name) for name in ("model", "optimizer"))]
    found = {folder.name: sorted(path.stem for path in folder.glob("*.yaml")) for folder in folders}
    found["teacher"].append("none")
    return "".join(f"  {group:<22}{' | '.join(options)}\n" for group, options in sorted(found.items()))


def _of_group(override: str) -> str:
    """A choice of a group of conf/pretrain/ by the name that Hydra has for it."""
    found = _OWN_GROUP.fullmatch(override)
    if found is None:
        return override
    group, option = found.groups()
    return "~pretrain/teacher@teacher" if override == "teacher=none" else f"pretrain/{group}@{group}={option}"


def _as_typed_here(found: UserError) -> UserError:
    """A complaint with the groups as they are typed here."""
    where = found.where.replace("override pretrain/", "override ")
    cure = found.cure.replace("kd-lab --help", "kd-lab pretrain --help").replace(
        "kd-lab --cfg job", "kd-lab pretrain --cfg"
    )
    return UserError(where, expected=found.expected, got=found.got, cure=cure)


def _run(config: DictConfig, folder: Path, overrides: Sequence[str]) -> RunResult:
    with first_import():
        from kd_lab.core import machine
        from kd_lab.pipeline import pretrain as pipeline
    machine.limit_threads()
    made = missing_folders(folder)
    try:
        with cell_lock(folder):
            return pipeline.pretrain(config, folder, overrides)
    except (UserError, OmegaConfBaseException):
        give_back(folder, made)
        raise


def _show(result: RunResult, folder: Path) -> None:
    table = Table("model", "perplexity at the start", "perplexity", "right", "parameters", title=result.name)
    rows = [(result.config["model"]["name"], result.metrics["held_out"], result.cost)]
    if result.teacher:
        name = f"teacher {result.teacher['model']}"
        rows.insert(0, (name, result.teacher["metrics"]["held_out"], result.teacher["cost"]))
    for name, found, cost in rows:
        before, after = (f"{one['perplexity']:,.1f}" for one in (found["before"], found))
        table.add_row(name, before, after, f"{100 * found['accuracy']:.1f} %", f"{cost['parameters']:,}")
    Console(highlight=False).print(table)
    cost = result.cost
    print(
        f"{cost['tokens']:,} pieces in {cost['updates']:,} updates, {cost['train_s']:,.0f} s "
        f"({cost['tokens_per_s']:,.0f} pieces/s), at most {cost['peak_memory_mib']:,.0f} MiB"
    )
    model = shlex.quote(str(folder / MODEL))
    print(f"Fine-tune it: kd-lab model=checkpoint model.path={model} dataset=csv dataset.path=mine.csv")
