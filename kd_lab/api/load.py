"""`kd_lab.load(folder)`: a saved model that answers texts."""

from __future__ import annotations

import sys
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from kd_lab.core.process_tuning import set_variables

if TYPE_CHECKING:
    from kd_lab.serving.text_classifier import TextClassifier


def load(folder: str | PathLike[str]) -> TextClassifier:
    """Reads a model, whatever it is made of; one in ONNX answers without torch.

    Args:
        folder: a model that was exported, a cell's folder, or its `model`.

    Returns:
        what answers: `.predict(texts)` gives the most probable label of each text, and (N, C) probabilities, columns
        in the order of `.labels`; `.predict(texts, abstain=0.9)` gives None where no label is that probable.

    Raises:
        UserError: the folder holds no model that kd_lab saved, or a file of it is damaged.
    """
    if "torch" not in sys.modules:
        set_variables()
    from kd_lab.cli.predict import model_folder
    from kd_lab.serving.text_classifier import TextClassifier

    return TextClassifier(model_folder(Path(folder).expanduser()))
