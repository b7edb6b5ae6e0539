"""A run begins without what it needs later or never, and libraries stay whole for who asks for more."""

from __future__ import annotations

import subprocess  # this interpreter with code of our own, no shell
import sys

TRAINS = """
import sys
from kd_lab.lean_imports import defer
defer()
from kd_lab import pipeline
later = {"scipy.stats", "scipy.linalg", "matplotlib", "pandas", "mlflow", "onnxruntime", "pyarrow", "datasets"}
print(*sorted(later & {*sys.modules}))
"""
WHOLE = """
from kd_lab.lean_imports import defer
defer()
from torchmetrics import Metric, MetricCollection
from torchmetrics.functional.classification import multiclass_accuracy
import torch, torchmetrics, torchmetrics.functional
from scipy.optimize import linear_sum_assignment
import scipy.optimize
assert torchmetrics.Metric is Metric
assert torchmetrics.functional.classification.multiclass_accuracy is multiclass_accuracy
assert scipy.optimize.minimize(lambda x: (x - 3) ** 2, 0).x.round(3) == 3
assert scipy.optimize.linear_sum_assignment is linear_sum_assignment
assert torchmetrics.functional.mean_squared_error(torch.ones(2), torch.zeros(2)) == 1
assert isinstance(torchmetrics.MeanMetric(), Metric)
try:
    torchmetrics.no_such_metric
except AttributeError as error:
    print(error)
"""
OTHER_VERSION = """
import sys
from kd_lab import lean_imports
other = {"torchmetrics.no_such_part": {}, "scipy.optimize": {"no_such_function": "scipy.optimize._lsap"}}
lean_imports._DEFERRED = {**lean_imports._DEFERRED, **other}
lean_imports.defer()
print([name for name in sys.modules if name.startswith(("torchmetrics", "scipy.optimize"))])
from torchmetrics import Metric
from scipy.optimize import minimize
"""


def said(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_run_begins_without_what_it_needs_later_or_never() -> None:
    assert said(TRAINS) == ""


def test_libraries_are_whole_for_who_asks_for_more() -> None:
    assert said(WHOLE) == "module 'torchmetrics' has no attribute 'no_such_metric'"


def test_a_library_with_other_parts_loads_as_it_likes() -> None:
    assert said(OTHER_VERSION) == "[]"
