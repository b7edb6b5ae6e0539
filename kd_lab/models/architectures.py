"""Where the families of encoders keep the parts that can shrink, and encoders that Hugging Face's config cannot say.

Such an encoder has an extra entry in its config: `"kd_lab": {"heads": n, "embedding_rank": r}`, either or both:
n attention heads in every layer, each as wide as `width / heads` of the rest of the config; a word embedding of rank
r. Feed-forward width and number of layers need no such entry: config.json has words for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from torch import nn

from kd_lab.core.errors import UserError
from kd_lab.models.factorised_embedding import FactorisedEmbedding

OURS = "kd_lab"  # the entry of config.json that Hugging Face must not see
HEADS, RANK = "heads", "embedding_rank"


class Layout(NamedTuple):
    """Names of a family's parts: of modules within the encoder or a layer, of attributes, and of config entries."""

    layers: str  # the list of layers, within the encoder
    attention: str  # within a layer: the module that splits its input into heads
    query: str  # within a layer, as those below; it, key, value and grow lead into heads or units
    key: str
    value: str
    merge: str  # reads the heads' outputs
    merge_dropout: str | None
    merge_norm: str
    grow: str  # into the feed-forward units
    activation: str
    shrink: str  # reads the feed-forward units
    shrink_dropout: str
    shrink_norm: str
    head_count: str  # attributes of the attention module: number of heads, and of their units together
    head_units: str
    layer_count: str  # config entries
    width: str
    heads: str
    feed_forward: str


_BERT = Layout(
    layers="encoder.layer",
    attention="attention.self",
    query="attention.self.query",
    key="attention.self.key",
    value="attention.self.value",
    merge="attention.output.dense",
    merge_dropout="attention.output.dropout",
    merge_norm="attention.output.LayerNorm",
    grow="intermediate.dense",
    activation="intermediate.intermediate_act_fn",
    shrink="output.dense",
    shrink_dropout="output.dropout",
    shrink_norm="output.LayerNorm",
    head_count="num_attention_heads",
    head_units="all_head_size",
    layer_count="num_hidden_layers",
    width="hidden_size",
    heads="num_attention_heads",
    feed_forward="intermediate_size",
)
LAYOUTS = {
    "bert": _BERT,
    "roberta": _BERT,
    "distilbert": Layout(
        layers="transformer.layer",
        attention="attention",
        query="attention.q_lin",
        key="attention.k_lin",
        value="attention.v_lin",
        merge="attention.out_lin",
        merge_dropout=None,
        merge_norm="sa_layer_norm",
        grow="ffn.lin1",
        activation="ffn.activation",
        shrink="ffn.lin2",
        shrink_dropout="ffn.dropout",
        shrink_norm="output_layer_norm",
        head_count="n_heads",
        head_units="dim",
        layer_count="n_layers",
        width="dim",
        heads="n_heads",
        feed_forward="hidden_dim",
    ),
}


def layout_of(architecture: str, where: str) -> Layout:
    """The names of a family's parts.

    Args:
        architecture: the hub's name of the family, e.g. "bert".
        where: who asks, for the error.

    Raises:
        UserError: the family is not one whose parts are known.
    """
    if architecture not in LAYOUTS:
        raise UserError(
            where,
            expected=f"an encoder of one of the families {', '.join(LAYOUTS)}",
            got=architecture,
            cure="Leave this step out, or choose another model, e.g. model=distilbert_mini.",
        )
    return LAYOUTS[architecture]


def heads_in(config: Mapping[str, Any]) -> int:
    """Number of attention heads in each layer of the encoder that `config` describes, of any family."""
    return int(config.get(OURS, {}).get(HEADS, config[LAYOUTS.get(config["model_type"], _BERT).heads]))


def head_size(config: Mapping[str, Any]) -> int:
    """Units of one attention head; pruning heads does not change it."""
    layout = LAYOUTS.get(config["model_type"], _BERT)
    return int(config[layout.width]) // int(config[layout.heads])


def with_ours(config: dict[str, Any], name: str, value: int) -> dict[str, Any]:
    """The config with one more thing said that Hugging Face's cannot say."""
    return {**config, OURS: {**config.get(OURS, {}), name: value}}


def base_prefix(architecture: str) -> str:
    """The name under which a classifier of this family keeps its encoder, e.g. `bert`."""
    return architecture.replace("-", "_")


def layer_stem(config: dict[str, Any], where: str) -> str:
    """The name of the list of layers within an EncoderClassifier, e.g. `net.bert.encoder.layer`.

    Args:
        where: who asks, for the error.

    Raises:
        UserError: the family is not one whose parts are known.
    """
    architecture = config["model_type"]
    return f"net.{base_prefix(architecture)}.{layout_of(architecture, where).layers}"


def take_shape(net: Any, config: dict[str, Any]) -> None:
    """Gives a Hugging Face classifier, just built, the shape that `config[OURS]` says; new parts are random."""
    ours = config.get(OURS, {})
    if HEADS in ours:
        layout = layout_of(config["model_type"], "config.json")
        units = ours[HEADS] * head_size(config)
        for layer in cast("nn.ModuleList", net.base_model.get_submodule(layout.layers)):
            for name in (layout.query, layout.key, layout.value):
                layer.set_submodule(name, nn.Linear(config[layout.width], units))
            layer.set_submodule(layout.merge, nn.Linear(units, config[layout.width]))
            attention = layer.get_submodule(layout.attention)
            setattr(attention, layout.head_count, ours[HEADS])  # the forward pass goes by the tensors' shapes
            setattr(attention, layout.head_units, units)
    if RANK in ours:
        old = net.get_input_embeddings()
        new = FactorisedEmbedding(old.num_embeddings, ours[RANK], old.embedding_dim, old.padding_idx)
        net.set_input_embeddings(new)
