from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from kd_lab.core.cache import Cache
from kd_lab.core.errors import FitError, UserError
from kd_lab.core.types import Batch
from kd_lab.evaluation import latency
from kd_lab.models import saved_model
from kd_lab.models.encoder import Encoder
from kd_lab.models.lstm_attention import LstmAttention
from kd_lab.models.spec import BuildContext, ModelSpec

VOCABULARY = 3000
SMALL = LstmAttention(embedding=8, hidden=8, layers=1, init="random")
LONGEST = {"small": 64, "large": 32}  # tokens that each reads
LARGE = Encoder("large", "bert", layers=2, width=512, heads=8, feed_forward=2048, init="random")


def batch(rows: int, tokens: int) -> Batch:
    ids = torch.randint(5, VOCABULARY, (rows, tokens))
    return Batch(torch.arange(rows), ids, torch.ones_like(ids), torch.zeros(rows, dtype=torch.int64))


REQUESTS = [batch(1, tokens) for tokens in (4, 7, 9, 4)]
LOAD = latency.Workload(REQUESTS, [batch(32, 9), batch(8, 6)])


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("saved")
    context = BuildContext(3, VOCABULARY, 0, "tokens", list, Cache(root / "cache"))
    specs: dict[str, ModelSpec] = {"small": SMALL, "large": LARGE}
    for name, spec in specs.items():
        saved_model.save(spec.build(context), root / name, {"labels": ["a", "b", "c"], "max_tokens": LONGEST[name]})
    return root


def measured(folder: Path, reference: Path | None, **options: object) -> tuple[dict, dict]:
    settings = {"threads": 1, "rounds": 2, "timeout_s": 120, **options}
    return latency.measure(folder, LOAD, reference=(reference, LOAD) if reference else None, **settings)


@pytest.fixture(scope="module")
def costs(saved: Path) -> tuple[dict, dict]:
    torch.ones(300, 300) @ torch.ones(300, 300)  # torch's threads run here, which a plain fork would not survive
    return measured(saved / "small", saved / "large")


def test_both_costs_have_the_fields_of_a_result(costs: tuple[dict, dict]) -> None:
    fields = {"parameters", "parameters_nonzero", "size_mib", "peak_memory_mib", "latency_ms", "latency_ms_by_length"}
    for found in costs:
        assert found.keys() == fields | {"throughput_per_s", "speedup", "threads", "contended"}
        assert json.loads(json.dumps(found, allow_nan=False)) == found
        assert found["threads"] == 1
        assert isinstance(found["contended"], bool)
        assert found["throughput_per_s"] > 0
        assert 0 < found["latency_ms"]["p50"] <= found["latency_ms"]["p95"] <= found["latency_ms"]["p99"]


def test_sizes_and_weights_are_those_of_the_saved_files(costs: tuple[dict, dict], saved: Path) -> None:
    for found, name in zip(costs, ("small", "large"), strict=True):
        counts = saved_model.load(saved / name).count_parameters()
        assert (found["parameters"], found["parameters_nonzero"]) == counts
        assert found["size_mib"] == (saved / name / "model.safetensors").stat().st_size / 2**20


def test_the_larger_model_takes_more_memory_and_at_least_its_weights(costs: tuple[dict, dict]) -> None:
    small, large = costs
    assert large["peak_memory_mib"] > large["size_mib"] > 30
    assert small["peak_memory_mib"] < large["peak_memory_mib"] - 20


def test_speedup_is_the_ratio_of_the_medians(costs: tuple[dict, dict]) -> None:
    small, large = costs
    assert small["speedup"] == large["latency_ms"]["p50"] / small["latency_ms"]["p50"]
    assert large["speedup"] == 1.0


def test_synthetic_requests_are_no_longer_than_the_model_takes(costs: tuple[dict, dict]) -> None:
    assert [list(one["latency_ms_by_length"]) for one in costs] == [["16", "32", "64"], ["16", "32"]]


def test_without_a_reference_there_is_no_speedup(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(saved)  # a relative folder is found from here
    own, none = measured(Path("small"), None, rounds=1)
    assert none == {}
    assert own["speedup"] is None


def test_onnx_and_openvino_files_count_as_weights_and_cards_do_not(tmp_path: Path) -> None:
    weights = {"model.onnx": 2**20, "model.safetensors": 2**19, "model.bin": 2**18, "model.xml": 2**17}
    for name, size in {**weights, "tokenizer.json": 2**22, "README.md": 2**21}.items():
        (tmp_path / name).write_bytes(bytes(size))
    assert latency.size_mib(tmp_path) == 1.875


def test_a_folder_without_a_classifier_is_the_users_mistake(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"classifier\.json"):
        measured(tmp_path, saved / "small")
    with pytest.raises(UserError, match="no such folder"):
        measured(saved / "small", tmp_path / "none")


def test_a_model_that_does_not_load_fails_the_cell(saved: Path, tmp_path: Path) -> None:
    for path in (saved / "small").iterdir():
        (tmp_path / path.name).write_bytes(
            path.read_bytes()[:200] if path.suffix == ".safetensors" else path.read_bytes()
        )
    with pytest.raises(FitError, match=r"measuring failed: UserError: .*model\.safetensors"):
        measured(tmp_path, None)


def test_nothing_to_time_is_refused(saved: Path) -> None:
    with pytest.raises(ValueError, match="no requests"):
        latency.measure(saved / "small", latency.Workload([], LOAD.bulk), reference=None, threads=1, rounds=1)


def test_rounds_stop_when_the_time_for_them_is_used_up(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def seconds(_: object, batches: list[Batch]) -> list[float]:
        asked.append(len(batches))
        return [0.001] * len(batches)

    monkeypatch.setattr(latency, "_seconds", seconds)
    monkeypatch.setattr(latency, "BUDGET_S", 0.0)
    arrays = [latency._arrays(one) for one in REQUESTS]
    threads = torch.get_num_threads()
    latency._time([saved / "small"], [(arrays, [latency._arrays(LOAD.bulk[0])])], threads=threads, rounds=50)
    assert asked.count(len(REQUESTS)) == 1
