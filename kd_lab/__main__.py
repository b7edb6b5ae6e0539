"""The command line: `kd-lab [overrides]` runs, `kd-lab VERB` does the rest. Starts fast: a verb imports what it needs."""

from __future__ import annotations

import sys
from pathlib import Path

from kd_lab.errors import UserError
from kd_lab.paths import root

USAGE = """\
kd-lab distils, prunes, quantizes and measures text classifiers.

  kd-lab [GROUP=OPTION] [name.of.option=VALUE] ...    run one cell
  kd-lab -m loss.temperature=1,2,4 seed=0,1,2 ...     run a sweep, a cell for each combination
  kd-lab experiments=NAME                             run a study with its own axes
  kd-lab report NAME [--sync] [--markdown] [--list]   print a study's table, bring MLflow level with it
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
    try:
        if verb in ("--help", "-h", "help"):
            print(USAGE + groups() + EXAMPLES, end="")
            return 0
        if verb == "report":
            from kd_lab.verbs.report import report

            return report(arguments[1:])
        if verb == "ui":
            from kd_lab.verbs.ui import ui

            return ui(arguments[1:])
        if verb == "cache":
            from kd_lab.verbs.cache import cache

            return cache(arguments[1:])
        from kd_lab.verbs.run import run

        return run(arguments)
    except UserError as error:
        print(f"kd-lab: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("kd-lab: interrupted; what had finished is kept, and the same line goes on from there", file=sys.stderr)
        return 130


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
    return "".join(f"  {group:<16}{' | '.join(options)}\n" for group, options in sorted(found.items()))


if __name__ == "__main__":
    main()
