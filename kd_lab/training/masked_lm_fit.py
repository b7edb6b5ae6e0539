"""Pre-trains a model once; it lies in the cache, with what it guesses of text that it has not seen."""

from __future__ import annotations

import json
import os
import resource
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from kd_lab.core.cache import Cache
from kd_lab.core.code_hash import code_hash
from kd_lab.core.errors import Diverged
from kd_lab.core.process_settings import process_settings_kept
from kd_lab.core.progress import Advance
from kd_lab.data.masking import MaskedRows, Masking
from kd_lab.data.packed_corpus import PackedCorpus
from kd_lab.evaluation.perplexity import perplexity
from kd_lab.models.masked_lm import MaskedLM
from kd_lab.training.checkpointing import LAST, checkpoint
from kd_lab.training.masked_lm_loop import learn
from kd_lab.training.masked_lm_processes import Work, learn_together
from kd_lab.training.masked_lm_start import HEAD, MaskedLMSpec, start

_BEFORE = "before.json"  # in scratch, what the model guessed as it started


@dataclass(frozen=True)
class PretrainedMaskedLM:
    """A pre-trained model in the cache."""

    folder: Path

    @property
    def fingerprint(self) -> str:
        """Its name in the cache."""
        return self.folder.name

    @property
    def model(self) -> Path:
        """The folder that `AutoModelForMaskedLM` reads: config.json, model.safetensors."""
        return self.folder / "model"

    def about(self) -> dict[str, Any]:
        """before, after (see `perplexity`), history, updates, tokens, seconds, tokens_per_s, memory_mib, parameters."""
        found: dict[str, Any] = json.loads((self.folder / "about.json").read_text(encoding="utf-8"))
        return found


def fingerprint_parts(spec: MaskedLMSpec, corpus: str, teacher: str | None) -> dict[str, Any]:
    """All that a pre-trained model is made from.

    Args:
        corpus, teacher: fingerprints; a teacher counts where it is asked nothing too: its head may be the start's.
    """
    return {
        "corpus": corpus,
        "spec": vars(spec),
        "on": spec.trainer.resolve_device_and_precision(),
        "teacher": teacher,
        "code": code_hash("kd_lab.training.masked_lm_fit", vars(spec)),
    }


def pretrain(
    spec: MaskedLMSpec,
    corpus: PackedCorpus,
    teacher: PretrainedMaskedLM | None,
    cache: Cache,
    tokenizer: Path,
    advance: Advance = lambda rows: None,
) -> PretrainedMaskedLM:
    """The pre-trained model, from the cache or trained now; one that was cut off goes on from its last checkpoint.

    Args:
        tokenizer: the tokenizer.json that made the corpus.
        advance: called with the number of rows done since the last call.

    Raises:
        UserError: the model is no encoder with a head for masked pieces, or does not fit its teacher.
        Diverged: the loss is no longer a number.
    """
    parts = fingerprint_parts(spec, corpus.fingerprint, teacher.fingerprint if teacher else None)

    def make(draft: Path) -> None:
        scratch = cache.unfinished("masked_lm", parts)
        try:
            model, about = _train(spec, corpus, teacher, cache, tokenizer, scratch, advance)
        except Diverged:  # it would end so again
            shutil.rmtree(scratch, ignore_errors=True)
            raise
        model.save(draft / "model")
        (draft / "about.json").write_text(json.dumps(about, indent=1), encoding="utf-8")

    return PretrainedMaskedLM(cache.build("masked_lm", parts, make))


@process_settings_kept()
def _train(
    spec: MaskedLMSpec,
    corpus: PackedCorpus,
    teacher: PretrainedMaskedLM | None,
    cache: Cache,
    tokenizer: Path,
    scratch: Path,
    advance: Advance,
) -> tuple[MaskedLM, dict[str, Any]]:
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # nobody reads it
    device = spec.trainer.resolve_device_and_precision()[0]
    asked = teacher if spec.loss.needs else None
    guide = None if teacher is None else MaskedLM.load(teacher.model, corpus.vocab_size)
    model, has_head = start(spec, corpus, guide, cache, tokenizer)
    if spec.tune == HEAD:
        model.freeze_encoder()
    rows = MaskedRows(corpus, "train", spec.masking, spec.seed)
    updates = 0 if spec.tune == HEAD and has_head else spec.trainer.updates(len(rows))
    before = _before(model, corpus, spec.masking, device, scratch)
    learned: dict[str, Any] = {"history": [], "seconds": 0.0}
    settings = (spec.loss, spec.optimizer, spec.trainer, spec.seed)
    if updates and spec.trainer.devices > 1:
        threads = max(1, torch.get_num_threads() // spec.trainer.devices)
        work = Work(
            corpus.folder, spec.masking, asked.model if asked else None, *settings, scratch, model.head,
            spec.tune == HEAD, threads,
        )  # fmt: skip
        learn_together(model.cpu(), work, advance)
        end = checkpoint(scratch, best=False)
        assert end is not None, scratch / LAST  # the first of the processes has written it
        model.load_state_dict(end["model"])
        learned = {"history": end["history"]["points"], "seconds": end["seconds"]}
    elif updates:
        learned = learn(model, guide if asked else None, *settings, rows, scratch, advance=advance)
    after = perplexity(model, corpus, spec.masking, device) if updates else before
    used = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    tokens = updates * spec.trainer.rows_an_update * corpus.tokens
    return model.cpu().eval(), {
        "before": before,
        "after": after,
        **learned,
        "updates": updates,
        "tokens": tokens,
        "tokens_per_s": tokens / learned["seconds"] if tokens else 0.0,
        "peak_memory_mib": used / 2**10 / (2**10 if os.uname().sysname == "Darwin" else 1),
        "parameters": sum(weight.numel() for weight in model.parameters()),
    }


def _before(model: MaskedLM, corpus: PackedCorpus, masking: Masking, device: str, scratch: Path) -> dict[str, float]:
    """What the model guesses as it starts, asked once however often the run is cut off."""
    noted = scratch / _BEFORE
    if not noted.is_file():
        found = perplexity(model, corpus, masking, device)
        scratch.mkdir(parents=True, exist_ok=True)
        draft = noted.with_suffix(".part")
        draft.write_text(json.dumps(found), encoding="utf-8")
        os.replace(draft, noted)
    told: dict[str, float] = json.loads(noted.read_text(encoding="utf-8"))
    model.train()
    return told
