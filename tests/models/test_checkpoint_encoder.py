"""Any family of encoders is built as its checkpoint says, and is saved, read, cut and refused like any other model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiny_checkpoints as tiny
import torch
import transformers
from safetensors.torch import load_file, save_file

from kd_lab.core.cache import Cache
from kd_lab.core.errors import UserError
from kd_lab.core.types import Batch
from kd_lab.models import saved_model
from kd_lab.models.checkpoint_encoder import CheckpointEncoder
from kd_lab.models.encoder import EncoderClassifier
from kd_lab.models.families import FAMILIES
from kd_lab.models.pretrained import evenly
from kd_lab.models.spec import BuildContext

CARD = {"labels": ["a", "b", "c"], "max_tokens": 32, "pad_id": 0}


def batch() -> Batch:
    ids = torch.tensor([[2, 9, 8, 7, 6, 3], [2, 5, 4, 3, 0, 0]])
    return Batch(torch.arange(2), ids, (ids != 0).long(), torch.zeros(2, dtype=torch.long))


def built(folder: Path, **options: Any) -> EncoderClassifier:
    context = BuildContext(3, 30, 0, "tokens", list, Cache(folder / "cache"))
    return CheckpointEncoder(str(folder), **options).build(context).eval()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_is_what_transformers_makes_of_it(family: str, tmp_path: Path) -> None:
    theirs = tiny.write(tmp_path / "tiny", family)
    model = built(tmp_path / "tiny")
    assert {name.partition(".")[2] for name, _ in model.named_parameters() if not name.startswith(model.head)}
    with torch.no_grad():
        asked = batch()
        first = theirs(input_ids=asked.input_ids, attention_mask=asked.attention_mask)[0][:, 0]
        model.returns = frozenset({"logits", "hidden"})
        said = model(asked)
        assert torch.allclose(said.hidden[:, 0], first, atol=1e-5)  # type: ignore[index]
        saved_model.save(model, tmp_path / "saved", CARD)
        again = saved_model.load(tmp_path / "saved")
        model.returns = frozenset({"logits"})
        assert torch.equal(again(asked).logits, model(asked).logits)
        outside = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved").eval()
        logits = outside(input_ids=asked.input_ids, attention_mask=asked.attention_mask).logits
        assert torch.allclose(logits, said.logits, atol=1e-5)


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - {"albert"}))
def test_layers_are_kept_whole(family: str, tmp_path: Path) -> None:
    theirs = tiny.write(tmp_path, family).state_dict()
    model = built(tmp_path, keep_layers=(0, 2))
    ours = model.net.base_model.state_dict()
    second = {name: weight for name, weight in ours.items() if ".1." in f".{name}" and "embeddings" not in name}
    assert second
    for name, weight in second.items():
        assert torch.equal(weight, theirs[name.replace(".1.", ".2.", 1)]), name
    spread = built(tmp_path, layers=2).net.state_dict()
    assert all(torch.equal(weight, spread[name]) for name, weight in model.net.state_dict().items() if "layer" in name)


def test_albert_repeats_its_layer_less_often(tmp_path: Path) -> None:
    tiny.write(tmp_path, "albert")
    assert built(tmp_path, layers=2).config["num_hidden_layers"] == 2
    with pytest.raises(UserError, match=r"model\.keep_layers: .* whose layers share their weights"):
        built(tmp_path, keep_layers=(0, 2))


def test_layers_are_spread_over_the_depth() -> None:
    assert evenly(6, 12) == (0, 2, 4, 7, 9, 11)  # as DistilBERT has them
    assert evenly(1, 12) == (0,)
    assert evenly(3, 3) == (0, 1, 2)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"layers": 4}, r"model\.layers: expected at most 3"),
        ({"keep_layers": (0, 3)}, r"model\.keep_layers: expected layers from 0 to 2, got 3"),
        ({"layers": 1, "keep_layers": (0, 2)}, r"model\.keep_layers: expected as many as model\.layers"),
    ],
)
def test_layers_that_it_has_not_are_refused(options: dict[str, Any], told: str, tmp_path: Path) -> None:
    tiny.write(tmp_path, "bert")
    with pytest.raises(UserError, match=told):
        built(tmp_path, **options)


def test_activation_epsilon_and_dropout_are_the_checkpoints(tmp_path: Path) -> None:
    tiny.write(tmp_path, "bert", hidden_act="relu", layer_norm_eps=1e-3, hidden_dropout_prob=0.25)
    config = built(tmp_path).net.config
    assert (config.hidden_act, config.layer_norm_eps, config.hidden_dropout_prob) == ("relu", 1e-3, 0.25)
    assert built(tmp_path, dropout=0.5).net.config.hidden_dropout_prob == 0.5


def test_a_padded_vocabulary_is_read(tmp_path: Path) -> None:
    tiny.write(tmp_path, "roberta")
    weights = load_file(tmp_path / "model.safetensors")
    name = next(name for name in weights if name.endswith("word_embeddings.weight"))
    weights[name] = torch.cat([weights[name], torch.zeros(6, 32)])
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    assert built(tmp_path).net.get_input_embeddings().num_embeddings == len(weights[name])


def test_positions_are_counted_from_the_padding_on_where_the_family_does_so(tmp_path: Path) -> None:
    tiny.write(tmp_path / "roberta", "roberta", pad_token_id=1)
    tiny.write(tmp_path / "bert", "bert")
    lengths = [CheckpointEncoder(str(tmp_path / name)).longest_input for name in ("roberta", "bert")]
    assert lengths == [tiny.POSITIONS - 2, tiny.POSITIONS]


def test_another_family_is_refused_with_those_that_work(tmp_path: Path) -> None:
    tiny.write(tmp_path, "bert")
    tiny.edit_config(tmp_path, model_type="gpt2")
    with pytest.raises(
        UserError, match=r"got model_type 'gpt2'\. Choose a checkpoint of one of these: bert, .*modernbert"
    ):
        built(tmp_path)


def test_what_would_fetch_or_run_something_is_not_followed(tmp_path: Path) -> None:
    tiny.write(tmp_path, "bert")
    tiny.edit_config(tmp_path, auto_map={"AutoModel": "evil.py"}, attn_implementation="someone/kernels")
    assert not {"auto_map", "attn_implementation"} & set(built(tmp_path).config)
    (tmp_path / "adapter_config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UserError, match=r"got an adapter .*merge_and_unload"):
        built(tmp_path)


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    tiny.write(tmp_path, "bert")
    tiny.edit_config(tmp_path, intermediate_size=64)
    with pytest.raises(UserError, match=r"expected the weights that its config\.json describes"):
        built(tmp_path)
