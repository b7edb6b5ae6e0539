"""Reads few rows in a process of its own, then many, and prints by how much its memory rose to its highest, in MiB.

python peak_memory.py corpus|transfer FOLDER TOKENIZER FEW MANY
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from kd_lab.core.cache import Cache
from kd_lab.core.paths import root
from kd_lab.data import packed_corpus
from kd_lab.data import tokenizer as tokenizer_module
from kd_lab.data.csv import Csv
from kd_lab.data.text_corpus import TextCorpus
from kd_lab.data.tokenized import tokenise
from kd_lab.data.tokenizer import TokenizerFile

STATUS = Path("/proc/self/status")


def growth_mib(what: str, folder: Path, tokenizer: Path, few: int, many: int) -> float:
    """What that process prints."""
    beside = {**os.environ, "PYTHONPATH": str(root()), "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    command = [sys.executable, __file__, what, *map(str, (folder, tokenizer, few, many))]
    done = subprocess.run(command, env=beside, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


def corpus(folder: Path, tokenizer: Path, texts: int) -> None:
    """Packs a corpus of so many texts."""
    path = folder / f"{texts}.txt"
    with path.open("w") as file:
        file.writelines(
            f"we saw a lot of cat {text} and dog again {'near the old house ' * 12}\n" for text in range(texts)
        )
    packed_corpus._LETTERS = 2**16  # what the tokenizer holds at a time is not what grows
    found = packed_corpus.pack(TextCorpus(str(path)), TokenizerFile(tokenizer, 64), Cache(folder / "cache"))
    assert len(found.rows("train")) * 64 > 40 * texts


def transfer(folder: Path, tokenizer: Path, rows: int) -> None:
    """Tokenises a data set with so many rows without labels."""
    labelled = "".join(f"some words of row {row},{'ab'[row % 2]}\n" for row in range(100))
    (folder / "rows.csv").write_text(f"text,label\n{labelled}")
    with (folder / f"{rows}.jsonl").open("w") as file:
        file.writelines(json.dumps({"text": f"text {row} of many {'and so on ' * 12}"}) + "\n" for row in range(rows))
    tokenizer_module._CHUNK = 256  # what the tokenizer holds at a time is not what grows
    data = Csv(str(folder / "rows.csv"), transfer_path=str(folder / f"{rows}.jsonl"))
    assert len(tokenise(data, TokenizerFile(tokenizer), Cache(folder / "cache")).split("train")) > rows


def main(what: str, folder: str, tokenizer: str, *numbers: str) -> None:
    """Reads, and prints."""
    peaks = []
    for number in map(int, numbers):
        {"corpus": corpus, "transfer": transfer}[what](Path(folder), Path(tokenizer), number)
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        peaks.append(int(line.split()[1]) / 1024)
    print(peaks[1] - peaks[0])


if __name__ == "__main__":
    main(*sys.argv[1:])
