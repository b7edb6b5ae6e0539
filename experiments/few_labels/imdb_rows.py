"""Writes the rows of IMDB that `few_labels/imdb` learns from and is judged on: 2,000, 1,000, 3,000, and 20,000 texts.

    python -m experiments.few_labels.imdb_rows TO           # reads paths.data, or KD_LAB_DATA

They were drawn once by chance, with as many of either label in each split; `imdb_rows.npz` holds their numbers in the
hub's files, from 0: train and validation in train, test in test, unlabelled in unsupervised.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from kd_lab.cli.compose import compose

SOURCES = {"train": "train", "validation": "train", "test": "test", "unlabelled": "unsupervised"}


def main() -> None:
    """Writes TO/labelled/<split>-0.parquet and TO/unlabelled.parquet."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m experiments.few_labels.imdb_rows", None, __doc__, formatter_class=raw)
    parser.add_argument("to", type=Path)
    to = parser.parse_args().to
    hub = Path(str(compose(["dataset=imdb"]).dataset.path))
    (to / "labelled").mkdir(parents=True)
    with np.load(Path(__file__).with_suffix(".npz"), allow_pickle=False) as numbers:
        for split, source in SOURCES.items():
            rows = pd.concat(map(pd.read_parquet, sorted(hub.glob(f"{source}-*.parquet")))).iloc[numbers[split]]
            if split == "unlabelled":
                rows[["text"]].to_parquet(to / "unlabelled.parquet", index=False)
            else:
                rows[["text", "label"]].to_parquet(to / "labelled" / f"{split}-0.parquet", index=False)
    print(to)


if __name__ == "__main__":
    main()
