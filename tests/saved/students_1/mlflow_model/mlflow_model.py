"""What MLflow runs to serve a fitted model: it reads this file as code, so that nothing is pickled."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from pandas import DataFrame, Series

from kd_lab.core.errors import UserError
from kd_lab.serving.text_classifier import TextClassifier

TEXT, PAIR = "text", "text_pair"  # columns of what is asked


class ServedModel(mlflow.pyfunc.PythonModel):
    """A saved classifier, for `mlflow.pyfunc.load_model` and `mlflow models serve`."""

    def load_context(self, context: Any) -> None:
        """Reads the model from the artifact `model`."""
        self.classifier = TextClassifier(Path(context.artifacts["model"]))

    def predict(self, context: Any, model_input: DataFrame, params: dict[str, Any] | None = None) -> DataFrame:
        """The label of each row and its probability.

        Args:
            model_input: a column `text`, and a column `text_pair` for a model of text pairs: as a data frame, as a
                mapping or as a list of mappings; or a list of texts, or of lists with one or two. MLflow's own check of
                a request takes of these what names the columns, as each of its JSON shapes can.

        Returns:
            a column `label` (string), and a column `probability` of that label.

        Raises:
            MlflowException: there is no column `text`, a text is empty or no text, or the column `text_pair` is missing
                for a model of text pairs, or there for another; a server answers 400 and says which.
        """
        frame = _frame(model_input)
        given = PAIR in frame.columns and not frame[PAIR].isna().all()
        pairs = frame[PAIR].tolist() if given else None
        try:
            labels, probabilities = self.classifier.predict(frame[TEXT].tolist(), pairs)
        except UserError as error:
            raise _refused(str(error)) from error
        return DataFrame({"label": labels, "probability": probabilities.max(axis=1)})


def _frame(given: Any) -> DataFrame:
    """The rows as a data frame with a column `text` and, where a second text is there, a column `text_pair`."""
    if isinstance(given, DataFrame):
        frame = given
    elif isinstance(given, Mapping):
        columns = {name: np.atleast_1d(np.asarray(values, dtype=object)) for name, values in given.items()}
        if len({len(values) for values in columns.values()}) > 1 or any(values.ndim > 1 for values in columns.values()):
            raise _refused("expected columns of one length, a text a row")
        frame = DataFrame(columns)
    else:
        rows = given.tolist() if isinstance(given, np.ndarray | Series) else given
        frame = DataFrame(rows if isinstance(rows, list) else [rows], dtype=object)
    frame = frame.map(_unpacked)
    names = [TEXT, PAIR]
    if all(isinstance(name, int) for name in frame.columns) and 0 < len(frame.columns) <= len(names):
        frame = frame.set_axis(names[: len(frame.columns)], axis=1)
    if TEXT not in frame.columns:
        there = ", ".join(map(repr, frame.columns)) or "none"
        cure = 'Send {"dataframe_records": [{"text": "..."}]}.'
        raise _refused(f"expected a column '{TEXT}', got {there}. {cure}")
    return frame


def _unpacked(value: Any) -> Any:
    """MLflow makes an array without axes of a text within a mapping."""
    return value.item() if isinstance(value, np.ndarray) and value.ndim == 0 else value


def _refused(text: str) -> MlflowException:
    return MlflowException(text, INVALID_PARAMETER_VALUE)


mlflow.models.set_model(ServedModel())
