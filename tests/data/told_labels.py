"""What a data set of several labels a row says, for the tests of how it is read."""

from __future__ import annotations

from kd_lab.data.dataset import Texts


def told(texts: Texts) -> dict[str, list[str]]:
    """Text -> its labels, whatever split it is in."""
    assert texts.label_sets is not None
    found = {}
    for split in texts.splits.values():
        for text, number in zip(split.texts, split.labels, strict=True):
            found[text] = [name for name, there in zip(texts.classes, texts.label_sets[number], strict=True) if there]
    return found
