"""What is true of every student with word vectors: blind to padding, saved to the bit, the same as ONNX."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from student_kinds import RANDOM, STUDENTS

from kd_lab.__main__ import command
from kd_lab.compression.quantize.onnx_export import OnnxExport
from kd_lab.compression.quantize.onnx_int8 import OnnxInt8
from kd_lab.compression.quantize.torch_bf16 import TorchBf16
from kd_lab.compression.quantize.torch_int8 import TorchInt8
from kd_lab.core import results
from kd_lab.core.cache import Cache, fingerprint
from kd_lab.core.formats import format_of
from kd_lab.core.types import Batch
from kd_lab.models import saved_model
from kd_lab.models.embedding_classifier import EmbeddingClassifier
from kd_lab.models.spec import BuildContext
from kd_lab.models.static import Static
from kd_lab.serving.text_classifier import TextClassifier

VOCABULARY, CLASSES, PAD = 40, 3, 0
LENGTHS = (9, 1, 4, 2)
each_student = pytest.mark.parametrize("name", STUDENTS)


def built(name: str, cache: Cache) -> EmbeddingClassifier:
    """A student in which no two tensors are equal, as after a fit."""
    torch.manual_seed(3)
    model: EmbeddingClassifier = STUDENTS[name].build(BuildContext(CLASSES, VOCABULARY, PAD, "tokens", list, cache))
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight), alpha=0.15)
        model.embedding.weight[PAD] = 0.0  # type: ignore[operator]
    return model


def batch(*lengths: int, wide: int = 0, filler: int = PAD) -> Batch:
    """Rows of these lengths, padded by `filler` to the longest and `wide` more."""
    numbers = torch.Generator().manual_seed(0)
    tokens = max(lengths) + wide
    ids = torch.randint(1, VOCABULARY, (len(lengths), 50), generator=numbers)[:, :tokens]
    mask = (torch.arange(tokens) < torch.tensor(lengths)[:, None]).long()
    rows = torch.arange(len(lengths))
    return Batch(rows, torch.where(mask == 1, ids, filler), mask, torch.zeros_like(rows))


def said(model: Any, given: Batch) -> torch.Tensor:
    with torch.no_grad():
        logits: torch.Tensor = model(given).logits
    return logits


@each_student
@pytest.mark.parametrize("filler", [PAD, 7])
def test_logits_do_not_depend_on_padding_whatever_stands_there(name: str, filler: int, own_cache: Cache) -> None:
    model = built(name, own_cache).eval()
    wide = said(model, batch(*LENGTHS, wide=6, filler=filler))
    torch.testing.assert_close(wide, said(model, batch(*LENGTHS)), atol=1e-6, rtol=0)


@each_student
def test_logits_do_not_depend_on_the_batchs_other_rows(name: str, own_cache: Cache) -> None:
    model = built(name, own_cache).eval()
    together = batch(*LENGTHS)
    for row, length in enumerate(LENGTHS):
        alone = Batch(*(part[row : row + 1] for part in together[:4]))
        alone = alone._replace(input_ids=alone.input_ids[:, :length], attention_mask=alone.attention_mask[:, :length])
        torch.testing.assert_close(said(model, alone)[0], said(model, together)[row], atol=1e-6, rtol=0)


@each_student
def test_hidden_states_are_given_for_each_token_and_do_not_depend_on_padding(name: str, own_cache: Cache) -> None:
    model = built(name, own_cache).eval()
    assert model(batch(*LENGTHS)).hidden is None
    model.returns = frozenset({"logits", "hidden"})
    tight, wide = (model(batch(*LENGTHS, wide=more)).hidden for more in (0, 5))
    assert tight.shape[:2] == (len(LENGTHS), max(LENGTHS))
    for row, length in enumerate(LENGTHS):
        torch.testing.assert_close(tight[row, :length], wide[row, :length], atol=1e-6, rtol=0)


@each_student
def test_every_weight_has_a_gradient_and_learns_at_the_heads_rate(name: str, own_cache: Cache) -> None:
    model = built(name, own_cache)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    torch.nn.functional.cross_entropy(model(batch(*LENGTHS)).logits, torch.tensor([0, 1, 2, 1])).backward()
    missing = [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert not missing
    assert not [name for name, _ in model.named_parameters() if not name.startswith(model.head)]


@each_student
def test_it_is_built_in_training_mode_with_dropout_on(name: str, own_cache: Cache) -> None:
    model = built(name, own_cache)
    assert all(module.training for module in model.modules())
    assert not torch.equal(said(model, batch(5)), said(model, batch(5)))


@each_student
def test_what_is_loaded_is_what_was_saved_to_the_bit(name: str, own_cache: Cache, tmp_path: Path) -> None:
    model = built(name, own_cache).eval()
    saved_model.save(model, tmp_path / "new" / "saved", {})
    loaded = saved_model.load(tmp_path / "new" / "saved")
    assert type(loaded) is type(model)
    assert not any(module.training for module in loaded.modules())
    assert saved_model.read_card(tmp_path / "new" / "saved")["format"] == format_of(type(model))
    assert torch.equal(said(loaded, batch(*LENGTHS)), said(model, batch(*LENGTHS)))


@each_student
def test_onnx_says_the_same_for_any_batch_and_int8_nearly_so(name: str, own_cache: Cache) -> None:
    model = built(name, own_cache).eval()
    exported = OnnxExport().apply(model)
    small = OnnxInt8().apply(exported)
    for given in (batch(*LENGTHS), batch(3), batch(1, 1), batch(2, 7, wide=4, filler=5)):
        expected = said(model, given)
        torch.testing.assert_close(exported(given).logits, expected, atol=1e-5, rtol=0)
        assert (small(given).logits - expected).abs().max() < 0.1 * expected.std() + 0.05
    assert small.quantized


@each_student
@pytest.mark.parametrize("step", [TorchInt8(), TorchBf16()], ids=["int8", "bf16"])
def test_torchs_own_small_numbers_say_nearly_the_same(name: str, step: Any, own_cache: Cache, tmp_path: Path) -> None:
    model = built(name, own_cache).eval()
    small = step.apply(model)
    expected = said(model, batch(*LENGTHS))
    assert (small(batch(*LENGTHS)).logits - expected).abs().max() < 0.1 * expected.std() + 0.05
    saved_model.save(small, tmp_path / "small", {})
    assert torch.equal(said(saved_model.load(tmp_path / "small"), batch(*LENGTHS)), said(small, batch(*LENGTHS)))


@each_student
def test_its_name_is_its_options_and_not_what_results_call_it(name: str) -> None:
    spec = STUDENTS[name]
    assert fingerprint(replace(spec, name="other")) == fingerprint(spec)
    assert len({fingerprint(one) for one in (spec, replace(spec, embedding=13), replace(spec, word2vec_seed=1))}) == 3
    assert not spec.starts_from_teacher
    assert not {"vectors", "bidirectional"} & {key for key, value in spec.fingerprint_parts().items() if not value}, (
        "options that came later, and say nothing here, rename what was made before"
    )


@pytest.mark.parametrize(
    "model",
    [
        "static model.ngrams=2 model.buckets=500 model.hidden=16",
        "cnn model.maps=16",
        "gru_attention model.hidden=16 model.bidirectional=true",
        "tfidf",
        "tiny_transformer optimizer.encoder_lr=0.01 model.width=32 model.feed_forward=32 model.layers=1",
    ],
)
def test_the_command_fits_exports_and_predicts(
    model: str, toy_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = "" if model.startswith(("tiny", "tfidf")) else "model.init=random optimizer.head_lr=0.02"
    line = f"dataset=csv dataset.path={toy_csv} model={model} {given} trainer.max_epochs=20 trainer.device=cpu".split()
    line += ["trainer.patience=20", "trainer.batch_size=16"]
    more = ["teacher=none", "loss=cross_entropy", "evaluation=none", "tracking=none", "name=toy"]
    assert command([*line, *more, "compression=[onnx_int8]"]) == 0
    (cell,) = [path.parent for path in Path("multirun/toy").glob("*/result.json")]
    assert results.read(cell).metrics["validation"]["accuracy"] > 0.75
    labels, _ = TextClassifier(cell / "model").predict(["tell me more about the goat near the old house"])
    assert labels == ["animals"]


# what is not possible is said before any training


@pytest.mark.parametrize(
    ("model", "compression", "words"),
    [
        ("static model.ngrams=2", "trim_vocabulary", "a student without n-grams"),
        ("lstm_attention model.bidirectional=true", "prune_lstm", "an LSTM from left to right"),
        ("gru_attention", "prune_lstm", "the LSTM with attention"),
        ("gru_attention", "onnx_int8_static", "no static INT8 for LSTM and GRU layers"),
        ("gru_attention", "prune_l1,onnx,onnx_int8_static", "no static INT8 for LSTM and GRU layers"),
        ("cnn", "prune_heads", "an encoder"),
        ("static", "drop_layers", "an encoder"),
        ("static model.embedding=32", "low_rank_embedding", "a rank below 32"),
    ],
)
def test_steps_that_cannot_take_a_student_say_so_at_once(
    model: str, compression: str, words: str, refusal: Callable[..., str]
) -> None:
    line = f"model={model} compression=[{compression}] teacher=none loss=cross_entropy".split()
    assert words in refusal(*line)


def test_the_order_of_words_counts_but_for_the_mean_of_their_vectors(own_cache: Cache) -> None:
    given = batch(6)
    turned = given._replace(input_ids=given.input_ids.flip(1))
    for name, apart in (("static", False), ("static_ngrams", True), ("cnn", True), ("lstm", True), ("gru", True)):
        model = built(name, own_cache).eval()
        assert torch.allclose(said(model, given), said(model, turned), atol=1e-6) is not apart


def test_every_model_of_conf_is_of_a_class_that_can_be_saved() -> None:
    assert {format_of(spec.kind) for spec in STUDENTS.values()} == {
        *("static/1", "cnn/1", "gru_attention/1", "lstm_attention/1"),
    }


def test_a_static_student_is_its_formula(own_cache: Cache) -> None:
    model = Static(**RANDOM).build(BuildContext(CLASSES, VOCABULARY, PAD, "tokens", list, own_cache)).eval()
    given = batch(*LENGTHS)
    for row, length in enumerate(LENGTHS):
        mean = model.embedding.weight[given.input_ids[row, :length]].mean(0)
        torch.testing.assert_close(model.classifier(mean), model(given).logits[row], atol=1e-6, rtol=0)
