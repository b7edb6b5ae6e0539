"""Judges a saved classifier as it would be deployed: how right, how like its teacher, how big, how fast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kd_lab.core import cores
from kd_lab.core.misfit import check_fields
from kd_lab.core.option_types import Count, Threads
from kd_lab.core.types import Batch
from kd_lab.data.hub import class_number
from kd_lab.data.loader import BatchLoader
from kd_lab.data.tokenized import Tokens
from kd_lab.evaluation import intervals, label_intervals, latency, metrics, multi_label
from kd_lab.evaluation import out_of_scope as out_of_scope_metrics
from kd_lab.evaluation.balanced_accuracy import at_chance, beside_accuracy
from kd_lab.evaluation.judging import gold, thresholds_of
from kd_lab.evaluation.latency import Workload
from kd_lab.serving.label_decisions import THRESHOLDS, decisions

_FEWEST_ANSWERS = 30  # rows, fewer than a tenth of a split, by which no teacher is judged
_BULK = 32  # rows in a batch when throughput is measured
_WAYS_OUT = (  # of a student that has learned nothing
    "more epochs (trainer.max_epochs), a higher learning rate (optimizer.encoder_lr, optimizer.head_lr), more rows or, "
    "where labels are few, method=recommended may get it away from there"
)


@dataclass(frozen=True)
class Evaluation:
    """How a classifier is timed.

    Args:
        threads: of the classifier while it is timed; None takes all cores that this process may use.
        requests: test rows sent one by one, at their own lengths.
        rounds: times each is sent, student and teacher by turns.
        timed: whether time and memory are measured at all; else a result holds sizes alone.
        profile: whether torch's profiler says where the time goes, see `evaluation.profile`.
    """

    threads: Threads | None = None
    requests: Count = 60
    rounds: Count = 3
    timed: bool = True
    profile: bool = False

    def __post_init__(self) -> None:
        check_fields(self, "evaluation")

    @property
    def threads_used(self) -> int:
        """Threads with which a classifier is timed here."""
        return self.threads or cores.usable()

    def fingerprint_parts(self) -> dict[str, Any]:
        """Its options; the profile only where it is asked for, so that older results keep their names."""
        return {name: value for name, value in vars(self).items() if name != "profile" or value}

    def requests_of(self, tokens: Tokens) -> Sequence[Batch]:
        """Rows of test, one at a time, as they are timed."""
        return self._load(tokens).requests

    def cost(
        self, model: Path, tokens: Tokens, reference: Path | None, reference_tokens: Tokens
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """What the saved model costs, and what the reference costs (empty without one), measured by turns.

        The requests are the same rows of test for every classifier of a data set, each in its own word pieces.
        """
        return latency.measure(
            model,
            self._load(tokens),
            reference=(reference, self._load(reference_tokens)) if reference else None,
            threads=self.threads_used,
            rounds=self.rounds,
        )

    def _load(self, tokens: Tokens) -> Workload:
        test = tokens.split("test")
        rows = np.random.default_rng(0).permutation(len(test))
        source = BatchLoader(test, _BULK, tokens.pad_id)
        return Workload(
            [source.batch(row) for row in rows[: self.requests, None]],
            [source.batch(rows[start : start + _BULK]) for start in range(0, min(len(rows), 4 * _BULK), _BULK)],
        )


def scores(
    tokens: Tokens, logits: Mapping[str, torch.Tensor], out_of_scope: str | None = None
) -> dict[str, dict[str, Any]]:
    """Metrics of each split with their 95 % intervals.

    Args:
        logits: split -> (N, C), in the order of the rows; those that are NaN are not judged.
        out_of_scope: the class of texts that belong to no other class; with it there are `accuracy_in_scope` and
            `recall_out_of_scope` too, see `metrics.scope_counts`, and what `evaluation.out_of_scope` tells.

    Raises:
        UserError: there is no class of that name.
    """
    unknown = None if out_of_scope is None else class_number(tokens.classes, out_of_scope)
    thresholds = thresholds_of(tokens, logits)
    found: dict[str, dict[str, Any]] = {}
    for split, said in logits.items():
        judged = ~said[:, 0].isnan()  # a file of answers may say nothing of a row
        split_logits, labels = said[judged], gold(tokens, split)[judged]
        if labels.ndim == 2:
            found[split] = _of_label_sets(split_logits, labels.numpy(), thresholds)
            continue
        predictions = split_logits.argmax(1)
        right = int((predictions == labels).sum())
        found[split] = {
            **metrics.evaluate(split_logits, labels),
            "accuracy_interval": list(intervals.wilson(right, len(labels))),
            "f1_macro_interval": list(intervals.f1_macro_interval(predictions, labels, split_logits.shape[1])),
            **beside_accuracy(predictions, labels, gold(tokens, "train")),
            "rows": len(labels),
        }
        if unknown is not None:
            for name, (hits, rows) in metrics.scope_counts(predictions, labels, unknown).items():
                found[split] |= {name: hits / rows, f"{name}_interval": list(intervals.wilson(hits, rows))}
            found[split] |= out_of_scope_metrics.evaluate(split_logits, labels, unknown)
    if thresholds is not None:
        found["validation"][THRESHOLDS] = thresholds.tolist()
    return found


def _of_label_sets(
    logits: torch.Tensor, labels: NDArray[np.int64], thresholds: NDArray[np.float64] | None
) -> dict[str, Any]:
    """The metrics of a split whose rows may bear several labels, with their 95 % intervals."""
    said = decisions(logits.numpy(), thresholds)
    right = int((said == (labels > 0)).all(axis=1).sum())
    return {
        **multi_label.evaluate(logits, torch.from_numpy(labels), thresholds),
        "accuracy_interval": list(intervals.wilson(right, len(labels))),
        **label_intervals.f1_intervals(said, labels),
        "rows": len(labels),
    }


def says_enough(logits: torch.Tensor) -> bool:
    """Whether a teacher says something of enough rows of a split, (N, C) with NaN where not, to be judged by them.

    A file of answers to train's texts meets a few of validation's and test's by chance.
    """
    said = int((~logits[:, 0].isnan()).sum())
    return said > 0 and (said >= _FEWEST_ANSWERS or said >= len(logits) / 10)


def first_look(tokens: Tokens, logits: torch.Tensor) -> str:
    """How good a teacher is on validation, in words; rows of NaN are not judged.

    Args:
        logits: (N, C) of validation, not all of them NaN.
    """
    judged = ~logits[:, 0].isnan()
    labels, known = gold(tokens, "validation")[judged], logits[judged]
    if labels.ndim == 2:
        found = multi_label.evaluate(known, labels, thresholds_of(tokens, {"validation": logits}))
        return f"micro F1 on validation {100 * found['f1_micro']:.1f} %"
    return f"accuracy on validation {100 * float((known.argmax(1) == labels).double().mean()):.1f} %"


def majority_class_warning(tokens: Tokens, logits: torch.Tensor) -> str | None:
    """A warning where a teacher is at chance on validation, see `at_chance`: it has nothing to teach."""
    judged = ~logits[:, 0].isnan()
    labels, logits = gold(tokens, "validation")[judged], logits[judged]
    if labels.ndim == 2:
        if not label_intervals.at_chance(logits.numpy(), labels.numpy()):
            return None
        return (
            "the teacher tells no label's rows from others on validation: its mean average precision is that of "
            "shuffled rows; its outputs are noise to a student"
        )
    predictions = logits.argmax(1)
    right = int((predictions == labels).sum())
    beside = beside_accuracy(predictions, labels, gold(tokens, "train"))
    if not at_chance({"accuracy_interval": intervals.wilson(right, len(labels)), **beside}):
        return None
    return (
        f"the teacher is at the majority-class rate on validation: accuracy {right / len(labels):.3f}, always "
        f"answering the most frequent class {beside['majority_rate']:.3f}; its outputs are noise to a student"
    )


def student_at_chance(tokens: Tokens, logits: torch.Tensor, validation: Mapping[str, Any]) -> str | None:
    """A warning where a student is at chance on validation, see `at_chance`.

    Args:
        logits: (N, C), its own there.
        validation: its metrics there, of `scores`.
    """
    labels = gold(tokens, "validation").numpy()
    if labels.ndim == 2 and label_intervals.at_chance(logits.numpy(), labels):
        return f"the student tells no label's rows from others on validation: {_WAYS_OUT}"
    if not at_chance(validation):
        return None
    low, high = validation["accuracy_interval"]
    return (
        f"the student is at the majority-class rate on validation: accuracy {validation['accuracy']:.3f} "
        f"[{low:.3f}, {high:.3f}] on {validation['rows']:,} rows, always answering the most frequent class "
        f"{validation['majority_rate']:.3f}; {_WAYS_OUT}"
    )
