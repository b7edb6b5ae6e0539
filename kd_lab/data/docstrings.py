"""The data set that needs no download: which installed library did this docstring come from?"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kd_lab.core.cores import usable
from kd_lab.core.errors import UserError
from kd_lab.core.option_types import Count, Libraries, NonEmpty
from kd_lab.data import train_rows
from kd_lab.data.augmentation import Augmentation
from kd_lab.data.dataset import Split, SplitPlan, Texts
from kd_lab.data.docstring_files import LibraryQuery, read_all

_DISTRIBUTION = {"sklearn": "scikit-learn"}  # import name -> distribution, where they differ
_NICKNAMES = ("pytorch", "scikit", "np", "pd", "plt", "nx", "hf", "huggingface", "hugging face")
MASK = "[MASK]"


@dataclass(frozen=True)
class Docstrings:
    """First paragraphs of the docstrings of installed packages; the label is the package.

    Every library's name is masked out of every text. Texts that say the same but for numbers, case and
    punctuation, or that begin with the same eight words, are kept once; those that two libraries share, never. So no
    row of one split stands in another. The same package versions give the same rows.

    Args:
        libraries: import names, one class each.
        rows_per_library: at most this many rows each.
        min_words, max_words: shorter texts are left out, longer ones cut.
        labelled: rows of train that keep their label, each class in proportion; the others are text that only a
            teacher judges. None keeps all.
        split: how to carve validation and test.
        augmentation: text made out of the labelled rows of train, which only a teacher judges; None makes none.
    """

    libraries: Libraries
    rows_per_library: Count = 605
    min_words: Count = 6
    max_words: Count = 24
    labelled: Count | None = None
    split: SplitPlan = field(default_factory=SplitPlan)
    augmentation: Augmentation | None = None
    name: NonEmpty = "docstrings"

    def fingerprint_parts(self) -> dict[str, Any]:
        """The packages' versions and the options."""
        versions = {library: _version(library) for library in self.libraries}
        sizes = [self.rows_per_library, self.min_words, self.max_words]
        return {"versions": versions, "sizes": sizes, "split": self.split, **train_rows.fingerprint_parts(self)}

    def load(self) -> Texts:
        """Reads the packages' sources with `ast`, on all cores; nothing of them is imported or run.

        Raises:
            UserError: a library is not installed.
        """
        enough = self.rows_per_library * 5 // 4  # some are shared with another library and fall out
        masking = (_mask_pattern(self.libraries).pattern, MASK)
        asked = [LibraryQuery(_folder(one), enough, self.min_words, self.max_words, masking) for one in self.libraries]
        found = [(key, text, label) for label, rows in enumerate(read_all(asked, usable())) for key, text in rows]
        libraries_of = Counter(key for key, _, _ in found)
        own = [(text, label) for key, text, label in found if libraries_of[key] == 1]
        kept: list[tuple[str, int]] = []
        for label in range(len(self.libraries)):
            kept += [row for row in own if row[1] == label][: self.rows_per_library]
        order = np.random.default_rng(self.split.seed).permutation(len(kept))
        labels = np.array([kept[row][1] for row in order], dtype=np.int64)
        whole = Split([kept[row][0] for row in order], labels)
        splits = self.split.complete({"train": whole})
        splits["train"], told = train_rows.prepared(self, splits)
        return Texts(splits, tuple(self.libraries), told)


def _version(library: str) -> str:
    try:
        return importlib.metadata.version(_DISTRIBUTION.get(library, library))
    except importlib.metadata.PackageNotFoundError as error:
        raise UserError(
            "dataset.libraries",
            expected="installed packages",
            got=f"{library}, which is not",
            cure=f"pip install {_DISTRIBUTION.get(library, library)}, or leave it out.",
        ) from error


def _folder(library: str) -> Path:
    found = importlib.util.find_spec(library)
    if found is None or found.origin is None:
        raise UserError("dataset.libraries", expected="packages with sources", got=library, cure="Leave it out.")
    return Path(found.origin).parent


def _mask_pattern(libraries: tuple[str, ...]) -> re.Pattern[str]:
    """Names anywhere, as in MlflowException; nicknames as whole words."""
    names, nicknames = (
        "|".join(map(re.escape, sorted(words, key=len, reverse=True)))
        for words in ({*libraries, *_DISTRIBUTION.values()}, _NICKNAMES)
    )
    return re.compile(rf"{names}|(?<![a-z])(?:{nicknames})(?![a-z])", re.IGNORECASE)
