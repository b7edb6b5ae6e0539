"""What MLflow's page of a study shows at first: the swept options and the measures, best run on top.

Without it MLflow 3.17 opens an overview of language-model calls, and its table of runs has no options and no measures.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient

MEASURES = ("test/accuracy", "test/f1_macro", "cost/size_mib", "cost/latency_ms_p50")
_KEY = "kd_lab"  # of the view, in MLflow's own kind of tag for shared views
_MOST = 8  # columns of options: with more, the measures are out of sight
_LONGEST = 5000  # letters that MLflow stores in a tag of an experiment
log = logging.getLogger("kd_lab")


def link(client: MlflowClient, experiment: str) -> str:
    """Stores the view as a tag of the experiment.

    Args:
        client: of the store.
        experiment: its id.

    Returns:
        what to put behind the server's address, e.g. `/#/experiments/1/runs?...`.
    """
    page = f"/#/experiments/{experiment}/runs?workflowType=machine_learning"
    try:
        view = json.dumps(_view(*_columns(client.search_runs([experiment]))))
        if len(view) <= _LONGEST:
            client.set_experiment_tag(experiment, f"mlflow.sharedViewState.{_KEY}", view)
            return f"{page}&viewStateShareKey={_KEY}"
    except Exception as error:  # such as a store that may be read only: the page opens with MLflow's own columns
        log.debug("no view of experiment %s: %s", experiment, error)
    return page


def _columns(runs: list[Any]) -> tuple[list[str], list[str], list[str]]:
    """Options that differ between runs and stand in their names; measures that any run has; those that differ."""
    options: dict[str, set[str]] = {}
    measures: dict[str, set[float]] = {}
    for run in runs:
        for name, value in run.data.params.items():
            options.setdefault(name, set()).add(value)
        for name in MEASURES:
            measures.setdefault(name, set()).update([run.data.metrics[name]] if name in run.data.metrics else [])
    named = {item.partition("=")[0] for run in runs for item in run.info.run_name.split(",")}
    swept = [name for name in sorted(options) if len(options[name]) > 1 and name in named]
    differ = [name for name in MEASURES if len(measures.get(name, ())) > 1]
    return swept[:_MOST], [name for name in MEASURES if measures.get(name)], differ


def _view(options: list[str], measures: list[str], differ: list[str]) -> dict[str, Any]:
    """The table's columns and order, and a chart of parallel coordinates on top of MLflow's own charts."""
    columns = [f"params.`{name}`" for name in options] + [f"metrics.`{name}`" for name in measures]
    view: dict[str, Any] = {"selectedColumns": columns, "runsHiddenMode": "SHOW_ALL"}
    if MEASURES[0] in measures:  # in any order but by time MLflow lists runs flat, not below their parent
        view |= {"orderByKey": f"metrics.`{MEASURES[0]}`", "orderByAsc": False}
    if options and differ:
        uuid, title = "kd_lab.sweep", "All runs side by side"  # MLflow orders sections by title: this comes first
        made = {"display": True, "isReordered": False, "deleted": False, "isGenerated": False}
        last = differ[::-1]  # the last axis gives the lines their colour
        drawn = {"selectedParams": options, "selectedMetrics": last, "showAllRuns": False, "runsCountToCompare": 100}
        chart = {"uuid": f"{uuid}.chart", "type": "PARALLEL", "metricSectionId": uuid, "displayName": title}
        view["compareRunSections"] = [{"uuid": uuid, "name": title, "columns": 1, "cardHeight": 360, **made}]
        view["compareRunCharts"] = [{**chart, **drawn, **made}]
    return view
