"""A million short texts to cached word pieces: kd_lab's `tokenise` beside the tokenizer's own speed, and its memory.

Each side runs in a fresh process that holds the texts already. The tokenizer alone encodes the same chunks and keeps
nothing; ours checks the texts, encodes, looks for shared rows, writes the arrays and hashes the files.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import tokenizers

from experiments.speed import child, result
from experiments.speed.command_line import ask, parser
from experiments.speed.peak import now_mib, peak_mib
from experiments.speed.rounds import Figures
from experiments.speed.short_texts import ShortTexts, part, words
from kd_lab.core.cache import Cache
from kd_lab.data import tokenizer as tokenizer_module
from kd_lab.data.tokenized import tokenise
from kd_lab.data.tokenizer import Tokenizer

CHUNK = int(getattr(tokenizer_module, "_CHUNK", 4096))  # texts that kd_lab hands to the tokenizer at a time
SIDES = ("ours", "tokenizer")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, writes `tokenise/result.json`, prints."""
    made = parser("tokenise", __doc__, rounds=3, gpu=False)
    made.add_argument("--texts", type=int, help="1000000")
    asked = ask(made, arguments)
    texts = asked.number("texts", 1_000_000, 20_000)
    spoken = [str(texts), *asked.overrides]
    jobs = {side: partial(child.answer, __spec__.name, side, *spoken) for side in SIDES}
    measured = asked.by_turns(jobs)
    result.write(
        asked,
        [measured],
        {"ours / tokenizer": measured.ratio("texts_per_s", "ours", "tokenizer")},
        {
            "texts": texts,
            "chunk": CHUNK,
            "sides": {"ours": "tokenise and cache", "tokenizer": "encode_batch_fast alone"},
        },
        notes=["memory above that of a process which holds the libraries and the texts"],
    )


def one(side: str, texts: int, overrides: Sequence[str]) -> Figures:
    """One side's turn, in the process that calls it."""
    data = ShortTexts(texts, words(overrides))
    rows = sum(len(split.texts) for split in data.load().splits.values())
    pieces: Tokenizer = part("tokenizer")
    own = tokenizers.Tokenizer.from_file(str(pieces.path))
    own.no_padding()
    own.enable_truncation(pieces.max_tokens)
    own.encode_batch_fast(data.load().splits["test"].texts)  # starts its threads
    before, start = now_mib(), time.perf_counter()
    if side == "ours":
        with tempfile.TemporaryDirectory() as folder:
            tokenise(data, pieces, Cache(Path(folder)))
            seconds = time.perf_counter() - start
    else:
        for split in data.load().splits.values():
            for begin in range(0, len(split.texts), CHUNK):
                own.encode_batch_fast(split.texts[begin : begin + CHUNK])
        seconds = time.perf_counter() - start
    return {"texts_per_s": rows / seconds, "seconds": seconds, "memory_mib": max(0.0, peak_mib() - before)}


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in SIDES:
        print(json.dumps(one(sys.argv[1], int(sys.argv[2]), sys.argv[3:])))
    else:
        main()
