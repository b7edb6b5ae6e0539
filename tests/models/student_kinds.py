"""One small spec for each kind of student with word vectors, for tests that hold of all of them."""

from __future__ import annotations

from typing import Any

from kd_lab.models.cnn import Cnn
from kd_lab.models.gru_attention import GruAttention
from kd_lab.models.lstm_attention import LstmAttention
from kd_lab.models.static import Static

RANDOM: Any = {"embedding": 12, "init": "random"}
STUDENTS: dict[str, Any] = {
    "static": Static(**RANDOM),
    "static_hidden": Static(hidden=6, **RANDOM),
    "static_ngrams": Static(ngrams=3, buckets=50, **RANDOM),
    "cnn": Cnn(maps=6, **RANDOM),
    "gru": GruAttention(hidden=10, layers=2, **RANDOM),
    "gru_both": GruAttention(hidden=6, layers=2, bidirectional=True, **RANDOM),
    "lstm": LstmAttention(hidden=10, layers=2, **RANDOM),
    "lstm_both": LstmAttention(hidden=6, layers=2, bidirectional=True, **RANDOM),
}
