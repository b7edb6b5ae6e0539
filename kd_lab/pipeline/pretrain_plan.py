"""What the config of a pre-training means: the parts it names, and the names of all that they make."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from kd_lab.core.cache import Cache, fingerprint
from kd_lab.core.code_hash import file_alone_hash
from kd_lab.core.errors import UserError
from kd_lab.core.instantiate import build, check_value
from kd_lab.core.nested import at
from kd_lab.core.option_types import Seed, StudyName
from kd_lab.data import packed_corpus
from kd_lab.data.masking import Masking
from kd_lab.data.same_tokenizer import same_tokenizer
from kd_lab.data.text_corpus import TextCorpus
from kd_lab.data.tokenizer import Tokenizer, TokenizerBase
from kd_lab.losses.base import NO_TEACHER
from kd_lab.losses.term.cross_entropy import CrossEntropy
from kd_lab.losses.weighted_sum import WeightedSum
from kd_lab.models.encoder import EncoderClassifier
from kd_lab.pipeline.plan import check_length, resolved_config
from kd_lab.training import masked_lm_fit
from kd_lab.training.masked_lm_start import MaskedLMSpec, Tune
from kd_lab.training.optimizer import AdamW
from kd_lab.training.step_trainer import StepTrainer

_READ = frozenset({"logits", "hidden"})  # what a loss may ask of masked pieces and of all tokens


class PretrainPlan:
    """The parts of a pre-training and the fingerprints of its artifacts, settled before any of them is made.

    Raises:
        UserError: a part is not what may stand there.
    """

    def __init__(self, config: DictConfig) -> None:
        self.settings = resolved_config(config)
        self.settings["teacher"] = self.settings.get("teacher")
        check_value(self.settings["name"], StudyName, "name", "pretrained")
        if "/" in self.settings["name"]:
            cure = "Give one without, e.g. name=wiki."
            raise UserError("name", expected="a name without /", got=self.settings["name"], cure=cure)
        self.cache = Cache(Path(config.paths.cache).expanduser())
        self.corpus = self._part("corpus", TextCorpus)
        configured = self._part("tokenizer", TokenizerBase)
        masking = self._part("masking", Masking)
        self.student = MaskedLMSpec(
            self._model("model"),
            self._part("loss", WeightedSum),
            self._part("optimizer", AdamW),
            self._part("trainer", StepTrainer),
            masking,
            seed=self._seed("seed"),
        )
        self.teacher = None if self.settings["teacher"] is None else self._teacher(masking)
        self.tokenizer = self._reader(configured)

    @property
    def on(self) -> tuple[str, str]:
        """(device, precision) of the student's training."""
        return self.student.trainer.resolve_device_and_precision()

    @cached_property
    def fingerprints(self) -> dict[str, str]:
        """The name of every artifact."""
        corpus = fingerprint(packed_corpus.fingerprint_parts(self.corpus, self.tokenizer))
        teacher = (
            fingerprint(masked_lm_fit.fingerprint_parts(self.teacher, corpus, None)) if self.teacher is not None else ""
        )
        student = fingerprint(masked_lm_fit.fingerprint_parts(self.student, corpus, teacher or None))
        code = file_alone_hash("kd_lab.pipeline.pretrain", "kd_lab.pipeline.pretrain_plan")
        named = {"corpus": corpus, "teacher": teacher, "masked_lm": student}
        named = {name: value for name, value in named.items() if value}
        return {**named, "result": fingerprint({**named, "code": code})}

    def check(self) -> None:
        """Refuses, before any work, what cannot be pre-trained here as it is asked for.

        Raises:
            UserError: as said.
        """
        loss, student = self.student.loss, self.student.model
        if self.teacher is None and student.starts_from_teacher:
            raise UserError("model.init=teacher", expected="a teacher", got="none", cure=NO_TEACHER)
        for where, spec in (("trainer", self.student), ("teacher.trainer", self.teacher)):
            if spec is not None:
                spec.trainer.check(where)
                check_length(spec.model, self.tokenizer, "tokenizer.max_tokens")
        loss.check(max(2, self.tokenizer.vocab_size), self.teacher is not None)
        if strange := sorted((loss.needs | loss.returns) - _READ) or loss.has_weights:
            got = ", ".join(strange) if isinstance(strange, list) else "terms with weights of their own"
            cure = "Choose loss=distilbert."
            raise UserError("loss", expected="terms of logits and last hidden states", got=got, cure=cure)
        for name, term in loss.terms.items():
            if getattr(term, "class_weights", None):
                where = f"loss.terms.{name}.class_weights"
                raise UserError(where, expected="null: pieces have no such", got="some", cure=f"Leave {where} out.")
        if "hidden" in loss.needs and self.teacher is not None:
            wide, narrow = getattr(self.teacher.model, "shape", None), getattr(student, "shape", None)
            if wide is not None and narrow is not None and wide.width != narrow.width:
                cure = "Choose loss.weights.hidden_cosine=0, or a student as wide as its teacher."
                expected = f"a student of the teacher's width {wide.width}"
                raise UserError("loss.terms.hidden_cosine", expected=expected, got=str(narrow.width), cure=cure)

    def _teacher(self, masking: Masking) -> MaskedLMSpec:
        told = self.settings["teacher"]
        names = ("model", "optimizer", "trainer", "tune", "seed")
        if not isinstance(told, dict) or set(told) != set(names):
            got = ", ".join(told) if isinstance(told, dict) else repr(told)
            cure = "Choose one by its name, e.g. teacher=minilm."
            raise UserError("teacher", expected=f"options {', '.join(names)}", got=got, cure=cure)
        check_value(told["tune"], Tune, "teacher.tune", "head")
        return MaskedLMSpec(
            self._model("teacher.model"),
            WeightedSum({"cross_entropy": CrossEntropy()}, {"cross_entropy": 1.0}),
            self._part("teacher.optimizer", AdamW),
            self._part("teacher.trainer", StepTrainer),
            masking,
            told["tune"],
            self._seed("teacher.seed"),
        )

    def _seed(self, where: str) -> int:
        value = at(self.settings, where)
        check_value(value, Seed, where, 0)
        return int(value)

    def _model(self, where: str) -> Any:
        model = build(at(self.settings, where), where)
        if model.kind is not EncoderClassifier:
            cure = "Choose an encoder, e.g. model=distilbert_mini."
            raise UserError(where, expected="an encoder", got=str(model.name), cure=cure)
        return model

    def _part(self, where: str, kind: type) -> Any:
        found = build(at(self.settings, where), where)
        if not isinstance(found, kind):
            cure = f"Leave {where}._target_ out: conf/pretrain/ names the classes that there are."
            raise UserError(where, expected=f"a {kind.__name__}", got=type(found).__name__, cure=cure)
        return found

    def _reader(self, configured: TokenizerBase) -> TokenizerBase:
        """What reads the corpus: the tokenizer of the teacher's weights, else the student's, else the config's."""
        models = {"teacher.model": self.teacher.model} if self.teacher else {}
        models["model"] = self.student.model
        chosen: tuple[str, TokenizerBase] | None = None
        for where, model in models.items():
            checkpoint = getattr(model, "reads_with", None)
            if checkpoint is None:
                continue
            own: TokenizerBase = Tokenizer(checkpoint, configured.max_tokens)
            if not own.path.is_file():
                got, cure = f"{own.path.parent} without one", "Choose a checkpoint that has one."
                raise UserError(where, expected="a checkpoint with its tokenizer.json", got=got, cure=cure)
            if chosen is None:
                chosen = where, own
            elif not same_tokenizer(chosen[1].path, own.path):
                cure = "Choose a student of the teacher's tokenizer, or model.init=teacher or random."
                got = f"{model.name}, which reads other pieces"
                raise UserError(where, expected="a student that reads the teacher's pieces", got=got, cure=cure)
        if chosen is None or same_tokenizer(chosen[1].path, configured.path):
            return configured
        return chosen[1]
