"""Names of earlier versions for what lies elsewhere now: users' own YAML, results and saved code still say them.

Kept for one release after the move.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_KEPT_THEIR_NAMES = {  # (a package within kd_lab, where its modules lie now) -> those that are called what they were
    ("", "core"): (
        "cache cache_check cache_entry cache_folder cache_gc cache_lock code_hash contention cores errors instantiate "
        "machine option_types paths process_settings progress reading redact result_shape results safe_path signature "
        "types"
    ),
    ("", "evaluation"): "calibration confusion energy metrics predictions",
    ("", "pipeline"): "cell plan provenance publish run_folder written_files",
    ("compression", "compression.prune"): "low_rank_embedding sparse sparse_classifier",
    ("compression", "compression.quantize"): (
        "onnx_attention onnx_classifier onnx_export onnx_int8 onnx_int8_static onnx_lstm openvino openvino_classifier "
        "openvino_int8 openvino_package quantization_aware source_model torch_bf16 torch_bf16_classifier torch_int8 "
        "torch_int8_classifier"
    ),
    ("", "training"): "fit optimizer",
    ("", "data"): "hub_revision tokenizer_file",
    ("", "tracking"): "mlflow_level mlflow_run mlflow_store",
    ("", "serving"): "model_card onnx_session text_classifier",
    ("models", "models.fused"): "bf16_layer bf16_ops",
    ("report", "report.study"): (
        "answers collect data_sets documents labels measures runs settings settings_table study_report verdict"
    ),
    ("report", "report.published"): "check check_table editions equivalence expected index measured row_error",
    ("report", "report.release"): (
        "frontier frontier_figure frontier_table gate gate_origin gate_table gate_verdict reopened"
    ),
    ("report", "report.figures"): "heatmap parallel pareto pareto_front style",
    ("search", "sweeps.search"): "objective pruner record sampler space storage study trial",
    ("verbs", "cli"): (
        "cache check compose export hydra_files predict predict_input predict_output report run run_place ui "
        "unknown_option"
    ),
}
_RENAMED = {  # a module's old name within kd_lab -> its name now
    "array_classifier": "serving.backend",
    "classifier": "models.saved_model",
    "compressed": "compression.apply",
    "compression.around": "compression.context",
    "compression.drop_layers": "compression.prune.layers",
    "compression.prune_heads": "compression.prune.heads",
    "compression.prune_l1": "compression.prune.magnitude",
    "compression.prune_lstm": "compression.prune.lstm_units",
    "compression.prune_width": "compression.prune.feed_forward",
    "compression.trim_vocabulary": "compression.prune.vocabulary",
    "cost": "evaluation.latency",
    "data.batches": "data.loader",
    "data.texts": "data.dataset",
    "data.tokens": "data.tokenized",
    "deployable": "serving.export",
    "evaluation": "evaluation.scoring",
    "fresh_process": "core.isolated_process",
    "heap": "core.process_tuning",
    "imports": "core.process_tuning",
    "invariance": "evaluation.batch_invariance",
    "launch": "sweeps.launch",
    "models.build": "models.spec",
    "models.encoder_shape": "models.architectures",
    "models.first_token": "models.fused.cls_only",
    "models.layers": "models.weight_transfer",
    "models.low_rank": "models.factorised_embedding",
    "models.quick_dropout": "models.fused.dropout",
    "models.reached_rows": "training.active_embedding",
    "models.replay": "training.cuda_graphs",
    "models.reshape": "models.surgery",
    "models.torch_classifier": "models.base",
    "module": "training.lightning_module",
    "outputs": "training.teacher_outputs",
    "pipeline": "pipeline.run",
    "predict": "evaluation.inference",
    "pretrained": "data.checkpoint",
    "report.comparison": "evaluation.paired_tests",
    "resume": "training.checkpointing",
    "served_model": "serving.mlflow_model",
    "significance": "evaluation.intervals",
    "stamp": "sweeps.completed",
    "table": "pipeline.summary_table",
    "timing_grid": "evaluation.benchmark",
    "tracking": "tracking.mlflow_tracking",
    "trainer": "training.settings",
    "training": "training.loop",
    "turns": "evaluation.interleaved_timer",
    "verbs.mlflow_view": "tracking.mlflow_view",
    "verbs.sweep": "cli.finish",
    "weights_file": "models.weights_file",
}
MODULES = {f"kd_lab.{old}": f"kd_lab.{new}" for old, new in _RENAMED.items()} | {
    ".".join(filter(None, ("kd_lab", old, module))): f"kd_lab.{new}.{module}"
    for (old, new), modules in _KEPT_THEIR_NAMES.items()
    for module in modules.split()
}
_told: set[str] = set()


def current_name(name: str) -> str:
    """The dotted name that a class has now."""
    module, _, attribute = name.rpartition(".")
    return f"{MODULES.get(module, module)}.{attribute}"


def with_current_names(settings: Any, tell: bool = False) -> Any:
    """Plain settings whose `_target_`s are named as they are now.

    Args:
        settings: any plain data.
        tell: say once which old name was found, and the new one.
    """
    if isinstance(settings, list):
        return [with_current_names(value, tell) for value in settings]
    if not isinstance(settings, Mapping):
        return settings
    found = {key: with_current_names(value, tell) for key, value in settings.items()}
    target = found.get("_target_")
    if isinstance(target, str) and (new := current_name(target)) != target:
        found["_target_"] = new
        if tell and target not in _told:
            _told.add(target)
            from kd_lab.core.progress import say

            say(f"warning: _target_: {target} is called {new} now; the old name works until the next release")
    return found
