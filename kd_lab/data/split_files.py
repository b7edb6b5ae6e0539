"""Which files of a folder belong to which split, as the hub lays them out: by their names or those of folders."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from kd_lab.core.as_typed import shell_override
from kd_lab.core.errors import UserError
from kd_lab.data.row_file import ENDINGS, PACKED, ending

ALSO = {"train": ("training",), "validation": ("valid", "val", "dev"), "test": ("testing", "eval", "evaluation")}
_PARTS = re.compile(r"[-_.]\d+(?:[-_.]of[-_.]\d+)?$")  # -00000-of-00001
_SHOWN = 20  # names that an error lists


def files_by_split(folder: Path, splits: Mapping[str, str], *, carve: bool) -> dict[str, list[Path]] | None:
    """Ours -> its files in order; None where those of a split that is asked for are not there.

    A split that bears our own name may be called as `ALSO` says. Validation is there, asked for or not, where the
    folder has files for it that stand for nothing else.

    Args:
        splits: ours -> theirs.
        carve: whether test and validation may be missing where they bear our own names.
    """
    found = {}
    for ours, theirs in splits.items():
        names = [theirs, *(ALSO[ours] if theirs == ours else ())]
        if files := _first(folder, [name for name in names if name == theirs or name not in splits.values()]):
            found[ours] = files
        elif ours == "train" or theirs != ours or not carve:
            return None
    spare = [name for name in ("validation", *ALSO["validation"]) if name not in splits.values()]
    if "validation" not in splits and (files := _first(folder, spare)):
        found["validation"] = files
    return found


def validation_among(names: Mapping[str, object], splits: Mapping[str, str]) -> str | None:
    """The split that is a validation split by its name, where none is asked for and it stands for nothing else."""
    spare = () if "validation" in splits else ("validation", *ALSO["validation"])
    return next((one for one in spare if one in names and one not in splits.values()), None)


def refuse_others(folder: Path, splits: Mapping[str, str]) -> None:
    """Says what is there instead, where it is something of a data set.

    Raises:
        UserError: with what to type.
    """
    where, there = f"dataset folder {folder}", _splits(folder)
    if folder.is_file():
        cure = f"Name a file with dataset=csv {shell_override('dataset.path', str(folder))}"
        raise UserError(where, expected="a folder with files for each split", got="a file", cure=f"{cure}.")
    if there and "train" not in there and len(there) > 1:
        train, test = there[:2]
        cure = f"Name them, e.g. 'dataset.splits={{train:{train},test:{test}}}'."
        raise _missing(where, splits, there, cure)
    if len(there) == 1 and there[0] != splits["train"]:
        (file, *_) = _files(folder, there[0])
        cure = f"Where it is to be split, type dataset=csv {shell_override('dataset.path', str(file))}."
        raise _missing(where, splits, there, cure)
    if there:
        raise _missing(where, splits, there, "Name them with dataset.splits.train=NAME dataset.splits.test=NAME.")
    if configs := sorted(one.name for one in _folders(folder) if _splits(one)):
        got = f"several in folders: {', '.join(configs[:_SHOWN])}{', ...' if len(configs) > _SHOWN else ''}"
        cure = f"Choose one: {shell_override('dataset.path', str(folder / configs[0]))}."
        raise UserError(where, expected="one data set", got=got, cure=cure)


def _missing(where: str, splits: Mapping[str, str], there: list[str], cure: str) -> UserError:
    got = f"files of {', '.join(map(repr, there[:_SHOWN]))}"
    return UserError(where, expected=f"files of the splits {', '.join(splits.values())}", got=got, cure=cure)


def _first(folder: Path, names: list[str]) -> list[Path]:
    return next(filter(None, (_files(folder, name) for name in names)), [])


def _files(folder: Path, split: str) -> list[Path]:
    """The files of one split, all of one format; those that are called `<split>-*.parquet` first of all."""
    if plain := sorted(folder.glob(f"{split}-*.parquet")):
        return plain
    for place in (folder, folder / "data"):
        named = [path for path in _rows_in(place) if _split_of(path) == split]
        if found := named or list(_rows_in(place / split)):
            first = min((ending(path) for path in found), key=_order)
            return sorted(path for path in found if ending(path) == first)
    return []


def _splits(folder: Path) -> list[str]:
    """The splits that there are files of, train first."""
    places = (folder, folder / "data")
    named = {_split_of(path) for place in places for path in _rows_in(place)}
    folders = {one.name for place in places for one in _folders(place) if one.name in _KNOWN and list(_rows_in(one))}
    return sorted(named | folders, key=lambda name: (name != "train", name))


_KNOWN = {*ALSO, *(name for names in ALSO.values() for name in names)}


def _order(end: str) -> int:
    return [".parquet", ".pq", ".arrow", ".feather", *ENDINGS].index(end)


def _split_of(path: Path) -> str:
    name = path.name
    for end in PACKED:
        name = name.removesuffix(end)
    return _PARTS.sub("", Path(name).stem)


def _rows_in(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        found = (path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
        yield from sorted(path for path in found if ending(path) in ENDINGS and path.name not in _NO_ROWS)


def _folders(folder: Path) -> list[Path]:
    return [one for one in folder.iterdir() if one.is_dir()] if folder.is_dir() else []


_NO_ROWS = {"dataset_infos.json", "dataset_dict.json", "dataset_info.json", "state.json", "config.json"}
