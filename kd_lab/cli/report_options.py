"""What `kd-lab report` can be asked."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from kd_lab.core.errors import UserError

_ALONE = {  # what no study is asked for -> the options that it follows
    "list": {"multirun"},
    "index": {"experiments"},
    "check_all": {"experiments"},
}
_MEASURED = {"frontier": {"threads", "rounds"}, "gate": {"margin", "rows"}}
_OF_A_STUDY = {"name", "multirun", "trust"}
_MULTIRUN = Path("multirun")  # where results lie, unless another folder is named
_OF_ITS_REPORT = {"experiments", "sync", "check", "keep", "restore", "markdown", "classes", "against"}


def read(arguments: Sequence[str]) -> argparse.Namespace:
    """What the line asks for.

    Raises:
        UserError: an option stands there that would not be followed.
    """
    reader = _parser()
    options = reader.parse_args(arguments)
    given = [name for name, value in vars(options).items() if value != reader.get_default(name)]
    alone = next((name for name in _ALONE if name in given), None)
    measured = [name for name in _MEASURED if name in given]
    if alone:
        follows = {alone, *_ALONE[alone]}
    elif measured:
        follows = {*measured, *_OF_A_STUDY}.union(*(_MEASURED[name] for name in measured))
    else:
        follows = _OF_A_STUDY | _OF_ITS_REPORT
    for name in (name for name in given if name not in follows):
        asker = next((asker for asker, theirs in _MEASURED.items() if name in theirs), None)
        cure = "Leave it out, or ask for it on a line of its own."
        if asker and not alone:
            cure = f"Add {_flag(asker)}, or leave {_flag(name)} out."
        raise UserError(
            " ".join(["report", *map(_flag, [alone] if alone else measured)]),
            expected="an option that it follows",
            got="the name of a study" if name == "name" else _flag(name),
            cure=cure,
        )
    return options


@contextmanager
def cures_as_typed(options: argparse.Namespace) -> Iterator[None]:
    """Cures of mistakes within look into the folders that this line named, not into the usual ones."""
    try:
        yield
    except UserError as error:
        folders = {"--multirun": options.multirun} if options.multirun != _MULTIRUN else {}
        if options.experiments and re.search("--(check|keep|restore)", error.cure):
            folders["--experiments"] = options.experiments
        told = "".join(f" {flag} {shlex.quote(str(folder))}" for flag, folder in folders.items())
        cure = re.sub(r"\bkd-lab report\b", lambda _: f"kd-lab report{told}", error.cure)
        raise UserError(error.where, expected=error.expected, got=error.got, cure=cure) from error


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _parser() -> argparse.ArgumentParser:
    """Reads its line."""
    found = argparse.ArgumentParser("kd-lab report", description="Report a study: table, verdict, figures.")
    found.add_argument("name", nargs="?", help="the study, a folder under multirun/")
    found.add_argument("--list", action="store_true", help="list the studies instead")
    found.add_argument("--sync", action="store_true", help="also mirror into MLflow what is not there yet")
    found.add_argument("--check", action="store_true", help="hold it against the published table; 1 if ours is worse")
    found.add_argument("--check-all", action="store_true", help="make every committed table anew; 1 if one changed")
    found.add_argument("--keep", action="store_true", help="commit its rows and table: write them under experiments/")
    found.add_argument("--restore", action="store_true", help="first bring back kept cells that multirun/ lacks")
    found.add_argument("--index", action="store_true", help="write the index of studies, with its pictures")
    found.add_argument("--experiments", type=Path, help="where specs and published figures lie; default kd_lab's own")
    found.add_argument("--markdown", action="store_true", help="print Markdown")
    text = "show the worst classes of the best cell, or of CELL; all of them go into the report's classes.md and .csv"
    found.add_argument("--classes", nargs="?", const="", metavar="CELL", help=text)
    text = "hold all settings of a data set against this one: its label, such as change=none; a table and a picture"
    found.add_argument("--against", metavar="SETTING", help=text)
    found.add_argument("--multirun", type=Path, default=_MULTIRUN, help="where results lie")
    found.add_argument("--gate", action="store_true", help="ask whether each compressed model may ship; 1 if one not")
    found.add_argument("--margin", type=float, default=0.01, help="loss of accuracy that may be borne, a fraction")
    found.add_argument("--rows", type=int, default=2000, help="test rows that the gate asks at most")
    found.add_argument("--frontier", action="store_true", help="measure every model and the teacher in one run")
    found.add_argument("--threads", type=int, help="of the models that --frontier measures; default all cores")
    found.add_argument("--rounds", type=int, default=5, help="of --frontier, all models by turns in each")
    found.add_argument("--trust", action="append", default=[], metavar="PACKAGE", help="of yours, that cells may name")
    return found
