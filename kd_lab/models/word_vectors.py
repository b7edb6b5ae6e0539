"""Where the word vectors of a small student come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar, get_args

import torch
from torch import Tensor

from kd_lab.core.cache import file_hash
from kd_lab.core.errors import UserError
from kd_lab.core.option_types import Count, PathName, Seed, Units
from kd_lab.models.embedding_classifier import EmbeddingClassifier
from kd_lab.models.factorised_embedding import FactorisedEmbedding
from kd_lab.models.spec import BuildContext
from kd_lab.models.teacher_vectors import of_outputs, of_table
from kd_lab.models.vectors_file import check_width, of_file
from kd_lab.models.word2vec import trained

Init = Literal["word2vec", "random", "teacher", "teacher_outputs", "file"]
Student = TypeVar("Student", bound=EmbeddingClassifier)
_ADDED = ("vectors", "bidirectional")  # options that came later: where they say nothing, names stay what they were


@dataclass(frozen=True)
class StartsFromWordVectors:
    """What the specs of students with word vectors have alike.

    Args:
        embedding: width of the word vectors.
        init: where they come from, as below.
        word2vec_epochs: passes of Word2Vec's training.
        word2vec_seed: its seed, apart from the fit's so that all seeds of a sweep share the vectors.
        vectors: the file of init=file.

    `init` says where the vectors come from:

    - "word2vec": skip-grams (Mikolov et al., arXiv:1301.3781) by gensim, trained on train's word pieces, its rows
      without a label among them.
    - "random": none.
    - "teacher": the teacher's own word embedding.
    - "teacher_outputs": what the teacher says of each piece alone, weighted by how rare it is, as model2vec does.
    - "file": `vectors`, a file in word2vec's or GloVe's format.

    The teacher's have its width; where the student's is smaller their principal components are taken, and what is
    wider stays random. A student that starts from its teacher reads the teacher's pieces. A piece without a vector
    keeps its random one. All are centred, since what they have in common can be twice as long as what tells them apart
    (Mu and Viswanath, arXiv:1702.01417), and scaled to one spread, small enough that a few hundred updates can turn
    them: Kim draws his from -0.25 to 0.25 (arXiv:1408.5882, section 3.1).
    """

    centred: ClassVar[bool] = True  # whether Word2Vec's vectors are, too
    spread: ClassVar[float] = 0.1  # standard deviation of all entries, of random vectors too

    embedding: Units = 100
    init: Init = "word2vec"
    word2vec_epochs: Count = 5
    word2vec_seed: Seed = 0
    vectors: PathName | None = None

    def __post_init__(self) -> None:
        known = get_args(Init)
        if self.init not in known:
            expected = f"{', '.join(known[:-1])} or {known[-1]}"
            raise UserError("model.init", expected=expected, got=repr(self.init), cure="Choose one of them.")
        if self.init == "file" and not self.vectors:
            cure = "Name one, e.g. model.vectors=glove.6B.100d.txt."
            raise UserError("model.vectors", expected="a file of word vectors, for init=file", got="none", cure=cure)
        if self.vectors and self.init != "file":
            got, cure = f"model.init={self.init}", "Give model.init=file too, or leave model.vectors out."
            raise UserError("model.vectors", expected="model.init=file, to read that file", got=got, cure=cure)

    @property
    def starts_from_teacher(self) -> bool:
        """Whether the fitted teacher's weights give the word vectors."""
        return self.init in ("teacher", "teacher_outputs")

    def fingerprint_parts(self) -> dict[str, Any]:
        """Its options but the name; of a file its content.

        Raises:
            UserError: there is no such file, or its vectors have another width.
        """
        parts = {key: value for key, value in vars(self).items() if key != "name"}
        parts = {key: value for key, value in parts.items() if value or key not in _ADDED}
        if self.vectors:
            check_width(self.file, self.embedding)
            parts["vectors"] = file_hash(self.file)
        return parts

    @property
    def file(self) -> Path:
        """The file of init=file."""
        assert self.vectors is not None
        return Path(self.vectors).expanduser()

    def sizes(self, context: BuildContext) -> dict[str, Any]:
        """What the data say of the student's config."""
        return {"vocabulary": context.vocab_size, "pad_id": context.pad_id, "classes": context.classes}

    def started(self, model: Student, context: BuildContext) -> Student:
        """The student in training mode, its word vectors those of `init`."""
        assert not isinstance(model.embedding, FactorisedEmbedding)
        with torch.no_grad():
            model.embedding.weight.mul_(self.spread)
            if self.init != "random":
                model.embedding.weight.copy_(self._vectors(context, model.embedding.weight))
        return model.train()

    def _vectors(self, context: BuildContext, start: Tensor) -> Tensor:
        """(V, H): vectors of one spread; `start` where a piece has none, and 0 for the padding's."""
        ids, found = self._found(context)
        if self.centred or self.init != "word2vec":
            found = found - found.mean(0)
        vectors = start.detach().clone()
        width = found.shape[1]
        vectors[ids, :width] = found / found.std() * self.spread
        vectors[context.pad_id] = 0.0
        return vectors

    def _found(self, context: BuildContext) -> tuple[Tensor, Tensor]:
        """(ids of pieces that have a vector, (their number, H or fewer) vectors)."""
        if self.init == "word2vec":
            return trained(context, self.embedding, self.word2vec_epochs, self.word2vec_seed)
        if self.init == "file":
            return of_file(context, self.file)
        return (of_table if self.init == "teacher" else of_outputs)(context, self.embedding)
