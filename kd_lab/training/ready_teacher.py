"""A teacher that was fitted elsewhere, as it is: its config, its tokenizer, its head and its labels."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kd_lab.core.cache import Cache, file_hash
from kd_lab.core.code_hash import code_hash
from kd_lab.core.errors import UserError
from kd_lab.core.option_types import MaxTokens, NonEmpty, PathName, Sha256
from kd_lab.core.reading import read_json
from kd_lab.core.types import ModelShape
from kd_lab.data import tokenized
from kd_lab.data.checkpoint import Checkpoint
from kd_lab.data.dataset import MULTI_LABEL
from kd_lab.data.tokenizer import Tokenizer
from kd_lab.models import saved_model
from kd_lab.models.architectures import OURS
from kd_lab.models.base import CONFIG, TorchClassifier
from kd_lab.models.encoder import EncoderClassifier
from kd_lab.models.families import FAMILIES, longest_input
from kd_lab.models.pretrained import read_net, read_settings
from kd_lab.models.token_outputs import shape_of
from kd_lab.training.fit import Fitted
from kd_lab.training.label_match import match

_FILES = ("model.safetensors", CONFIG, "tokenizer.json", saved_model.CARD)  # what it is
_WHERE = "teacher.path"
_TASKS = {False: "single_label_classification", True: "multi_label_classification"}  # several labels a text or not


@dataclass(frozen=True)
class ReadyTeacher:
    """A fitted classifier that judges as it stands: a folder or a repository of the hub's, or what kd_lab saved.

    Args:
        path: a folder with config.json, model.safetensors and tokenizer.json, or a repository `owner/name`, which is
            looked for in `root` before the hub.
        name: what results call it; None takes the last part of `path`.
        labels: its class -> the data's. None matches them by name, or by position where its names are but numbers.
            Classes that are not named are dropped, and the probabilities of the others renormalised.
        max_tokens: longer inputs are cut for it.
        at_chance: whether a teacher that is no better on validation than the most frequent class stops the run.
        sha256: of model.safetensors; another file is refused.
        revision: a commit, tag or branch on the hub.
        root: a folder of checkpoints in folders `owner/name`.
    """

    path: PathName
    name: NonEmpty | None = None
    labels: Mapping[NonEmpty, NonEmpty] | None = None
    max_tokens: MaxTokens = 128
    at_chance: Literal["stop", "go_on"] = "stop"
    sha256: Sha256 | None = None
    revision: NonEmpty = "main"
    root: PathName | None = None

    def __post_init__(self) -> None:
        if self.name is None:
            object.__setattr__(self, "name", self.path.rstrip("/").rpartition("/")[2] or "ready")

    @property
    def checkpoint(self) -> Checkpoint:
        """Where its files are."""
        return Checkpoint.at(self.path, self.root, self.sha256, self.revision)

    def commit(self) -> str | None:
        """The commit that it is read at; None where it does not come from the hub, or is not to be had."""
        return self.checkpoint.commit()

    @property
    def tokenizer(self) -> Tokenizer:
        """What it reads with."""
        return Tokenizer(self.checkpoint, self.max_tokens)

    @property
    def longest_input(self) -> int | None:
        """Tokens that it has positions for; None where it has no limit."""
        folder = self.checkpoint.folder()
        return longest_input(read_settings(folder)) if _is_of_the_hub(folder) else None

    @property
    def shape(self) -> ModelShape | None:
        """What a loss can ask it for; None where that is found out when it is loaded."""
        folder = self.checkpoint.folder()
        return shape_of(read_settings(folder)) if _is_of_the_hub(folder) else None

    def fingerprint_parts(self) -> dict[str, Any]:
        """The files by their content, and which of its classes is which."""
        folder = self.checkpoint.folder()
        files = {name: file_hash(folder / name) for name in _FILES if (folder / name).is_file()}
        return {"files": files, "labels": self.labels, "max_tokens": self.max_tokens}

    def fit_parts(self, tokens: str) -> dict[str, Any]:
        """All that the cached model is made from.

        Args:
            tokens: fingerprint of the data set in the teacher's word pieces.
        """
        return {"tokens": tokens, "ready": self, "code": code_hash("kd_lab.training.ready_teacher")}

    def prepared(self, tokens: tokenized.Tokens, cache: Cache) -> Fitted:
        """The model in the cache, its outputs in the order of the data's classes.

        Args:
            tokens: the data set in the teacher's word pieces.

        Raises:
            UserError: it is no fitted classifier, or of other classes than the data.
        """
        self.checkpoint.weights()  # refused here if it is a pickle, or another file
        folder = self.checkpoint.folder()

        def make(draft: Path) -> None:
            model, labels = _read(folder, tokens.multi_label, tokens.pairs)
            found = match(labels, tokens.classes, self.labels, _WHERE)
            model.keep_classes(found.order)
            saved_model.save(model, draft / "model", tokens.card)
            shutil.copyfile(self.tokenizer.path, draft / "model" / "tokenizer.json")
            about = {"history": [], "seconds": 0.0, "labels": found.told}
            (draft / "about.json").write_text(json.dumps(about, indent=1), encoding="utf-8")

        return Fitted(cache.build("fit", self.fit_parts(tokens.fingerprint), make))


def _is_of_the_hub(folder: Path) -> bool:
    """Whether config.json says all that there is to know: transformers' own layout, its labels included."""
    config = read_json(folder / CONFIG, expected="a classifier's config", cure="Name a folder of save_pretrained.")
    return config.get("model_type") in FAMILIES and OURS not in config


