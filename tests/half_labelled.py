"""The toy data set, half of its rows without a label."""

from __future__ import annotations

import numpy as np

from kd_lab.data.csv import Csv
from kd_lab.data.dataset import UNLABELLED, Texts


class HalfLabelled(Csv):
    """Every second row of train has lost its label."""

    def load(self) -> Texts:
        texts = super().load()
        train = texts.splits["train"]
        labels = np.where(np.arange(len(train.labels)) % 2, UNLABELLED, train.labels)
        return texts._replace(splits={**texts.splits, "train": train._replace(labels=labels)})
