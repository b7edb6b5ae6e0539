"""A malformed file of any kind that kd_lab reads ends well or in one clear line, and leaves nothing behind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import strategies as st

from experiments.reliability.malformed import LEFT, REFUSED, SUCCESS, TRACEBACK, by_command, by_reader, examples, main
from experiments.reliability.malformed_kinds import Kind, kinds
from kd_lab.core.errors import UserError

MODELS = ("lstm", "encoder", "sparse", "bf16", "int8")
NAMES = [
    *(f"{model}/{file}" for model in MODELS for file in ("classifier.json", "config.json", "model.safetensors")),
    *("lstm/tokenizer.json", "onnx/classifier.json", "onnx/model.onnx", "dataset.csv", "train.parquet"),
    *("checkpoint/tokenizer.json", "checkpoint/model.safetensors", "predict.csv", "stdin", "expected.csv"),
    *("result.json", "predictions.npz", "sweep.json"),
]
FILES = 4  # of each kind; experiments/reliability/malformed tries more


@pytest.fixture(scope="module")
def all_kinds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Kind]:
    return kinds(tmp_path_factory.mktemp("sound"))


def test_every_kind_is_tried_here(all_kinds: dict[str, Kind]) -> None:
    assert set(all_kinds) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_sound_file_is_read(all_kinds: dict[str, Kind], name: str) -> None:
    kind = all_kinds[name]
    sound = kind.files[kind.file]
    assert by_reader(kind, sound).what == SUCCESS
    if kind.line is not None and kind.at_once:
        assert by_command(kind, sound).what == SUCCESS


@pytest.mark.parametrize("name", NAMES)
def test_a_malformed_file_is_one_clear_line_or_read_and_nothing_is_left(all_kinds: dict[str, Kind], name: str) -> None:
    kind = all_kinds[name]
    for content in examples(kind, FILES):
        outcomes = [by_reader(kind, content)]
        if kind.line is not None and kind.at_once:
            outcomes.append(by_command(kind, content))
        for one in outcomes:
            assert one.what in (SUCCESS, REFUSED), f"{content[:500]!r}\n{one.said}"


@pytest.mark.parametrize("name", ["dataset.csv", "train.parquet", "checkpoint/tokenizer.json"])
def test_a_run_that_is_given_one_exits_with_2_and_leaves_the_folder_as_it_was(
    all_kinds: dict[str, Kind], name: str
) -> None:
    out = by_command(all_kinds[name], b"")
    assert out.what == REFUSED, out.said


def _kind(read: object) -> Kind:
    return Kind({"a": b"1"}, "a", lambda _: st.just(b"2"), read)  # type: ignore[arg-type]


def test_the_harness_sees_another_exception_a_line_that_is_none_and_what_is_left() -> None:
    def left(folder: Path) -> None:
        (folder / "half").touch()
        raise UserError("a", expected="b", got="c", cure="Mend it.")

    def panics(folder: Path) -> None:
        raise type("PanicException", (BaseException,), {})("index out of bounds")

    def plain(folder: Path) -> None:
        (folder / "missing").read_text()

    assert by_reader(_kind(plain), b"2").what == TRACEBACK
    assert by_reader(_kind(panics), b"2").what == TRACEBACK
    assert by_reader(_kind(left), b"2").said == "given/half"
    assert by_reader(_kind(left), b"2").what == LEFT


def test_its_command_writes_what_it_counted(tmp_path: Path) -> None:
    assert main(["--examples", "3", "--only", "sweep.json", "--to", str(tmp_path)]) == 0
    told = json.loads((tmp_path / "malformed" / "result.json").read_text(encoding="utf-8"))
    assert told["figures"]["files"] == told["figures"]["by_command"] == 3
    assert told["figures"]["outcomes"] == {REFUSED: 0, SUCCESS: 3, TRACEBACK: 0, LEFT: 0}
