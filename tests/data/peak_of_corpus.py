"""Packs a corpus of so many texts, and prints the memory of the process at its highest, in MiB.

python peak_of_corpus.py FOLDER TEXTS TOKENIZER
"""

from __future__ import annotations

import sys
from pathlib import Path

from kd_lab.core.cache import Cache
from kd_lab.data import packed_corpus
from kd_lab.data.packed_corpus import pack
from kd_lab.data.text_corpus import TextCorpus
from kd_lab.data.tokenizer import TokenizerFile


def main(folder: Path, texts: int, tokenizer: Path) -> None:
    """Writes the file, packs it, prints."""
    path = folder / f"{texts}.txt"
    with path.open("w") as file:
        file.writelines(
            f"we saw a lot of cat {text} and dog again {'near the old house ' * 12}\n" for text in range(texts)
        )
    packed_corpus._LETTERS = 2**16  # what the tokenizer holds at a time is not what grows
    corpus = pack(TextCorpus(str(path)), TokenizerFile(tokenizer, 64), Cache(folder / "cache"))
    assert len(corpus.rows("train")) * 64 > 40 * texts
    status = Path("/proc/self/status").read_text().splitlines()
    print(int(next(line for line in status if line.startswith("VmHWM:")).split()[1]) / 1024)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
