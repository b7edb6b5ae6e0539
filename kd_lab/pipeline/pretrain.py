"""The whole story of a pre-training: its corpus, its teacher, its student, and the folder that tasks start from."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from omegaconf import DictConfig

from kd_lab.core import results
from kd_lab.core.progress import say
from kd_lab.core.results import RunResult
from kd_lab.data import packed_corpus
from kd_lab.data.tokenizer_file import TOKENIZER
from kd_lab.pipeline import provenance, publish
from kd_lab.pipeline.pretrain_plan import PretrainPlan
from kd_lab.pipeline.run_folder import MODEL
from kd_lab.pipeline.timed_steps import TimedSteps
from kd_lab.pipeline.written_files import damaged
from kd_lab.serving.complete import README, TOKENIZER_CONFIG, tokenizer_config
from kd_lab.training import masked_lm_fit
from kd_lab.training.masked_lm_fit import PretrainedMaskedLM
from kd_lab.training.masked_lm_start import MaskedLMSpec

_COMMON = 1000  # pieces among which an untrained head's guesses are not yet random


def pretrain(config: DictConfig, folder: Path, overrides: Sequence[str] = ()) -> RunResult:
    """Pre-trains what the config says, or reads the result where the same has been done before.

    Args:
        config: composed from conf/pretrain.yaml.
        folder: the run's own, `multirun/<name>`, held by this process.
        overrides: what made it, for its result.

    Returns:
        the result, also written to `folder/result.json`; `folder/model` is the student in the hub's layout.

    Raises:
        UserError: something in the config or the corpus is to be mended.
        FitError: the training failed by itself.
    """
    begun = time.perf_counter()
    run = _Pretraining(config)
    run.check()
    done = results.peek(folder)
    named = run.fingerprints
    if done is not None and done.fingerprint == named and not damaged(folder):
        return done
    publish.check_model(folder)
    corpus, teacher, student = run.made()
    about = student.about()
    on = dict(zip(("device", "precision"), run.on, strict=True))
    result = provenance.result(run, run.settings, folder.name, overrides, {**about, **on})
    result.metrics = {"held_out": {**about["after"], "before": about["before"]}}
    result.cost = {
        **{name: about[name] for name in ("parameters", "updates", "tokens", "tokens_per_s", "peak_memory_mib")},
        "train_s": about["seconds"],
        "rows": len(corpus.rows("train")),
        "texts": corpus.texts["train"],
        "size_mib": sum(path.stat().st_size for path in student.model.iterdir()) / 2**20,
    }
    if teacher is not None and run.teacher is not None:
        theirs = teacher.about()
        result.teacher = {
            "model": run.teacher.model.name,
            "fingerprint": teacher.fingerprint,
            "metrics": {"held_out": {**theirs["after"], "before": theirs["before"]}},
            "cost": {name: theirs[name] for name in ("parameters", "updates", "tokens", "tokens_per_s")},
        }
    result.durations_s[results.CELL_S] = round(time.perf_counter() - begun, 3)
    publish.publish(folder, lambda draft: _fill(draft, result, run, student))
    return result


class _Pretraining(TimedSteps, PretrainPlan):
    """A plan that is carried out."""

    def made(self) -> tuple[packed_corpus.PackedCorpus, PretrainedMaskedLM | None, PretrainedMaskedLM]:
        """The corpus, the teacher and the student, from the cache or made now."""
        with self.timed("pack", f"pack {self.corpus.name}, texts") as advance:
            corpus = packed_corpus.pack(self.corpus, self.tokenizer, self.cache, advance)
        train, held_out = len(corpus.rows("train")), len(corpus.rows("held_out"))
        size = f"{train:,} rows of {corpus.tokens} pieces, {held_out:,} held out"
        say(f"corpus {self.corpus.name}: {size}")
        teacher = None
        if self.teacher is not None:
            teacher = self._pretrained("teacher", self.teacher, corpus, None)
            found = teacher.about()["after"]
            if found["perplexity"] > min(_COMMON, corpus.vocab_size / 4):
                self.warn(
                    f"the teacher's guesses are little better than random (perplexity {found['perplexity']:,.0f}): "
                    "teach it longer by teacher.trainer.max_steps=2000"
                )
        return corpus, teacher, self._pretrained("student", self.student, corpus, teacher)

    def _pretrained(
        self,
        role: Literal["teacher", "student"],
        spec: MaskedLMSpec,
        corpus: packed_corpus.PackedCorpus,
        teacher: PretrainedMaskedLM | None,
    ) -> PretrainedMaskedLM:
        total = spec.trainer.updates(len(corpus.rows("train"))) * spec.trainer.rows_an_update
        label = f"pre-train {role} {spec.model.name}, rows"
        with self.timed(f"pre-train {role}", label, total) as advance:
            made = masked_lm_fit.pretrain(spec, corpus, teacher, self.cache, self.tokenizer.path, advance)
        about = made.about()
        say(
            f"{role} {spec.model.name}: perplexity {about['after']['perplexity']:,.1f} on held-out text, "
            f"{about['before']['perplexity']:,.1f} as it started"
        )
        return made


def _fill(draft: Path, result: RunResult, run: _Pretraining, student: PretrainedMaskedLM) -> None:
    """Writes the model, complete as the hub's are, and the result."""
    folder = draft / MODEL
    folder.mkdir()
    for path in student.model.iterdir():
        shutil.copyfile(path, folder / path.name)
    shutil.copyfile(run.tokenizer.path, folder / TOKENIZER)
    longest = getattr(run.student.model, "longest_input", run.tokenizer.max_tokens)
    card = {"pad_id": run.tokenizer.pad_id, "max_tokens": longest}
    told = tokenizer_config(folder / TOKENIZER, card, ["input_ids", "attention_mask"])
    results.write_atomically(folder / TOKENIZER_CONFIG, json.dumps(told, indent=1, ensure_ascii=False) + "\n")
    results.write_atomically(folder / README, _card(result))
    result.write(draft)


def _card(result: RunResult) -> str:
    """What the folder is, for whoever finds it."""
    found, cost = result.metrics["held_out"], result.cost
    taught = f", taught by {result.teacher['model']}" if result.teacher else ""
    theirs = result.teacher["metrics"]["held_out"]["perplexity"] if result.teacher else None
    lines = [
        f"# {result.config['model']['name']}, pre-trained on {result.config['corpus']['name']}{taught}",
        "",
        f"Guesses {found['pieces']:,} masked pieces of held-out text with perplexity {found['perplexity']:.1f}, "
        f"{found['before']['perplexity']:,.1f} before"
        + (f"; its teacher with {theirs:.1f}." if theirs is not None else "."),
        f"{cost['updates']:,} updates, {cost['tokens']:,} pieces, seed {result.config['seed']}; kd_lab "
        f"{result.git_commit or result.versions.get('kd_lab', '')}.",
        "",
        "```python",
        "from transformers import AutoModelForMaskedLM, AutoTokenizer",
        'model, tokenizer = AutoModelForMaskedLM.from_pretrained("."), AutoTokenizer.from_pretrained(".")',
        "```",
        "",
        "Fine-tune it: `kd-lab model=checkpoint model.path=FOLDER dataset=csv dataset.path=mine.csv`",
    ]
    return "\n".join(lines) + "\n"
