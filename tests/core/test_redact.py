"""No credential is written, shown or sent on; what needs them finds them in memory or in the environment."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from quick_lines import ALONE, EPOCH, STUDENT

from kd_lab.__main__ import command
from kd_lab.cli.compose import cell_name, compose
from kd_lab.cli.hydra_files import without_credentials
from kd_lab.core import redact, results
from kd_lab.core.errors import UserError
from kd_lab.core.results import RunResult
from kd_lab.serving.model_card import model_card
from kd_lab.sweeps import completed
from kd_lab.sweeps.search.objective import Objective
from kd_lab.sweeps.search.space import read
from kd_lab.sweeps.search.study import SearchPlan
from kd_lab.tracking.mlflow_address import live_uri
from kd_lab.tracking.mlflow_tracking import MlflowTracking


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("https://user:pa55@host:5000/path?a=1", "https://***@host:5000/path?a=1"),
        ("https://t0ken@host/path", "https://***@host/path"),
        ("postgresql+psycopg2://u:p%40s@h/db", "postgresql+psycopg2://***@h/db"),
        ("https://u:p@ss@host/x", "https://***@host/x"),
        ("s3://AKIA:se/cr+et@bucket/way", "s3://***@bucket/way"),
        ("mysql://:pw@h/db", "mysql://***@h/db"),
        ("https://h/p?token=abc&x=1#f", "https://h/p?token=***&x=1#f"),
        ("https://h/p?X-Amz-Signature=abc&sig=d", "https://h/p?X-Amz-Signature=***&sig=***"),
        ("mssql+pyodbc:///?odbc_connect=PWD%3Dx", "mssql+pyodbc:///?odbc_connect=***"),
        ("host=h password=secret dbname=x", "host=h password=*** dbname=x"),
        ("hydra.job.env_set.AWS_SECRET_ACCESS_KEY=ab/cd", "hydra.job.env_set.AWS_SECRET_ACCESS_KEY=***"),
        ("search={storage:'postgresql://u:p@h/db',study:'s'}", "search={storage:'postgresql://***@h/db',study:'s'}"),
        ("{'Authorization': 'Basic abcd=='}", "{'Authorization': 'Basic ***'}"),
    ],
)
def test_what_is_secret_is_hidden_and_the_rest_stays(given: str, shown: str) -> None:
    assert redact.text(given) == shown
    assert redact.text(shown) == shown
    assert redact.text(f"{given} and more") == f"{shown} and more"


@pytest.mark.parametrize(
    "given",
    [
        "sqlite:///a@b/mlflow.db",
        "http://127.0.0.1:5000/a@b",
        "http://[::1]:5000/",
        "tokenizer.max_tokens=128",
        "hf://datasets/some/data",
        "a@b.example wrote: no key=value here",
        "seed=1,loss.temperature=2",
    ],
)
def test_what_is_not_secret_stays_as_it_is(given: str) -> None:
    assert redact.text(given) == given


def test_values_under_secret_names_are_hidden_at_any_depth() -> None:
    given = {"a": [{"password": "x", "max_tokens": 3}], "AWS_SECRET_ACCESS_KEY": "k", "secret": 0.5, "token": None}
    shown = {"a": [{"password": "***", "max_tokens": 3}], "AWS_SECRET_ACCESS_KEY": "***", "secret": 0.5, "token": None}
    assert redact.redacted(given) == shown


def test_a_credential_of_the_environment_is_hidden_wherever_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "a long enough one")
    assert redact.text("the server said: a long enough one is wrong") == "the server said: *** is wrong"


SECRET = "h1dd3n-pa55"  # noqa: S105 - nobody's
URL = f"https://someone:{SECRET}@127.0.0.1:9/path"


def result(**changes: object) -> RunResult:
    config = {"tracking": {"uri": URL}, "search": {"storage": f"postgresql://u:{SECRET}@h/db"}, "name": "s"}
    return RunResult("s", "c", "failed", config, [f"tracking.uri={URL}"], error=f"no {URL}", warnings=[URL])


def test_no_file_of_a_run_holds_a_credential_but_memory_does(tmp_path: Path) -> None:
    ours = result()
    ours.write(tmp_path / "s" / "c")
    results.note_axes(tmp_path / "s", ["-m", f"tracking.uri={URL}"], [[f"tracking.uri={URL}"]])
    completed.write(tmp_path / "s", [f"tracking.uri={URL}"], "c", "f" * 16)
    (tmp_path / "README.md").write_text(model_card(ours, "kd_lab", {"labels": ["a", "b"], "max_tokens": 8}))
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"]
    assert len(files) == 4
    assert not [path for path in files if SECRET in path.read_text(encoding="utf-8")]
    assert not [path for path in tmp_path.rglob("*") if SECRET in path.name]
    assert results.read(tmp_path / "s" / "c").config["tracking"]["uri"] == "https://***@127.0.0.1:9/path"
    assert ours.config["tracking"]["uri"] == URL


def test_a_changed_password_changes_no_name(tmp_path: Path) -> None:
    completed.write(tmp_path, [f"tracking.uri={URL}"], "c", "f" * 16)
    assert completed.read(tmp_path, [f"tracking.uri={URL.replace(SECRET, 'another')}"]) == ("c", "f" * 16)
    names = {cell_name(f"dataset.path=https://h/p?token={token},seed={seed}") for token in "ab" for seed in (1, 2)}
    assert len(names) == 2
    assert cell_name(f"dataset.path={URL}") == cell_name(f"dataset.path={URL.replace(SECRET, 'another')}")


def test_hydras_files_hold_no_credential() -> None:
    config = compose([f"tracking.uri={URL}"])
    assert SECRET not in str(without_credentials(config))
    assert without_credentials(config).paths.multirun == "multirun"
    assert config.tracking.uri == URL


def test_an_error_shows_no_credential() -> None:
    told = UserError("storage", expected="a database", got=f"{URL} (no such host)", cure="Give another.")
    assert SECRET not in str(told)


def test_a_search_keeps_no_credential_in_its_database() -> None:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    space = read(OverridesParser.create().parse_overrides(["trainer.max_epochs=range(1,3)", f"dataset.path='{URL}'"]))
    aims, written = [Objective("metrics.validation.accuracy", "maximize")], frozenset({"tracking.uri"})
    plan = SearchPlan("s", f"postgresql://u:{SECRET}@h/db", space, aims, 2, 1, "tpe", "none", 0, written)
    assert "***@127.0.0.1:9" in json.dumps(plan.about())
    assert SECRET not in json.dumps(plan.about())


def test_the_live_address_is_found_in_memory_or_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(redact, "_live", {})
    shown = redact.text(URL)
    typed = r"MLFLOW_TRACKING_URI='https://\*\*\*@127.0.0.1:9/path' kd-lab report s --sync"
    with pytest.raises(UserError, match=f"Type {typed} with USER:PASSWORD"):
        live_uri(shown, "s")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", URL)
    assert live_uri(shown, "s") == URL
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    MlflowTracking(URL, str(tmp_path))
    assert live_uri(shown, "s") == URL
    monkeypatch.setattr(redact, "_live", {})
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "MLflow adds it itself")
    assert live_uri(shown, "s") == "https://127.0.0.1:9/path"


def test_no_file_that_a_sweep_and_an_export_leave_holds_a_credential(
    tmp_path: Path, toy_csv: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    line = ["-m", "dataset=csv", f"dataset.path={toy_csv}", *ALONE, *STUDENT, EPOCH, "name=s", "seed=1"]
    assert command([*line, f"tracking.uri='{URL}?token={SECRET}'"]) == 0
    (cell,) = (tmp_path / "multirun" / "s").glob("*/result.json")
    assert command(["export", f"s/{cell.parent.name}", "--to", str(tmp_path / "out")]) == 0
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mine.db")
    store = MlflowTracking(f"sqlite:///{tmp_path}/mine.db", str(tmp_path / "mlartifacts"), log_model=False)
    assert store.mirror(results.read(cell.parent), {}, None)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    names = {path.name for path in files}
    assert {"result.json", "sweep.json", "multirun.yaml", "README.md", "mine.db"} <= names
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]
    assert not [path for path in tmp_path.rglob("*") if SECRET in path.name]
    assert SECRET not in "".join(capfd.readouterr())
    assert "tracking.uri" not in cell.parent.name
