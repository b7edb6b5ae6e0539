"""transformers' masked language models, with logits for masked places alone: the same logits, the same folders."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny_checkpoints
import torch
import transformers

from kd_lab.core.cache import Cache
from kd_lab.core.errors import UserError
from kd_lab.models.checkpoint_encoder import CheckpointEncoder
from kd_lab.models.encoder import EncoderClassifier
from kd_lab.models.fused.cls_only import all_tokens
from kd_lab.models.masked_lm import HEADS, MaskedLM, head_of, of_classifier
from kd_lab.models.spec import BuildContext

PLACES = torch.tensor([1, 5, 13])


def classifier(folder: Path, family: str, **options) -> EncoderClassifier:
    tiny_checkpoints.write(folder, family, **options)
    return built(folder)


def built(folder: Path, **options) -> EncoderClassifier:
    context = BuildContext(2, 40, 0, "", lambda: [], Cache(folder.parent / "cache"))
    return CheckpointEncoder(str(folder), **options).build(context)


@pytest.mark.parametrize("family", sorted(HEADS))
def test_logits_are_transformers_own_at_the_places(family, tmp_path):
    encoder = classifier(tmp_path / "a", family)
    pieces = int(encoder.config["vocab_size"]) - 2  # as where a checkpoint pads its vocabulary
    model = of_classifier(encoder, pieces).eval()
    ids = torch.randint(4, pieces, (2, 12))
    mask = torch.ones_like(ids)
    mask[1, 9:] = 0
    with torch.no_grad():
        for given in (None, mask):
            said = model(ids, PLACES, given)
            theirs = model.net(input_ids=ids, attention_mask=given).logits.flatten(0, 1)[PLACES, :pieces]
            assert torch.allclose(said.logits, theirs, atol=1e-5)
        all_tokens(encoder.net, family, asked=True)
        states = encoder.eval().net.base_model(input_ids=ids).last_hidden_state
    assert torch.allclose(model(ids, PLACES).hidden, states, atol=1e-5), "the encoder is the classifier's"
    assert model.embedding is model.net.get_output_embeddings().weight


@pytest.mark.parametrize("family", sorted(HEADS))
def test_a_saved_folder_is_read_by_kd_lab_transformers_and_fine_tuning_alike(family, tmp_path):
    model = of_classifier(classifier(tmp_path / "a", family), 40)
    model.save(tmp_path / "saved")
    again = MaskedLM.load(tmp_path / "saved", 40)
    net, told = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path / "saved", output_loading_info=True)
    assert not any(told.values()), told
    for name, weight in model.net.state_dict().items():
        assert torch.equal(weight, again.net.state_dict()[name])
        assert torch.equal(weight, net.state_dict()[name])
    tuned = built(tmp_path / "saved")
    for name, weight in model.net.base_model.state_dict().items():
        assert torch.equal(weight, tuned.net.base_model.state_dict()[name])


def test_a_head_is_taken_from_another_family_and_from_a_file(tmp_path):
    bert = of_classifier(classifier(tmp_path / "bert", "bert"), 40)
    mini = of_classifier(classifier(tmp_path / "mini", "distilbert"), 40)
    assert mini.head
    assert mini.take_head(bert.head_weights())
    assert not mini.head, "none of it starts from random any more"
    assert torch.equal(mini.net.vocab_transform.weight, bert.net.cls.predictions.transform.dense.weight)
    found = head_of({"cls.predictions.transform.LayerNorm.gamma": torch.ones(1), **_named(bert)})
    assert found is not None
    assert torch.equal(found["bias"], bert.net.cls.predictions.bias)
    assert head_of(classifier(tmp_path / "none", "bert").net.state_dict()) is None
    narrow = of_classifier(classifier(tmp_path / "narrow", "distilbert", dim=16), 40)
    assert not narrow.take_head(bert.head_weights())
    assert narrow.head


def _named(model: MaskedLM) -> dict[str, torch.Tensor]:
    old = "cls.predictions.transform.LayerNorm.weight"
    return {name: weight for name, weight in model.net.state_dict().items() if name != old}


@pytest.mark.parametrize("family", ["bert", "xlm-roberta"])
def test_of_a_frozen_encoder_the_head_alone_learns_and_nothing_is_dropped(family, tmp_path):
    model = of_classifier(classifier(tmp_path / "a", family), 40)
    model.freeze_encoder()
    model.train()
    learning = [name for name, weight in model.named_parameters() if weight.requires_grad]
    assert len(learning) == 5
    assert not model.net.base_model.training
    ids = torch.randint(4, 40, (2, 12))
    said = model(ids, PLACES)
    said.logits.sum().backward()
    assert not said.hidden.requires_grad
    assert model.embedding.grad is None
    assert all(weight.grad is not None for weight in model.head_weights().values())


def test_a_student_starts_from_its_layers(tmp_path):
    model = of_classifier(classifier(tmp_path / "a", "bert"), 40)
    found = model.as_classifier().net.base_model.state_dict()
    assert all(torch.equal(weight, found[name]) for name, weight in model.net.base_model.state_dict().items())


def test_an_encoder_that_knows_fewer_pieces_than_its_tokenizer_is_refused(tmp_path):
    with pytest.raises(UserError, match="a row for each of the tokenizer's 1000 pieces"):
        of_classifier(classifier(tmp_path / "a", "bert"), 1000)


def test_a_family_without_such_a_head_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"one of the families bert, ernie, distilbert.*got modernbert"):
        of_classifier(classifier(tmp_path / "a", "modernbert"), 40)
