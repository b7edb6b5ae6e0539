"""Where a classifier keeps its word embedding, whole or factorised, and how it gets another."""

from __future__ import annotations

from torch import nn

from kd_lab.core.errors import UserError
from kd_lab.models.base import TorchClassifier
from kd_lab.models.embedding_classifier import EmbeddingClassifier
from kd_lab.models.encoder import EncoderClassifier
from kd_lab.models.factorised_embedding import FactorisedEmbedding


def has_word_embedding(model: TorchClassifier) -> bool:
    """Whether the model is of a class whose embedding is known."""
    return isinstance(model, EncoderClassifier | EmbeddingClassifier)


def embedding_module(model: TorchClassifier) -> nn.Module:
    """The module that turns ids (B, T) into the vectors that the rest of the model reads, (B, T, H).

    Raises:
        UserError: the model is of a class whose embedding is not known.
    """
    if isinstance(model, EncoderClassifier):
        found: nn.Module = model.net.get_input_embeddings()
        return found
    if isinstance(model, EmbeddingClassifier):
        return model.embedding
    raise UserError(
        "compression",
        expected="an encoder or a student of word vectors, whose word embedding is known",
        got=type(model).__name__,
        cure="Choose another model, e.g. model=distilbert_mini.",
    )


def word_embedding(model: TorchClassifier) -> nn.Embedding:
    """The table with one row for each word piece: (V, H), or (V, r) where the embedding is factorised.

    Raises:
        UserError: the model is of a class whose embedding is not known.
    """
    found = embedding_module(model)
    table = found.pieces if isinstance(found, FactorisedEmbedding) else found
    assert isinstance(table, nn.Embedding)
    return table


def replace_word_embedding(model: TorchClassifier, new: nn.Embedding) -> None:
    """Puts another table in the place of `word_embedding(model)`; `model.config` says its size from now on.

    Args:
        model: changed in place.
        new: as wide as the old one, with any number of rows. Its `padding_idx` is the piece that pads from now on;
            where it has none, that is the old one's.

    Raises:
        ValueError: it has another width.
        UserError: the family counts positions from the number of the piece that pads, and that would change; or the
            model is of a class whose embedding is not known.
    """
    old = word_embedding(model)
    if new.embedding_dim != old.embedding_dim:
        raise ValueError(f"the word embedding is {old.embedding_dim} wide, the new one {new.embedding_dim}")
    if new.padding_idx is None:
        new.padding_idx = old.padding_idx
    if isinstance(model, EncoderClassifier):
        _keep_positions(model, old.padding_idx, new.padding_idx)
        entries = {"vocab_size": new.num_embeddings, "pad_token_id": new.padding_idx}
        for name, value in entries.items():
            setattr(model.net.config, name, value)
    else:
        entries = {"vocabulary": new.num_embeddings, "pad_id": new.padding_idx}
    put_word_embedding(model, new)
    model.config = {**model.config, **entries}


def put_word_embedding(model: TorchClassifier, new: nn.Embedding) -> None:
    """Puts another table in the place of `word_embedding(model)`, and changes nothing else of the model."""
    place = embedding_module(model)
    if isinstance(place, FactorisedEmbedding):
        place.pieces = new
    elif isinstance(model, EncoderClassifier):
        model.net.set_input_embeddings(new)
    elif isinstance(model, EmbeddingClassifier):
        model.embedding = new


def _keep_positions(model: EncoderClassifier, old: int | None, new: int | None) -> None:
    """Refuses another padding piece where positions are counted from its number, as RoBERTa does."""
    if old != new and hasattr(model.net.base_model.embeddings, "padding_idx"):
        raise UserError(
            "compression",
            expected=f"word piece {old} to pad, since {model.config['model_type']} counts positions from there",
            got=f"word piece {new}",
            cure="Keep the number of the padding piece, or choose a BERT or a DistilBERT.",
        )
