"""`kd-lab predict`: a saved model's answers to texts given as arguments, line by line, or in a CSV file."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO

from kd_lab.cli.predict_input import InputTexts, Table, of_arguments, of_lines
from kd_lab.cli.predict_output import Screen, Writer, fits
from kd_lab.core.drafts import atomic_file
from kd_lab.core.errors import UserError, disk_errors
from kd_lab.models import saved_model
from kd_lab.serving.text_classifier import TextClassifier

_DESCRIPTION = """Classify texts with a model that a run saved or `kd-lab export` copied. On a terminal the answers are
a table; elsewhere they are tab-separated, and CSV with --csv or --out, with a header line. --probabilities adds a
column for each class."""


def predict(arguments: Sequence[str]) -> int:
    """Answers every text, or none of those it cannot read.

    Returns:
        exit code: 0, or 130 where it was interrupted.

    Raises:
        UserError: the model, a text or an option is not one; of standard input, what stands before it is answered.
    """
    options = _parser().parse_args(arguments)
    _check(options)
    chunks = _asked(options)
    model = TextClassifier(model_folder(options.model), options.threads)
    model.need(pairs=bool(options.pair_column))
    try:
        with _out(options.out) as file:
            writer = _writer(file, model, options)
            for chunk in chunks:
                writer.write(chunk, *model.predict(chunk.texts, chunk.seconds, options.batch_size))
            file.flush()
    except BrokenPipeError:  # whoever read the answers has had enough, as head does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print("kd-lab predict: interrupted", file=sys.stderr)
        return 130
    if model.cut:
        print(
            f"warning: {model.cut} longer than {model.max_tokens} word pieces: their ends were not read",
            file=sys.stderr,
        )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("kd-lab predict", description=_DESCRIPTION)
    parser.add_argument(
        "texts", nargs="*", metavar="TEXT", help="what to classify; without any, lines of standard input"
    )
    parser.add_argument(
        "--model", type=Path, required=True, metavar="DIR", help="an exported model, or a cell's folder"
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="classify the rows of a CSV file in UTF-8 instead")
    parser.add_argument("--text-column", default="text", metavar="NAME", help="its column of texts (default text)")
    parser.add_argument(
        "--pair-column", metavar="NAME", help="its column of second texts; needed for a model of pairs, and only there"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the answers there, as CSV")
    parser.add_argument("--probabilities", action="store_true", help="the probability of every class too")
    parser.add_argument("--batch-size", type=int, default=32, metavar="N", help="texts in a forward pass (default 32)")
    parser.add_argument("--threads", type=int, metavar="N", help="that compute (default: all cores)")
    return parser


def _check(options: argparse.Namespace) -> None:
    """Refuses options that contradict each other, before the model is read."""
    if options.csv and options.texts:
        got = f"--csv {options.csv} and {len(options.texts)} texts"
        raise UserError("kd-lab predict", expected="texts or --csv", got=got, cure="Leave one of them out.")
    if options.pair_column and not options.csv:
        cure = "Put the pairs into a CSV file, and name it with --csv FILE."
        raise UserError("--pair-column", expected="--csv FILE", got="none", cure=cure)
    if options.batch_size < 1:
        raise UserError(
            "--batch-size", expected="at least 1", got=str(options.batch_size), cure="Give a larger number."
        )
    if options.out and options.out.exists() and not options.out.is_file():  # a device would be replaced by a file
        got = "a folder" if options.out.is_dir() else "something else"
        raise UserError(f"--out {options.out}", expected="a file", got=got, cure="Name a file.")
    if options.out and not (folder := options.out.parent).is_dir():
        cure = f"Make it: mkdir -p {shlex.quote(str(folder))}"
        raise UserError(f"--out, {folder}", expected="a folder", got="none", cure=cure)
    if options.out and options.csv and options.out.resolve() == options.csv.resolve():
        raise UserError(f"--out {options.out}", expected="another file than --csv", got="the same", cure="Rename it.")


def _asked(options: argparse.Namespace) -> Iterator[InputTexts]:
    if options.csv:
        return _with_progress(Table(options.csv, options.text_column, options.pair_column), options)
    if options.texts:
        return of_arguments(options.texts)
    lines: BinaryIO = sys.stdin.buffer
    if sys.stdin.isatty():
        print("a text a line; Ctrl-D ends", file=sys.stderr)
        return of_lines(lines, 1)
    return of_lines(lines)


def _with_progress(table: Table, options: argparse.Namespace) -> Iterator[InputTexts]:
    """The table's rows, with a bar on stderr unless the answers appear on the same terminal."""
    if not options.out and sys.stdout.isatty():
        yield from table.chunks()
        return
    from kd_lab.core.progress import step  # rich takes a while to import

    with step(f"predict {options.csv}, rows", table.rows) as advance:
        for chunk in table.chunks():
            yield chunk
            advance(len(chunk.texts))


def model_folder(model: Path) -> Path:
    """The model's folder; a cell has it within."""
    inner = model / "model"
    return inner if not (model / saved_model.CARD).is_file() and inner.is_dir() else model


@contextmanager
def _out(path: Path | None) -> Iterator[TextIO]:
    """Standard output; or a file that is there whole at the end, or not at all."""
    if path is None:
        yield sys.stdout
        return
    with disk_errors(path.parent), atomic_file(path) as file:
        yield file


def _writer(file: TextIO, model: TextClassifier, options: argparse.Namespace) -> Writer | Screen:
    width = shutil.get_terminal_size().columns
    if not options.out and sys.stdout.isatty() and fits(model.labels, options.probabilities, width):
        return Screen(file, model.labels, options.probabilities, width)
    separator = "," if options.csv or options.out else "\t"
    return Writer(file, model.labels, bool(options.pair_column), options.probabilities, separator)
