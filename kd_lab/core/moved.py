"""Names of earlier versions for what lies elsewhere now: users' own YAML, results and saved code still say them.

Kept for one release after the move.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_ROOMS = {  # a module's old name within kd_lab -> its name now
    "array_classifier": "serving.backend",
    "cache": "core.cache",
    "cache_check": "core.cache_check",
    "cache_entry": "core.cache_entry",
    "cache_folder": "core.cache_folder",
    "cache_gc": "core.cache_gc",
    "cache_lock": "core.cache_lock",
    "calibration": "evaluation.calibration",
    "cell": "pipeline.cell",
    "classifier": "models.saved_model",
    "code_hash": "core.code_hash",
    "compressed": "compression.apply",
    "compression.around": "compression.context",
    "compression.drop_layers": "compression.prune.layers",
    "compression.low_rank_embedding": "compression.prune.low_rank_embedding",
    "compression.onnx_attention": "compression.quantize.onnx_attention",
    "compression.onnx_classifier": "compression.quantize.onnx_classifier",
    "compression.onnx_export": "compression.quantize.onnx_export",
    "compression.onnx_int8": "compression.quantize.onnx_int8",
    "compression.onnx_int8_static": "compression.quantize.onnx_int8_static",
    "compression.onnx_lstm": "compression.quantize.onnx_lstm",
    "compression.openvino": "compression.quantize.openvino",
    "compression.openvino_classifier": "compression.quantize.openvino_classifier",
    "compression.openvino_int8": "compression.quantize.openvino_int8",
    "compression.openvino_package": "compression.quantize.openvino_package",
    "compression.prune_heads": "compression.prune.heads",
    "compression.prune_l1": "compression.prune.magnitude",
    "compression.prune_lstm": "compression.prune.lstm_units",
    "compression.prune_width": "compression.prune.feed_forward",
    "compression.quantization_aware": "compression.quantize.quantization_aware",
    "compression.source_model": "compression.quantize.source_model",
    "compression.sparse": "compression.prune.sparse",
    "compression.sparse_classifier": "compression.prune.sparse_classifier",
    "compression.torch_bf16": "compression.quantize.torch_bf16",
    "compression.torch_bf16_classifier": "compression.quantize.torch_bf16_classifier",
    "compression.torch_int8": "compression.quantize.torch_int8",
    "compression.torch_int8_classifier": "compression.quantize.torch_int8_classifier",
    "compression.trim_vocabulary": "compression.prune.vocabulary",
    "confusion": "evaluation.confusion",
    "contention": "core.contention",
    "cores": "core.cores",
    "cost": "evaluation.latency",
    "data.batches": "data.loader",
    "data.texts": "data.dataset",
    "data.tokens": "data.tokenized",
    "deployable": "serving.export",
    "energy": "evaluation.energy",
    "errors": "core.errors",
    "evaluation": "evaluation.scoring",
    "fit": "training.fit",
    "fresh_process": "core.isolated_process",
    "heap": "core.process_tuning",
    "hub_revision": "data.hub_revision",
    "imports": "core.process_tuning",
    "instantiate": "core.instantiate",
    "invariance": "evaluation.batch_invariance",
    "launch": "sweeps.launch",
    "machine": "core.machine",
    "metrics": "evaluation.metrics",
    "mlflow_level": "tracking.mlflow_level",
    "mlflow_run": "tracking.mlflow_run",
    "mlflow_store": "tracking.mlflow_store",
    "model_card": "serving.model_card",
    "models.bf16_layer": "models.fused.bf16_layer",
    "models.bf16_ops": "models.fused.bf16_ops",
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
    "onnx_session": "serving.onnx_session",
    "optimizer": "training.optimizer",
    "option_types": "core.option_types",
    "outputs": "training.teacher_outputs",
    "paths": "core.paths",
    "pipeline": "pipeline.run",
    "plan": "pipeline.plan",
    "predict": "evaluation.inference",
    "predictions": "evaluation.predictions",
    "pretrained": "data.checkpoint",
    "process_settings": "core.process_settings",
    "progress": "core.progress",
    "provenance": "pipeline.provenance",
    "publish": "pipeline.publish",
    "reading": "core.reading",
    "redact": "core.redact",
    "report.answers": "report.study.answers",
    "report.check": "report.published.check",
    "report.check_table": "report.published.check_table",
    "report.collect": "report.study.collect",
    "report.comparison": "evaluation.paired_tests",
    "report.data_sets": "report.study.data_sets",
    "report.documents": "report.study.documents",
    "report.editions": "report.published.editions",
    "report.equivalence": "report.published.equivalence",
    "report.expected": "report.published.expected",
    "report.frontier": "report.release.frontier",
    "report.frontier_figure": "report.release.frontier_figure",
    "report.frontier_table": "report.release.frontier_table",
    "report.gate": "report.release.gate",
    "report.gate_origin": "report.release.gate_origin",
    "report.gate_table": "report.release.gate_table",
    "report.gate_verdict": "report.release.gate_verdict",
    "report.heatmap": "report.figures.heatmap",
    "report.index": "report.published.index",
    "report.labels": "report.study.labels",
    "report.measured": "report.published.measured",
    "report.measures": "report.study.measures",
    "report.parallel": "report.figures.parallel",
    "report.pareto": "report.figures.pareto",
    "report.pareto_front": "report.figures.pareto_front",
    "report.reopened": "report.release.reopened",
    "report.row_error": "report.published.row_error",
    "report.runs": "report.study.runs",
    "report.settings": "report.study.settings",
    "report.settings_table": "report.study.settings_table",
    "report.study_report": "report.study.study_report",
    "report.style": "report.figures.style",
    "report.verdict": "report.study.verdict",
    "result_shape": "core.result_shape",
    "results": "core.results",
    "resume": "training.checkpointing",
    "run_folder": "pipeline.run_folder",
    "safe_path": "core.safe_path",
    "search.objective": "sweeps.search.objective",
    "search.pruner": "sweeps.search.pruner",
    "search.record": "sweeps.search.record",
    "search.sampler": "sweeps.search.sampler",
    "search.space": "sweeps.search.space",
    "search.storage": "sweeps.search.storage",
    "search.study": "sweeps.search.study",
    "search.trial": "sweeps.search.trial",
    "served_model": "serving.mlflow_model",
    "signature": "core.signature",
    "significance": "evaluation.intervals",
    "stamp": "sweeps.completed",
    "table": "pipeline.summary_table",
    "text_classifier": "serving.text_classifier",
    "timing_grid": "evaluation.benchmark",
    "tokenizer_file": "data.tokenizer_file",
    "tracking": "tracking.mlflow_tracking",
    "trainer": "training.settings",
    "training": "training.loop",
    "turns": "evaluation.interleaved_timer",
    "types": "core.types",
    "verbs.cache": "cli.cache",
    "verbs.check": "cli.check",
    "verbs.compose": "cli.compose",
    "verbs.export": "cli.export",
    "verbs.hydra_files": "cli.hydra_files",
    "verbs.mlflow_view": "tracking.mlflow_view",
    "verbs.predict": "cli.predict",
    "verbs.predict_input": "cli.predict_input",
    "verbs.predict_output": "cli.predict_output",
    "verbs.report": "cli.report",
    "verbs.run": "cli.run",
    "verbs.run_place": "cli.run_place",
    "verbs.sweep": "cli.finish",
    "verbs.ui": "cli.ui",
    "verbs.unknown_option": "cli.unknown_option",
    "weights_file": "models.weights_file",
    "written_files": "pipeline.written_files",
}
MODULES = {f"kd_lab.{old}": f"kd_lab.{new}" for old, new in _ROOMS.items()}
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
