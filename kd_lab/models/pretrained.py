"""Reads an encoder from a checkpoint in the hub's layout, by transformers, whatever its family calls its parts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import transformers
from safetensors import safe_open
from torch import nn
from transformers.utils import logging

from kd_lab.core.errors import UserError
from kd_lab.core.progress import say
from kd_lab.core.reading import read_json, reading
from kd_lab.models.base import CONFIG, WEIGHTS
from kd_lab.models.families import followed

_EMBEDDINGS = ("word_embeddings.weight", "tok_embeddings.weight")
_ADAPTER = "adapter_config.json"
_AGAIN = "Save it again by transformers' save_pretrained."
MERGE = "Merge it first: model.merge_and_unload().save_pretrained(DIR)."


def read_settings(folder: Path) -> dict[str, Any]:
    """What the encoder in a folder is built from: its config.json as `families.followed`, and as many pieces as it has.

    Raises:
        UserError: it is of a family that kd_lab does not read, or no whole checkpoint.
    """
    config = read_json(folder / CONFIG, expected="a checkpoint's config", cure=_AGAIN)
    if (folder / _ADAPTER).exists():
        raise UserError(str(folder), expected="a whole model", got=f"an adapter ({_ADAPTER})", cure=MERGE)
    settings = followed(config, folder / CONFIG)
    return {**settings, "vocab_size": _vocab_size(folder / WEIGHTS) or settings["vocab_size"]}


def read_net(folder: Path, settings: Mapping[str, Any], classes: int, *, with_head: bool) -> Any:
    """The Hugging Face classifier with the checkpoint's weights, on the CPU, in float32.

    Args:
        settings: of `read_settings`.
        classes: C, how many the head tells apart.
        with_head: whether the head's weights are the checkpoint's too; else they are random.

    Raises:
        UserError: the weights are of another model than config.json says, or the head is not there.
    """
    config = transformers.AutoConfig.for_model(**settings, num_labels=classes)
    whole = "weights that are whole and belong to its config.json"
    with reading(folder / WEIGHTS, expected=whole, cure=_AGAIN), _quiet():
        net, told = transformers.AutoModelForSequenceClassification.from_pretrained(
            folder,
            config=config,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
            ignore_mismatched_sizes=not with_head,
            dtype="float32",
        )
    new = sorted({*told["missing_keys"], *(name for name, *_ in told["mismatched_keys"])})
    encoder = f"{net.base_model_prefix}."
    lacking = [name for name in new if with_head or (name.startswith(encoder) and "pooler" not in name)]
    if lacking:
        headless = all(not name.startswith(encoder) or "pooler" in name for name in lacking)
        cure = "To fit a head on it, choose teacher=checkpoint teacher.model.path=..." if headless else _AGAIN
        expected = "a fitted classifier, with its head" if headless else "the weights that its config.json describes"
        raise UserError(str(folder), expected=expected, got=f"no {lacking[0]} ({len(lacking)} are lacking)", cure=cure)
    return net.eval()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' bars and its table of what is new: what matters of it is judged here."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def keep_layers(net: Any, kept: Sequence[int], where: str) -> None:
    """Leaves only these layers of the encoder, in this order.

    Raises:
        UserError: there are no such layers, or the family's layers share their weights.
    """
    config = net.config
    lists = [(name, one) for name, one in net.base_model.named_modules() if isinstance(one, nn.ModuleList)]
    name, stack = next((found for found in lists if len(found[1]) == config.num_hidden_layers), ("", None))
    if stack is None or config.model_type == "albert":
        got = f"{config.model_type}, whose layers share their weights"
        raise UserError(where, expected="layers with weights of their own", got=got, cure=f"Leave {where} out.")
    if strange := [number for number in kept if number >= len(stack)]:
        expected = f"layers from 0 to {len(stack) - 1}"
        raise UserError(where, expected=expected, got=str(strange[0]), cure="Name layers that the checkpoint has.")
    net.base_model.set_submodule(name, nn.ModuleList([stack[number] for number in kept]))


def evenly(layers: int, of: int) -> tuple[int, ...]:
    """Which layers to keep: spread over the depth, the first and the last among them (arXiv:1910.01108, section 3)."""
    return tuple(round(at * (of - 1) / max(layers - 1, 1)) for at in range(layers))


def tell_of_head(names: Iterable[str], folder: Path) -> None:
    """Says that a fitted head is left out, where the checkpoint has one.

    Args:
        names: of its weights.
    """
    if any(name.startswith("classifier.") for name in names):
        say(f"warning: {folder} is a fitted classifier: its head is left out, a new one starts; teacher=ready keeps it")


def weight_names(folder: Path) -> list[str]:
    """Names of the checkpoint's weights."""
    weights = folder / WEIGHTS
    with reading(weights, expected="weights as safetensors", cure=_AGAIN), safe_open(weights, framework="pt") as file:
        return list(file.keys())


def _vocab_size(weights: Path) -> int | None:
    """Rows of the word embedding, where the file names one: some checkpoints pad it and do not say so."""
    with reading(weights, expected="weights as safetensors", cure=_AGAIN), safe_open(weights, framework="pt") as file:
        for name in file.keys():  # noqa: SIM118 - no mapping
            if name.endswith(_EMBEDDINGS):
                return int(file.get_slice(name).get_shape()[0])
    return None
