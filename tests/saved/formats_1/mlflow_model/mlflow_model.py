"""What MLflow runs to serve a fitted model: it reads this file as code, so that nothing is pickled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from pandas import DataFrame

from kd_lab.core.errors import UserError
from kd_lab.serving.text_classifier import TextClassifier


class ServedModel(mlflow.pyfunc.PythonModel):
    """A saved classifier, for `mlflow.pyfunc.load_model` and `mlflow models serve`."""

    def load_context(self, context: Any) -> None:
        """Reads the model from the artifact `model`."""
        self.classifier = TextClassifier(Path(context.artifacts["model"]))

    def predict(self, context: Any, model_input: DataFrame, params: dict[str, Any] | None = None) -> DataFrame:
        """The label of each row and its probability.

        Args:
            model_input: a column `text`, and a column `text_pair` for a model of text pairs.

        Returns:
            a column `label` (string), and a column `probability` of that label.

        Raises:
            MlflowException: a text is empty or no text, or the column `text_pair` is missing for a model of text pairs,
                or there for another; a server answers 400 and says which.
        """
        given = "text_pair" in model_input.columns and not model_input["text_pair"].isna().all()
        pairs = model_input["text_pair"].tolist() if given else None
        try:
            labels, probabilities = self.classifier.predict(model_input["text"].tolist(), pairs)
        except UserError as error:
            raise MlflowException(str(error), INVALID_PARAMETER_VALUE) from error
        return DataFrame({"label": labels, "probability": probabilities.max(axis=1)})


mlflow.models.set_model(ServedModel())
