"""The command line: `kd-lab [overrides]` runs, `kd-lab VERB` does the rest; each imports only what it needs."""

from __future__ import annotations

import sys

from kd_lab.core.safe_path import leave_out_working_folder

leave_out_working_folder()  # before anything is imported that a file there could be taken for

from importlib import import_module  # noqa: E402
from pathlib import Path  # noqa: E402

from kd_lab.core import trust  # noqa: E402
from kd_lab.core.errors import UserError, disk_error  # noqa: E402
from kd_lab.core.paths import root  # noqa: E402
from kd_lab.core.process_tuning import first_import, keep_freed_memory, set_variables  # noqa: E402

VERBS = ("report", "export", "predict", "pretrain", "ui", "cache")  # each a file in cli/ with a function of its name
USAGE = """\
kd-lab distils, prunes, quantizes and measures text classifiers.

  kd-lab [GROUP=OPTION] [name.of.option=VALUE] ...    run one cell
  kd-lab -m loss.temperature=1,2,4 seed=0,1,2 ...     run a sweep, a cell for each combination
  kd-lab -m hydra/launcher=joblib ...                 cells side by side; also ray, slurm, slurm_local
  kd-lab -m hydra/sweeper=optuna ...                  search instead of a grid: 'loss.alpha=interval(0,1)'
  kd-lab experiments=NAME                             run a study with its own axes
  kd-lab report NAME [--sync] [--check] [--markdown]  a study's table, verdict, figures; against published ones
  kd-lab report --check-all                           every committed table, made anew from its rows
  kd-lab export STUDY[/CELL] --to DIR                 a cell's model (the best one's), complete, tried, with a card
  kd-lab predict --model DIR ["TEXT" ...]             a model's answers to texts, lines, or --csv FILE; --abstain P
  kd-lab pretrain [overrides]                         an encoder from text: masked-LM distillation; pretrain --help
  kd-lab ui [NAME]                                    compare runs in MLflow, on 127.0.0.1
  kd-lab cache [ls|gc]                                what is kept, and how to free it
  kd-lab --cfg job [overrides]                        print every option of a run and its value

Groups and their options (compression takes a list: compression=[prune_l1,onnx_int8]):
"""
EXAMPLES = """
Examples:
  kd-lab dataset=clinc model=distilbert_mini teacher=minilm
  kd-lab dataset=csv dataset.path=mine.csv dataset.text_column=Text dataset.label_column=Label
  kd-lab model=lstm_attention loss.temperature=4 loss.alpha=0.2 compression=[onnx_int8]
"""


def main() -> None:
    """Entry point of the command `kd-lab`."""
    sys.exit(command(sys.argv[1:]))


def command(arguments: list[str]) -> int:
    """Does what the arguments say.

    Returns:
        exit code: 0; 1 where a cell failed or a check missed; 2 for the user's mistake, told in one line on stderr.
    """
    verb = arguments[0] if arguments else ""
    set_variables()
    keep_freed_memory()
    try:
        if verb in ("--help", "-h", "help"):
            print(USAGE + groups() + EXAMPLES, end="")
            return 0
        name, given = (verb, arguments[1:]) if verb in VERBS else ("run", arguments)
        with first_import():
            verb_module = import_module(f"kd_lab.cli.{name}")
        code: int = getattr(verb_module, name)(given)
        return code
    except UserError as error:
        print(f"kd-lab: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        told = disk_error(error, str(error.filename or "disk"))
        if told is None:
            raise
        print(f"kd-lab: {told}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("kd-lab: interrupted; what had finished is kept, and the same line goes on from there", file=sys.stderr)
        return 130
    finally:
        trust.trust_packages(())


def groups() -> str:
    """Every Hydra group and its options, a line each, read from the files' names."""
    found: dict[str, list[str]] = {}
    for base in (root() / "conf", root() / "experiments"):
        for path in sorted(base.rglob("*.yaml")):
            name = path.relative_to(base).with_suffix("")
            if base.name == "experiments":
                found.setdefault("experiments", []).append(name.as_posix())
            elif name.parent != Path():
                found.setdefault(name.parent.as_posix(), []).append(name.name)
    found["teacher"].sort(key=lambda option: option != "none")
    return "".join(f"  {group:<22}{' | '.join(options)}\n" for group, options in sorted(found.items()))


if __name__ == "__main__":
    main()
