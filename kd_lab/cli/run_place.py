"""Where a run may write: below the folder of results, without a way out of it."""

from __future__ import annotations

from pathlib import Path

from kd_lab.core.errors import UserError

_CURE = "Leave hydra.run.dir and hydra.sweep out; name= and paths.multirun= choose the place."


def check_sweep_folder(folder: Path, multirun: str, name: str) -> None:
    """Refuses for a sweep what `check_folder` refuses, and any folder but the study's, where its report is looked for.

    Args:
        folder, multirun: as there.
        name: the study's.

    Raises:
        UserError: as `check_folder`, or it is another.
    """
    check_folder(folder, multirun)
    if folder != Path(multirun) / name:
        raise UserError("hydra.sweep.dir", expected=str(Path(multirun) / name), got=str(folder), cure=_CURE)


def check_folder(folder: Path, multirun: str) -> None:
    """Refuses a study's or a cell's folder that is not a place of its own.

    Args:
        folder: as the config says it.
        multirun: `paths.multirun`, under which it lies unless the user named another place.

    Raises:
        UserError: `..` or a link leads out, a part of the name is too long, or the folder holds the working directory.
    """
    base = Path(multirun)
    below = folder.is_relative_to(base)
    parts = folder.relative_to(base).parts if below else folder.parts
    if ".." in parts:
        raise UserError("run folder", expected="a path without '..'", got=str(folder), cure=_CURE)
    if not parts or Path.cwd().is_relative_to(folder.resolve()) or folder.resolve() == Path.home().resolve():
        raise UserError("run folder", expected="a folder of the run's own", got=str(folder), cure=_CURE)
    if long := next((part for part in parts if len(part.encode(errors="replace")) > 255), None):
        got = f"{len(long.encode(errors='replace'))} bytes: {long[:60]}..."
        raise UserError("run folder", expected="names of at most 255 bytes", got=got, cure=_CURE)
    links = [base.joinpath(*parts[: depth + 1]) for depth in range(len(parts))] if below else [folder]
    for place in links:
        if place.is_symlink() and not (below and place.resolve().is_relative_to(base.resolve())):
            got = f"{place}, a link to {place.resolve()}"
            cure = "Remove the link, or choose another name, e.g. name=mine."
            raise UserError("run folder", expected=f"a folder within {base}", got=got, cure=cure)
