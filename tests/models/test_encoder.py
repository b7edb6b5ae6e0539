"""Encoders start from the weights and layers that were named, in training mode, and are saved to the bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file

from kd_lab.core.cache import Cache, fingerprint
from kd_lab.core.errors import UserError
from kd_lab.core.types import Batch, Outputs
from kd_lab.data.checkpoint import Checkpoint
from kd_lab.models import saved_model
from kd_lab.models.base import TorchClassifier
from kd_lab.models.encoder import Encoder, EncoderClassifier
from kd_lab.models.spec import BuildContext

VOCABULARY, CLASSES, LAYERS = 40, 3, 4
BERT = Encoder("tiny", "bert", LAYERS, width=16, heads=2, feed_forward=24, init="random", max_positions=20)
FAMILIES = {
    "bert": BERT,
    "distilbert": replace(BERT, architecture="distilbert"),
    "roberta": replace(BERT, architecture="roberta"),
}
each_family = pytest.mark.parametrize("family", FAMILIES)


@pytest.fixture
def context(own_cache: Cache) -> BuildContext:
    return BuildContext(CLASSES, VOCABULARY, 0, "tokens", list, own_cache)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    """A BERT of 4 layers with its language-model head, as the hub keeps it."""
    torch.manual_seed(1)
    settings = transformers.BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        num_hidden_layers=LAYERS,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=20,
    )
    model = transformers.BertForMaskedLM(settings)
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    model.save_pretrained(tmp_path / "hub")
    return Checkpoint("some/bert", path=str(tmp_path / "hub"))


def batch(segments: bool = False) -> Batch:
    pieces = torch.randint(1, VOCABULARY, (3, 7), generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[1] * 7, [1] * 4 + [0] * 3, [1] * 5 + [0] * 2])
    kinds = torch.tensor([[0] * 3 + [1] * 4] * 3) * mask if segments else None
    return Batch(torch.arange(3), pieces * mask, mask, torch.tensor([0, 1, 2]), kinds)


def said(model: TorchClassifier, given: Batch, *fields: str) -> Outputs:
    model.returns = frozenset({"logits", *fields})
    with torch.no_grad():
        return model(given)


@each_family
@pytest.mark.parametrize("init", ["random", "pretrained", "teacher"])
def test_a_model_is_built_in_training_mode(
    family: str, init: Any, context: BuildContext, checkpoint: Checkpoint
) -> None:
    """from_pretrained leaves models in evaluation mode, and Lightning keeps it: dropout was off without a word."""
    if family == "roberta" and init == "pretrained":
        FAMILIES[family].build(context).save(Path(str(checkpoint.path)))
    teacher = FAMILIES["roberta" if family == "roberta" else "bert"].build(context).eval()
    spec = replace(FAMILIES[family], init=init, checkpoint=checkpoint, dropout=0.5)
    model = spec.build(context._replace(teacher=teacher))
    assert all(module.training for module in model.modules())
    rates = {module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)}
    assert rates == {0.5}
    assert not torch.equal(model(batch()).logits, model(batch()).logits)
    assert not teacher.training


@each_family
def test_outputs_have_the_shapes_of_the_legend(family: str, context: BuildContext) -> None:
    model = FAMILIES[family].build(context).eval()
    only = said(model, batch())
    assert only.logits.shape == (3, CLASSES)
    assert only.hidden is None
    both = said(model, batch(), "hidden")
    assert both.hidden is not None
    assert both.hidden.shape == (3, 7, 16)
    torch.testing.assert_close(both.logits, only.logits, rtol=0, atol=1e-6)  # the last layer for one token or for all


@each_family
def test_logits_do_not_depend_on_padding(family: str, context: BuildContext) -> None:
    model, given = FAMILIES[family].build(context).eval(), batch()
    alone = Batch(given.row_ids[1:2], given.input_ids[1:2, :4], given.attention_mask[1:2, :4], given.labels[1:2])
    torch.testing.assert_close(said(model, alone).logits[0], said(model, given).logits[1], atol=1e-5, rtol=0)


def test_the_second_text_is_told_from_the_first_where_a_family_can(context: BuildContext) -> None:
    for family, two in (("bert", True), ("distilbert", False)):
        model = FAMILIES[family].build(context).eval()
        same = torch.equal(said(model, batch(segments=True)).logits, said(model, batch()).logits)
        assert model.two_segments == two == (not same)


# where weights come from


def test_a_checkpoint_gives_the_hidden_states_that_transformers_gives(
    context: BuildContext, checkpoint: Checkpoint
) -> None:
    theirs = transformers.AutoModel.from_pretrained(checkpoint.path, add_pooling_layer=False).eval()
    given = batch()
    with torch.no_grad():
        expected = theirs(input_ids=given.input_ids, attention_mask=given.attention_mask).last_hidden_state
    for family in ("bert", "distilbert"):
        model = replace(FAMILIES[family], init="pretrained", checkpoint=checkpoint).build(context).eval()
        hidden = said(model, given, "hidden").hidden
        real = given.attention_mask.bool()
        torch.testing.assert_close(hidden[real], expected[real], atol=1e-4, rtol=0)


def test_the_wheel_gives_the_hidden_states_that_transformers_gives(
    own_cache: Cache, minilm: Checkpoint, tmp_path: Path
) -> None:
    context = BuildContext(CLASSES, 30_522, 0, "tokens", list, own_cache)
    theirs = transformers.AutoModel.from_pretrained(minilm.folder()).eval()
    pieces = torch.tensor([[101, 7592, 1010, 2088, 102], [101, 2088, 102, 0, 0]])
    given = Batch(torch.arange(2), pieces, (pieces > 0).long(), torch.tensor([0, 1]))
    with torch.no_grad():
        expected = theirs(
            input_ids=pieces, attention_mask=given.attention_mask, output_hidden_states=True
        ).hidden_states
    whole = Encoder("mini", "distilbert", 6, 384, 12, 1536, checkpoint=minilm)
    first = replace(whole, layers=2, keep_layers=(0, 1))
    for spec, layer in ((whole, 6), (first, 2), (replace(whole, architecture="bert"), 6)):
        hidden = said(spec.build(context).eval(), given, "hidden").hidden
        assert hidden is not None
        real = given.attention_mask.bool()
        torch.testing.assert_close(hidden[real], expected[layer][real], atol=1e-4, rtol=0)


@pytest.mark.parametrize("init", ["pretrained", "teacher"])
def test_keep_layers_picks_those_layers(init: Any, context: BuildContext, checkpoint: Checkpoint) -> None:
    teacher = replace(BERT, init="pretrained", checkpoint=checkpoint).build(context)
    keep = (0, 3)
    spec = replace(FAMILIES["distilbert"], layers=2, init=init, checkpoint=checkpoint, keep_layers=keep)
    taken = spec.build(context._replace(teacher=teacher)).net.base_model.transformer.layer
    source = load_file(Path(str(checkpoint.path)) / "model.safetensors")
    assert len(taken) == 2
    for place, layer in enumerate(keep):
        for ours, theirs in (("attention.q_lin", "attention.self.query"), ("output_layer_norm", "output.LayerNorm")):
            expected = source[f"bert.encoder.layer.{layer}.{theirs}.weight"]
            assert torch.equal(taken[place].get_submodule(ours).weight, expected)


def test_the_head_starts_from_random_and_the_teacher_is_left_alone(context: BuildContext) -> None:
    teacher = BERT.build(context).eval()
    before = {name: weight.clone() for name, weight in teacher.state_dict().items()}
    student = replace(BERT, init="teacher").build(context._replace(teacher=teacher))
    assert torch.equal(
        student.net.bert.embeddings.word_embeddings.weight, before["net.bert.embeddings.word_embeddings.weight"]
    )
    assert not torch.equal(student.net.classifier.weight, before["net.classifier.weight"])
    with torch.no_grad():
        for weight in student.parameters():
            weight.zero_()
    assert all(torch.equal(weight, before[name]) for name, weight in teacher.state_dict().items())


def test_init_random_ignores_the_checkpoint(context: BuildContext, tmp_path: Path) -> None:
    nowhere = Checkpoint("some/bert", path=str(tmp_path / "nowhere"), sha256="0" * 64)
    drawn = []
    for checkpoint in (None, nowhere):
        torch.manual_seed(0)
        drawn.append(replace(BERT, checkpoint=checkpoint).build(context).state_dict())
    assert all(torch.equal(drawn[0][name], drawn[1][name]) for name in drawn[0])
    assert fingerprint(replace(BERT, checkpoint=nowhere)) == fingerprint(BERT)
    torch.manual_seed(1)
    other = BERT.build(context).state_dict()
    assert not torch.equal(other["net.classifier.weight"], drawn[0]["net.classifier.weight"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"width": 8}, r"bert\.embeddings\..* of shape .*got shape \[.*weights do not fit"),
        ({"feed_forward": 12}, r"of shape \[12\], got shape \[24\]"),
        ({"max_positions": 10}, r"position_embeddings.weight of shape \[10, 16\], got shape \[20, 16\]"),
        ({"layers": 5}, "got no such weight"),
        ({"layers": 2, "keep_layers": (0, 4)}, "got no such weight"),
        ({"layers": 2}, r"model\.keep_layers: expected which 2 layers"),  # once the first two, without a word
        (
            {"layers": 2, "architecture": "roberta", "keep_layers": (1, 3)},
            r"model\.keep_layers",
        ),  # BERT is not translated to it
    ],
)
def test_weights_that_do_not_fit_are_refused(
    changes: dict[str, Any], words: str, context: BuildContext, checkpoint: Checkpoint
) -> None:
    with pytest.raises(UserError, match=words):
        replace(BERT, init="pretrained", checkpoint=checkpoint, **changes).build(context)


def test_another_vocabulary_is_refused(context: BuildContext, checkpoint: Checkpoint) -> None:
    with pytest.raises(UserError, match=r"word_embeddings.weight of shape \[41, 16\], got shape \[40, 16\]"):
        replace(BERT, init="pretrained", checkpoint=checkpoint).build(context._replace(vocab_size=41))


@pytest.mark.parametrize("teacher", [None, TorchClassifier({})], ids=["none", "no encoder"])
def test_layers_of_a_teacher_that_has_none_are_refused(teacher: TorchClassifier | None, context: BuildContext) -> None:
    with pytest.raises(UserError, match=r"model\.init=teacher: expected an encoder as teacher"):
        replace(BERT, init="teacher").build(context._replace(teacher=teacher))


def test_options_that_contradict_each_other_are_refused(context: BuildContext) -> None:
    with pytest.raises(UserError, match=r"model\.keep_layers: expected 4 layers.*got \[0, 2\]"):
        replace(BERT, keep_layers=(0, 2))
    with pytest.raises(UserError, match=r"model\.init: expected pretrained, teacher or random, got 'scratch'"):
        replace(BERT, init="scratch")  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"model\.dropout: expected a probability below 1, got 1\.0"):
        replace(BERT, dropout=1.0)
    with pytest.raises(UserError, match=r"model\.checkpoint: expected pre-trained weights, got none"):
        replace(BERT, init="pretrained").build(context)


def test_its_name_does_not_hold_what_results_call_it(checkpoint: Checkpoint) -> None:
    assert fingerprint(replace(BERT, name="other")) == fingerprint(BERT)
    specs = [BERT, replace(BERT, dropout=0.2), replace(BERT, init="pretrained", checkpoint=checkpoint)]
    assert len({fingerprint(spec) for spec in specs}) == 3


# saving


@each_family
def test_what_is_loaded_is_what_was_saved_to_the_bit(family: str, context: BuildContext, tmp_path: Path) -> None:
    saved = FAMILIES[family].build(context).eval()
    saved_model.save(saved, tmp_path / "model", {})
    loaded = saved_model.load(tmp_path / "model")
    assert isinstance(loaded, EncoderClassifier)
    assert not any(module.training for module in loaded.modules())
    assert list(loaded.state_dict()) == list(saved.state_dict())
    assert all(torch.equal(weight, saved.state_dict()[name]) for name, weight in loaded.state_dict().items())
    ours, theirs = said(loaded, batch(), "hidden"), said(saved, batch(), "hidden")
    assert torch.equal(ours.logits, theirs.logits)
    assert torch.equal(ours.hidden, theirs.hidden)
    assert loaded.count_parameters() == saved.count_parameters()
    again = tmp_path / "again"
    saved_model.save(loaded, again, {})
    for name in ("config.json", "model.safetensors"):
        assert (again / name).read_bytes() == (tmp_path / "model" / name).read_bytes()


@each_family
def test_transformers_reads_what_was_saved(family: str, context: BuildContext, tmp_path: Path) -> None:
    saved = FAMILIES[family].build(context).eval()
    saved.save(tmp_path)
    theirs, about = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(about[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    given = batch(segments=True)
    kinds = {"token_type_ids": given.token_type_ids} if saved.two_segments else {}
    with torch.no_grad():
        logits = theirs.eval()(input_ids=given.input_ids, attention_mask=given.attention_mask, **kinds).logits
    torch.testing.assert_close(logits, said(saved, given).logits, rtol=0, atol=1e-6)


def test_parameters_are_counted_and_zeros_apart(context: BuildContext) -> None:
    model = replace(BERT, layers=1).build(context)
    counted, nonzero = model.count_parameters()
    embeddings = (VOCABULARY + 20 + 2) * 16 + 2 * 16
    layer = 4 * (16 * 16 + 16) + 2 * 16 + (16 * 24 + 24) + (24 * 16 + 16) + 2 * 16
    head = (16 * 16 + 16) + (16 * CLASSES + CLASSES)
    assert counted == embeddings + layer + head
    with torch.no_grad():
        model.net.bert.pooler.dense.weight.fill_(1.0)
        before = model.count_parameters()[1]
        model.net.bert.pooler.dense.weight[:3].zero_()
    assert model.count_parameters() == (counted, before - 3 * 16)
    assert nonzero < counted  # biases start at zero


def test_a_bert_starts_from_a_distilbert_which_has_no_segments(context: BuildContext) -> None:
    teacher = FAMILIES["distilbert"].build(context)
    student = replace(BERT, init="teacher").build(context._replace(teacher=teacher))
    embeddings = student.net.base_model.embeddings
    assert not embeddings.token_type_embeddings.weight.any()
    assert torch.equal(embeddings.word_embeddings.weight, teacher.net.base_model.embeddings.word_embeddings.weight)
