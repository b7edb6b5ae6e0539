"""Tokenises a data set with so many rows without labels, and prints the memory of the process at its highest, in MiB.

python peak_of_transfer.py FOLDER ROWS TOKENIZER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from kd_lab.core.cache import Cache
from kd_lab.data import tokenizer as tokenizer_module
from kd_lab.data.csv import Csv
from kd_lab.data.tokenized import tokenise
from kd_lab.data.tokenizer import TokenizerFile


def main(folder: Path, rows: int, tokenizer: Path) -> None:
    """Writes the files, tokenises, prints."""
    labelled = "".join(f"some words of row {row},{'ab'[row % 2]}\n" for row in range(100))
    (folder / "rows.csv").write_text(f"text,label\n{labelled}")
    with (folder / f"{rows}.jsonl").open("w") as file:
        file.writelines(json.dumps({"text": f"text {row} of many {'and so on ' * 12}"}) + "\n" for row in range(rows))
    tokenizer_module._CHUNK = 256  # what the tokenizer holds at a time is not what grows
    data = Csv(str(folder / "rows.csv"), transfer_path=str(folder / f"{rows}.jsonl"))
    tokens = tokenise(data, TokenizerFile(tokenizer), Cache(folder / "cache"))
    assert len(tokens.split("train")) > rows
    status = Path("/proc/self/status").read_text().splitlines()
    print(int(next(line for line in status if line.startswith("VmHWM:")).split()[1]) / 1024)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
