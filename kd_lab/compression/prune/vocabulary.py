"""Removes the word pieces that the training split does not use from the tokenizer and from the embedding."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
import torch
from numpy.typing import NDArray
from torch import nn

from kd_lab.compression.context import CompressionContext
from kd_lab.compression.step import need_torch
from kd_lab.core.errors import UserError
from kd_lab.core.misfit import check_fields
from kd_lab.core.option_types import Count, Pieces
from kd_lab.data.piece_counts import occurrences
from kd_lab.data.tokenized import Tokens
from kd_lab.data.tokenizer_file import read_tokenizer
from kd_lab.models.base import TorchClassifier
from kd_lab.models.saved_model import Classifier
from kd_lab.models.spec import ModelSpec
from kd_lab.models.word_embedding import replace_word_embedding, word_embedding

_SEEN = ("train", "validation")  # what the notes may speak of; test is looked at once, when all is done


@dataclass(frozen=True)
class TrimVocabulary:
    """Keeps the word pieces of the training split and leaves out the rest.

    Kept are, in their old order: special and added pieces, pieces that occur in train at least `min_count` times, and
    every piece of a single character. WordPiece takes the longest piece that fits, again and again: a text whose
    pieces are all kept is cut as before and gets the same logits; a lost piece falls apart into shorter ones, single
    characters at worst; only a word with a character that the old vocabulary did not know is [UNK], as it was.

    Texts with words that train never uses pay for it: a question out of scope, spelled letter by letter, is less often
    seen to be one. `first` keeps the pieces that are common everywhere.

    Args:
        min_count: occurrences in train that keep a piece; more than 1 cuts some of train's own words otherwise than
            the model learned them.
        first: how many of the lowest ids stay in any case; BERT's vocabulary has its most frequent words first. Places
            that are held free in it ([unused0], ...) do not stay for that.
    """

    min_count: Count = 1
    first: Pieces = 0

    def __post_init__(self) -> None:
        check_fields(self, "compression.trim_vocabulary")

    def check(self, kind: type, model: ModelSpec | None = None) -> type:
        """The class that `apply` makes, or a UserError where it cannot take `kind`."""
        need_torch("trim_vocabulary", kind, "Put trim_vocabulary before it, e.g. compression=[trim_vocabulary,onnx].")
        if refuse := getattr(model, "refuse_new_pieces", None):
            refuse("trim_vocabulary")
        return kind

    def apply(self, classifier: Classifier, context: CompressionContext) -> TorchClassifier:
        """A classifier of the same class with fewer rows in its embedding; `context` has its tokenizer and tokens.

        Raises:
            UserError: the tokenizer is no WordPiece.
        """
        self.check(type(classifier))
        assert isinstance(classifier, TorchClassifier)
        model = copy.deepcopy(classifier).cpu().eval()
        table, before = word_embedding(model), context.tokens
        content = read_word_piece(context.tokenizer)
        kept = self._kept(content, before)
        context.read_with(_write(renumber(content, kept), context.scratch))
        rows = table.weight.detach()[torch.from_numpy(kept)].clone()
        pads = None if table.padding_idx is None else context.tokens.pad_id
        replace_word_embedding(model, nn.Embedding.from_pretrained(rows, freeze=False, padding_idx=pads))  # type: ignore[no-untyped-call]
        unknown = content["model"]["vocab"][content["model"]["unk_token"]]
        context.note(
            "trim_vocabulary",
            {
                "pieces_before": before.vocab_size,
                "pieces_after": context.tokens.vocab_size,
                "texts_changed": _changed(before, context.tokens, kept),
                "unknown_before": _share_of(before, unknown),
                "unknown_after": _share_of(context.tokens, int(np.searchsorted(kept, unknown))),
            },
        )
        return model

    def still(self, model: TorchClassifier) -> dict[str, int]:
        """The number of word pieces at the end of all steps."""
        return {"pieces_after": word_embedding(model).num_embeddings}

    def _kept(self, content: Mapping[str, Any], tokens: Tokens) -> NDArray[np.int64]:
        """The ids that stay, ascending: the place of an id in this array is its new id."""
        vocabulary = content["model"]["vocab"]
        counts = occurrences(tokens.split("train").token_ids)
        prefix = content["model"]["continuing_subword_prefix"]
        kept = {tokens.pad_id, vocabulary[content["model"]["unk_token"]], *np.flatnonzero(counts >= self.min_count)}
        kept |= {token["id"] for token in content["added_tokens"]}
        kept |= {entry[place] for entry, place in _special(content["post_processor"])}
        kept |= {number for piece, number in vocabulary.items() if len(piece.removeprefix(prefix)) == 1}
        kept |= {number for piece, number in vocabulary.items() if number < self.first and "[unused" not in piece}
        return np.array(sorted(kept), np.int64)


def read_word_piece(path: Path) -> dict[str, Any]:
    """The contents of a tokenizer.json, with all that it leaves to defaults.

    Raises:
        UserError: it is not a WordPiece tokenizer.
    """
    found = read_tokenizer(path, expected="a fast tokenizer", cure="Choose another checkpoint.")
    if not isinstance(found.model, tokenizers.models.WordPiece):
        raise UserError(
            "compression.trim_vocabulary",
            expected="a WordPiece tokenizer, as BERT's",
            got=f"{path.name} with {type(found.model).__name__}",
            cure="Leave trim_vocabulary out.",
        )
    content: dict[str, Any] = json.loads(found.to_str())
    return content


def renumber(content: Mapping[str, Any], kept: NDArray[np.int64]) -> dict[str, Any]:
    """The same tokenizer with the pieces `kept` alone.

    Args:
        content: of a WordPiece tokenizer.json.
        kept: ids ascending, those of special pieces among them; the place of an id is its new id.
    """
    number = {int(old): new for new, old in enumerate(kept)}
    trimmed = copy.deepcopy(dict(content))
    vocabulary = sorted(content["model"]["vocab"].items(), key=lambda entry: entry[1])
    trimmed["model"]["vocab"] = {piece: number[old] for piece, old in vocabulary if old in number}
    for token in trimmed["added_tokens"]:
        token["id"] = number[token["id"]]
    if trimmed["padding"]:
        trimmed["padding"]["pad_id"] = number.get(trimmed["padding"]["pad_id"], 0)
    for entry, place in _special(trimmed["post_processor"]):
        entry[place] = number[entry[place]]
    return trimmed


def _special(processor: Any) -> Iterator[tuple[list[Any], int]]:
    """Where the ids of the pieces stand that are put around a text, as (list, place in it)."""
    kind = processor["type"] if processor else ""
    if kind == "Sequence":
        for part in processor["processors"]:
            yield from _special(part)
    elif kind == "TemplateProcessing":
        for special in processor["special_tokens"].values():
            yield from ((special["ids"], place) for place in range(len(special["ids"])))
    elif kind in ("BertProcessing", "RobertaProcessing"):
        yield from ((processor[end], 1) for end in ("cls", "sep"))  # each [piece, id]


def _write(content: Mapping[str, Any], scratch: Path) -> Path:
    scratch.mkdir(parents=True, exist_ok=True)
    path = scratch / "trimmed_tokenizer.json"
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")
    return path


def _changed(before: Tokens, after: Tokens, kept: NDArray[np.int64]) -> float:
    """Share of train's and validation's texts that are cut into other pieces than before."""
    changed = total = 0
    for name in _SEEN:
        old, new = before.split(name), after.split(name)
        pieces, trimmed = np.asarray(old.token_ids), np.asarray(new.token_ids)
        total += len(old)
        for was, now in zip(pairwise(old.offsets), pairwise(new.offsets), strict=True):
            changed += not np.array_equal(pieces[slice(*was)], kept[trimmed[slice(*now)]])
    return changed / total


def _share_of(tokens: Tokens, piece: int) -> float:
    """Share of train's and validation's pieces that are this one; the special pieces of each text count too."""
    pieces = [tokens.split(name).token_ids for name in _SEEN]
    return float(sum(np.count_nonzero(part == piece) for part in pieces) / sum(len(part) for part in pieces))
