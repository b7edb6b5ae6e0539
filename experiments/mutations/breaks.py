"""The breaks: each one fault of a kind that matters here, and the quickest tests that ought to notice it.

Each changes what can be seen from outside, and none keeps the file from being imported: that would prove nothing.
"""

from __future__ import annotations

from typing import NamedTuple


class Break(NamedTuple):
    """One fault."""

    name: str  # what is wrong, in plain words
    file: str
    old: str  # stands in the file once
    new: str
    tests: tuple[str, ...]  # below tests/

    def applied(self, text: str) -> str | None:
        """The file's text with the fault; None where the old text does not stand in it once."""
        return text.replace(self.old, self.new) if text.count(self.old) == 1 else None


BREAKS = (
    # core
    Break(
        "a lock that several hold at once",
        "kd_lab/core/cache_lock.py",
        "fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB)",
        "fcntl.LOCK_SH | (0 if wait else fcntl.LOCK_NB)",
        ("core/test_cache.py",),
    ),
    Break(
        "an artifact's draft is copied to its place, not renamed",
        "kd_lab/core/cache_entry.py",
        "os.replace(draft, folder)",
        "shutil.copytree(draft, folder)",
        ("core/test_cache.py",),
    ),
    Break(
        "credentials in a URL's query are shown",
        "kd_lab/core/redact.py",
        "([?&;]{_QUERY}=)",
        "([;]{_QUERY}=)",
        ("core/test_redact.py",),
    ),
    Break(
        "a _target_ is taken by how it begins",
        "kd_lab/core/instantiate.py",
        "not isinstance(target, str) or not signature.exists(target) or not _may_be_named(target, where)",
        "not isinstance(target, str) or not _may_be_named(target, where)",
        ("core/test_instantiate.py",),
    ),
    # data
    Break(
        "a batch takes labels by place, not by row id",
        "kd_lab/data/loader.py",
        "self.split.gold(np.asarray(rows))",
        "self.split.gold(np.arange(len(rows)))",
        ("data/test_loader.py",),
    ),
    Break(
        "a split takes a class's share rounded down",
        "kd_lab/data/stratify.py",
        "int(len(rows) * fraction + 0.5)",
        "int(len(rows) * fraction)",
        ("data/test_dataset.py",),
    ),
    Break(
        "the cut of long texts is missing in the tokens' name",
        "kd_lab/data/tokenizer.py",
        '{"tokenizer": file_hash(path), "max_tokens": self.max_tokens}',
        '{"tokenizer": file_hash(path)}',
        ("data/test_tokenized.py",),
    ),
    # losses
    Break(
        "alpha is the weight of the teacher",
        "kd_lab/losses/hybrid.py",
        '"cross_entropy": alpha,\n        "kl": (1 - alpha) * (1 - sequence_weight),',
        '"cross_entropy": 1 - alpha,\n        "kl": alpha * (1 - sequence_weight),',
        ("losses/test_hybrid.py",),
    ),
    Break(
        "KL without T^2",
        "kd_lab/losses/term/kl.py",
        "return self.temperature**2 * F.kl_div(",
        "return F.kl_div(",
        ("losses/test_kl.py",),
    ),
    Break(
        "cross-entropy is the mean over rows without a label too",
        "kd_lab/losses/term/cross_entropy.py",
        "labelled.sum().clamp(min=1)",
        "len(batch.labels)",
        ("losses/test_cross_entropy.py",),
    ),
    # models
    Break(
        "attention gives padding weight",
        "kd_lab/models/base.py",
        'scores.masked_fill(mask == 0, float("-inf")).softmax(dim=-1)',
        "scores.softmax(dim=-1)",
        ("models/test_lstm_attention.py",),
    ),
    Break(
        "a student starts from its teacher's first layers, whichever were asked for",
        "kd_lab/models/weight_transfer.py",
        "{layer: index for index, layer in enumerate(keep)}",
        "{index: index for index, layer in enumerate(keep)}",
        ("models/test_weight_transfer.py",),
    ),
    Break(
        "dropout does not make up for what it drops",
        "kd_lab/models/fused/dropout.py",
        "input * keep_mask.mul_(1 / (1 - self.p))",
        "input * keep_mask",
        ("models/fused/test_dropout.py",),
    ),
    # serving
    Break(
        "answers come in the order of the texts' length",
        "kd_lab/serving/text_classifier.py",
        "logits[rows] = self._logits(",
        "logits[start : start + batch_size] = self._logits(",
        ("serving/test_text_classifier.py",),
    ),
    Break(
        "a model answers as if padding were text",
        "kd_lab/serving/text_classifier.py",
        "pieces[place, : len(row)], mask[place, : len(row)] = row.ids, 1",
        "pieces[place, : len(row)], mask[place] = row.ids, 1",
        ("serving/test_text_classifier.py",),
    ),
    # evaluation
    Break(
        "macro-F1 is micro-F1",
        "kd_lab/evaluation/metrics.py",
        'multiclass_f1_score(predictions, labels, classes, average="macro")',
        'multiclass_f1_score(predictions, labels, classes, average="micro")',
        ("evaluation/test_metrics.py",),
    ),
    Break(
        "Wilson's interval with the z of a one-sided test",
        "kd_lab/evaluation/intervals.py",
        "confidence_level=confidence, method",
        "confidence_level=2 * confidence - 1, method",
        ("evaluation/test_intervals.py",),
    ),
    Break(
        "p values without Holm's correction",
        "kd_lab/evaluation/paired_tests.py",
        "corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)",
        "corrected[order] = found[order]",
        ("evaluation/test_paired_tests.py",),
    ),
    # training
    Break(
        "warm-up is a step late: the first learns nothing",
        "kd_lab/training/optimizer.py",
        "return (step + 1) / (warm + 1)",
        "return step / (warm + 1)",
        ("training/test_optimizer.py",),
    ),
    Break(
        "a fit keeps its worst epoch and stops when it gets better",
        "kd_lab/training/loop.py",
        '"min" if settings.monitor in ("nll", "loss") else "max"',
        '"max" if settings.monitor in ("nll", "loss") else "min"',
        ("training/test_fit.py",),
    ),
    Break(
        "rows and a teacher's logits are paired by position, not by row id",
        "kd_lab/training/teacher_outputs.py",
        "self.logits[batch.row_ids.to(self.device)]",
        "self.logits[: len(batch.row_ids)]",
        ("training/test_fit.py",),
    ),
    # compression
    Break(
        "zeros of pruning are not held while a model is trained on",
        "kd_lab/compression/zeros.py",
        "weight.masked_fill_(zero, 0.0)",
        "weight.masked_fill_(weight == 0, 0.0)",
        ("compression/test_chains.py",),
    ),
    Break(
        "the attention heads that matter least stay",
        "kd_lab/compression/prune/heads.py",
        "most_important(score, count)",
        "most_important(-score, count)",
        ("compression/prune/test_heads.py",),
    ),
    Break(
        "layers that stay are not spread to the last one",
        "kd_lab/compression/prune/layers.py",
        "round(place * (total - 1) / max(1, count - 1))",
        "place * total // count",
        ("compression/prune/test_drop_layers.py",),
    ),
    Break(
        "INT8 has a scale for each matrix, where one for each output is asked for",
        "kd_lab/compression/quantize/onnx_int8.py",
        "per_channel=self.per_channel, weight_type",
        "per_channel=False, weight_type",
        ("compression/quantize/test_onnx_int8.py",),
    ),
    Break(
        "quantization-aware training updates the rounded weights",
        "kd_lab/compression/quantize/quantization_aware.py",
        "weight.copy_(exact)",
        "weight.copy_(weight)",
        ("compression/quantize/test_quantization_aware.py",),
    ),
    # tracking
    Break(
        "a run that MLflow holds is logged once more",
        "kd_lab/tracking/mlflow_tracking.py",
        "                return kept\n",
        "",
        ("tracking/test_mlflow_tracking.py",),
    ),
    Break(
        "sync finds nothing missing where a run was deleted",
        "kd_lab/tracking/mlflow_level.py",
        '[run for run in runs_of(client, experiment) if run.info.lifecycle_stage == "active"]',
        "runs_of(client, experiment)",
        ("tracking/test_mlflow_level.py",),
    ),
    # pipeline
    Break(
        "the way of evaluating is missing in a result's name",
        "kd_lab/pipeline/plan.py",
        '"teacher": teacher, "evaluation": self.evaluation, "code": code',
        '"teacher": teacher, "code": code',
        ("pipeline/test_fingerprints.py",),
    ),
    Break(
        "a result comes into its folder before its model",
        "kd_lab/pipeline/publish.py",
        "key=lambda path: path.name == results.FILE",
        "key=lambda path: path.name != results.FILE",
        ("pipeline/test_publish.py",),
    ),
    Break(
        "two processes work in a cell's folder: one says that it waits, and does not",
        "kd_lab/pipeline/run_folder.py",
        "say(waiting)\n            lock.acquire()",
        "say(waiting)",
        ("pipeline/test_run_folder.py",),
    ),
    # sweep
    Break(
        "a stamp holds though code or conf/ has changed",
        "kd_lab/sweeps/completed.py",
        'same = found["world"] == environment_hash() and all(',
        "same = all(",
        ("sweeps/test_completed.py",),
    ),
    Break(
        "a cell with a damaged file counts as finished",
        "kd_lab/sweeps/launch.py",
        "if same and not damaged(folder):",
        "if same:",
        ("sweeps/test_launch.py",),
    ),
    Break(
        "a sampler is seeded by the number of trials, those that a kill cut short included",
        "kd_lab/sweeps/search/study.py",
        "sum(CUT_SHORT not in trial.user_attrs for trial in self.study.get_trials(deepcopy=False))",
        "len(self.study.get_trials(deepcopy=False))",
        ("sweeps/search/test_study.py",),
    ),
    # report
    Break(
        "the best setting is chosen on test",
        "kd_lab/report/study/measures.py",
        "fmean(at(cell, VALIDATION.path) for run",
        "fmean(at(cell, ACCURACY.path) for run",
        ("report/study/test_verdict.py",),
    ),
    Break(
        "settings of several seeds are corrected for too few comparisons",
        "kd_lab/report/study/comparisons.py",
        "settings * (settings - 1) // 2 if any(one.n > 1 for one in found) else len(found)",
        "len(found)",
        ("report/study/test_verdict.py",),
    ),
    Break(
        "a Pareto front keeps what is beaten in one and equal in the other",
        "kd_lab/report/figures/pareto_front.py",
        "p <= price and s >= score and (p, s) != (price, score)",
        "p < price and s > score",
        ("report/figures/test_pareto.py",),
    ),
    Break(
        "a check forgets that on other rows its numbers would be others",
        "kd_lab/report/published/equivalence.py",
        "variance = by_runs + row_error**2",
        "variance = by_runs",
        ("report/published/test_check.py",),
    ),
    Break(
        "a model ships where a loss is not ruled out",
        "kd_lab/report/release/gate_verdict.py",
        "elif change.low <= -margin:",
        "elif change.difference <= -margin:",
        ("report/release/test_gate.py",),
    ),
    # cli
    Break(
        "a user's mistake ends in exit code 1",
        "kd_lab/__main__.py",
        'print(f"kd-lab: {error}", file=sys.stderr)\n        return 2',
        'print(f"kd-lab: {error}", file=sys.stderr)\n        return 1',
        ("report/published/test_check.py",),
    ),
    Break(
        "a report on a failed cell ends in exit code 0",
        "kd_lab/cli/report.py",
        "return 1 if failed or not synced",
        "return 1 if not synced",
        ("cli/test_report_verb.py",),
    ),
    # api
    Break(
        "a program's own test rows are not used",
        "kd_lab/api/texts.py",
        '[] if "test" in given else ["~dataset.splits.test"]',
        '["~dataset.splits.test"]',
        ("api/test_run.py",),
    ),
    Break(
        "without a teacher, distil asks for a loss that needs one",
        "kd_lab/api/distil.py",
        '["loss=cross_entropy"] if teacher == "none" else []',
        "[]",
        ("api/test_distil.py",),
    ),
    # hydra_plugins
    Break(
        "a grid runs a cell once for each value that means nothing to it",
        "hydra_plugins/kd_lab/grid_sweeper.py",
        "for one in dict.fromkeys(map(tuple, found))]",
        "for one in found]",
        ("sweeps/test_grid_sweeper.py",),
    ),
)
