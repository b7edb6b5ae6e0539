"""`kd-lab export`: copies a cell's model out of multirun/, complete, and tries the copy."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

from kd_lab.cli.export_choice import best
from kd_lab.core import results
from kd_lab.core.errors import UserError
from kd_lab.report.study.collect import studies
from kd_lab.serving.served import how_served

_MOST = 10  # cells that an error lists


def export(arguments: Sequence[str]) -> int:
    """Copies the model's folder and prints what it holds.

    Returns:
        exit code 0.

    Raises:
        UserError: no such cell, it did not finish, the place holds something else, or the copy answers otherwise.
    """
    parser = argparse.ArgumentParser("kd-lab export", description="Copy a finished cell's model, complete and tried.")
    parser.add_argument(
        "name", metavar="STUDY[/CELL]", help="a cell under multirun/, or a study: its best cell by validation accuracy"
    )
    parser.add_argument(
        "settings", nargs="*", metavar="OPTION=VALUE", help="of these cells of the study, e.g. model=lstm_attention"
    )
    parser.add_argument("--to", type=Path, required=True, metavar="DIR", help="empty, new, or an earlier export")
    parser.add_argument("--multirun", type=Path, default=Path("multirun"), help="where results lie")
    options = parser.parse_intermixed_args(arguments)
    cell = _cell(options.multirun, options.name.strip("/"), options.settings)
    from kd_lab.serving import export as deployable

    files = deployable.export(cell, options.to)
    width, sizes = max(len(file.name) for file in files), [file.stat().st_size for file in files]
    for file, size in zip(files, sizes, strict=True):
        print(f"{file.name:<{width}}  {size:>13,} bytes")
    print(f"{options.to}: {sum(sizes) / 2**20:.2f} MiB, answers as {cell / 'model'} does, bit for bit")
    print(f'Try it: kd-lab predict --model {shlex.quote(str(options.to))} "some text"')
    for line in how_served(options.to):
        print(line)
    return 0


def _cell(multirun: Path, name: str, settings: Sequence[str]) -> Path:
    """The folder of the cell that `name` means, the best one of a study; says which, and why."""
    folder = multirun / name
    if name and (folder / results.FILE).is_file():
        if settings:
            cure = "Name the study alone, or leave the options out."
            raise UserError(repr(name), expected="a study, to choose a cell of", got="a cell", cure=cure)
        return folder
    study = folder if name in (known := studies(multirun)) else folder.parent
    cells = sorted(path.parent.name for path in study.glob(f"*/{results.FILE}")) if study != multirun else []
    if not cells:
        expected = f"STUDY[/CELL], a study being one of {', '.join(known)}" if known else f"results under {multirun}/"
        raise UserError(repr(name), expected=expected, got="none of that name", cure="kd-lab report --list shows them.")
    if study == folder:
        if len(cells) == 1 and not settings:
            return folder / cells[0]
        found, why = best(study, name, settings)
        print(f"{name}/{found}: {why}")
        return folder / found
    shown = ", ".join(cells[:_MOST]) + (f" and {len(cells) - _MOST} more" if len(cells) > _MOST else "")
    cure = f"Name it, e.g. kd-lab export '{study.relative_to(multirun)}/{cells[0]}' --to DIR."
    raise UserError(repr(name), expected=f"one cell, of {shown}", got="none of that name", cure=cure)
