"""The docstrings of installed packages, read by a process for each: parsing, most of the work, holds Python's lock.

It stands on Python alone, so that such a process starts at once.
"""

from __future__ import annotations

import ast
import gc
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

_Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


class LibraryQuery(NamedTuple):
    """What is asked of one package.

    Args:
        folder: the package's.
        enough: rows after which no more files are read.
        min_words, max_words: shorter texts are left out, longer ones cut.
        masking: (a pattern whose matches, in any case, are written over, what to write there).
    """

    folder: Path
    enough: int
    min_words: int
    max_words: int
    masking: tuple[str, str]


def read_all(asked: Sequence[LibraryQuery], processes: int) -> list[list[tuple[str, str]]]:
    """(key, text) of each package's rows, no key twice; at most so many packages at a time."""
    with ThreadPoolExecutor(max(1, processes)) as pool:
        return list(pool.map(_in_a_process, asked))


def read(asked: LibraryQuery) -> list[tuple[str, str]]:
    """(key, text) of one package's rows, in the order of its files; the key is the text's first eight words."""
    mask = re.compile(asked.masking[0], re.IGNORECASE)
    found: dict[str, str] = {}
    for paragraph in _paragraphs(asked.folder):
        words = mask.sub(asked.masking[1], paragraph).split()[: asked.max_words]
        key = " ".join(re.findall("[a-z]+", " ".join(words).lower())[:8])
        if len(words) >= asked.min_words:
            found.setdefault(key, " ".join(words))
        if len(found) >= asked.enough:
            break
    return list(found.items())


def _in_a_process(asked: LibraryQuery) -> list[tuple[str, str]]:
    """`read` in another process; in this one where none can be had, which is slower and says the same."""
    question = json.dumps([str(asked.folder), *asked[1:]])
    try:
        done = subprocess.run(  # noqa: S603 - our own file, no shell
            [sys.executable, "-I", __file__], input=question, capture_output=True, check=True, encoding="utf-8"
        )
        return [(key, text) for key, text in json.loads(done.stdout)]
    except (OSError, ValueError, subprocess.SubprocessError):  # such as a Python inside another program
        return read(asked)


def _paragraphs(folder: Path) -> Iterator[str]:
    """First paragraphs of the package's docstrings, files in an order that mixes its sub-packages."""
    files = (path for path in folder.rglob("*.py") if "tests" not in path.parts and "_vendor" not in path.parts)
    names = {path.relative_to(folder).as_posix(): path for path in files}
    for name in sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest()):
        try:
            tree = ast.parse(names[name].read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError, ValueError):  # a template or a test of broken code
            continue
        for node in _documented(tree):
            paragraph = (ast.get_docstring(node) or "").strip().split("\n\n")[0]
            if paragraph.isascii() and ">>>" not in paragraph and "copyright" not in paragraph.lower():
                yield " ".join(paragraph.split())


def _documented(node: _Documented) -> Iterator[_Documented]:
    """The node and the classes and functions defined in it; expressions, nine tenths of a tree, are not looked at."""
    yield node
    for child in node.body:
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _documented(child)


if __name__ == "__main__":
    gc.disable()  # trees have no circles, and the collector goes through them for a quarter of the time
    folder, enough, min_words, max_words, (pattern, text) = json.load(sys.stdin)
    json.dump(read(LibraryQuery(Path(folder), enough, min_words, max_words, (pattern, text))), sys.stdout)