def _read(folder: Path, multi_label: bool, pairs: bool) -> tuple[TorchClassifier, Sequence[str]]:
    """The classifier and its labels by class.

    Args:
        multi_label: whether it is to say several labels of a text.
        pairs: whether it is to judge pairs of texts; what transformers saved does not say which it was fitted on.
    """
    config = read_json(folder / CONFIG, expected="a classifier's config", cure="Name a folder of save_pretrained.")
    card = saved_model.read_card(folder) if (folder / saved_model.CARD).is_file() else None
    if card is not None:
        _refuse_other_task(_TASKS[card.get("task") == MULTI_LABEL], multi_label)
        if card.get("pairs", pairs) != pairs:
            expected, got = ("pairs", "single texts")[:: 1 if pairs else -1]
            cure = "Choose one that was fitted on such."
            raise UserError(_WHERE, expected=f"a classifier of {expected}", got=f"one of {got}", cure=cure)
    if card is not None and not _is_of_the_hub(folder):
        model = saved_model.load(folder)
        if not isinstance(model, TorchClassifier):
            cure = "Name the model before it was compressed."
            raise UserError(_WHERE, expected="a model whose weights torch reads", got=type(model).__name__, cure=cure)
        return model, [str(label) for label in card["labels"]]
    labels = _labels(config)
    settings = read_settings(folder)
    kind = config.get("problem_type") or ("regression" if len(labels) < 2 else _TASKS[multi_label])
    _refuse_other_task(kind, multi_label)
    net = read_net(folder, settings, len(labels), with_head=True)
    model = EncoderClassifier({**settings, "num_labels": len(labels)})
    model.net.load_state_dict(net.state_dict())
    return model.eval(), labels


def _refuse_other_task(kind: str, multi_label: bool) -> None:
    """Refuses a model of another task than the data's; `kind` is what transformers call it."""
    if kind == _TASKS[multi_label]:
        return
    other = {_TASKS[True]: "Type task=multi_label.", _TASKS[False]: "Type task=multi_class."}
    cure = other.get(kind, "Choose a classifier that was fitted to tell classes apart.")
    expected = f"a classifier of {'several labels' if multi_label else 'one label'} a text"
    raise UserError(_WHERE, expected=expected, got=kind, cure=cure)


def _labels(config: Mapping[str, Any]) -> list[str]:
    told = config.get("id2label")
    if isinstance(told, Mapping) and sorted(map(str, told)) == sorted(map(str, range(len(told)))):
        return [str({str(key): value for key, value in told.items()}[str(number)]) for number in range(len(told))]
    return [f"LABEL_{number}" for number in range(int(config.get("num_labels", 2)))]
