"""What part an option plays, told by its name: a seed, or what is learned from and judged on."""

from __future__ import annotations

import re

MORE_TO_LEARN = ("dataset.augmentation.", "dataset.transfer_")  # rows of train without a label: what is judged stays


def is_seed(key: str) -> bool:
    """Whether an option says by which chance, such as "seed", "dataset.split.seed" or "model.word2vec_seed".

    Cells that differ in nothing else are repetitions of one setting, and none of them is the best.
    """
    last = re.split(r"[./]", key)[-1]
    return last == "seed" or last.endswith("_seed")


def is_of_the_data(key: str) -> bool:
    """Whether cells that differ in an option are judged on different data sets, such as "dataset" or "dataset.path"."""
    return key.partition(".")[0] == "dataset" and not key.startswith(MORE_TO_LEARN)
