"""Texts that a caller gives, as overrides that name a data set: what comes of them can be opened again by anyone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from kd_lab.core.errors import UserError

_SET_THE_CACHE = ("experiments=", "paths.cache=")  # which overrides may say where it lies


class GivenTexts(NamedTuple):
    """What a caller gave; nothing where `train` is None, and the data set is that of `dataset=`."""

    train: Any = None  # a data frame of pandas, or (texts, labels)
    validation: Any = None
    test: Any = None
    text: str = "text"
    label: str | Sequence[str] = "label"
    pair: str | None = None
    id: str | None = None
    unlabelled: Any = None  # a data frame of pandas, or texts

    def overrides(self, beside: Sequence[str]) -> list[str]:
        """Writes the texts into the cache and names them.

        Args:
            beside: the caller's own overrides, which may say where the cache lies.

        Raises:
            UserError: the texts cannot be learned from as they are, or `beside` names another data set.
        """
        given = {name: getattr(self, name) for name in ("train", "validation", "test")}
        given = {name: one for name, one in given.items() if one is not None}
        _check([*given, *(["unlabelled"] if self.unlabelled is not None else [])], beside)
        if not given:
            return []
        from kd_lab.cli.compose import compose
        from kd_lab.core.cache import Cache
        from kd_lab.data import frame

        rows = {name: frame.rows(one, name, self.text, self.label, self.pair, self.id) for name, one in given.items()}
        place = compose([one for one in beside if one.lstrip("+").startswith(_SET_THE_CACHE)]).paths.cache
        if self.unlabelled is not None:
            rows["unlabelled"] = frame.unlabelled(self.unlabelled, "unlabelled", self.text, self.pair)
        folder = frame.keep(rows, Cache(Path(place).expanduser()))
        found = ["dataset=frame", f"dataset.revision={folder.name}"]
        if self.unlabelled is not None:
            found.append("dataset.transfer_path=${dataset.path}/unlabelled-0.parquet")
        found += [] if isinstance(self.label, str) else ["task=multi_label"]
        found += [] if self.pair is None else [f"dataset.pair_column={frame.PAIR}"]
        found += [] if self.id is None else [f"dataset.id_column={frame.ID}"]
        found += [] if "test" in given else ["~dataset.splits.test"]  # it is carved out of train
        return found + (["+dataset.splits.validation=validation"] if "validation" in given else [])


def _check(given: Sequence[str], beside: Sequence[str]) -> None:
    if given and "train" not in given:
        got = f"{' and '.join(given)} alone"
        raise UserError("kd_lab", expected=f"train beside {given[0]}", got=got, cure="Give train=FRAME too.")
    others = [one for one in beside if one.lstrip("+").startswith("dataset=")]
    if given and others:
        cure = "Leave out the one or the other."
        raise UserError("kd_lab", expected="one data set", got=f"train= and {others[0]}", cure=cure)
