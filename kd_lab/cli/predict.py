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

from kd_lab.cli.predict_cascade import measured_on_validation
from kd_lab.cli.predict_input import CHUNK, InputTexts, of_arguments, of_lines
from kd_lab.cli.predict_output import AnswerWriter, Writer, answer_columns, answer_file
from kd_lab.cli.predict_rows import PARQUET, ending
from kd_lab.cli.predict_screen import Screen, fits
from kd_lab.cli.predict_table import TEXT, Table
from kd_lab.core.errors import UserError
from kd_lab.models import saved_model
from kd_lab.serving.asked import check_threshold
from kd_lab.serving.cascade import Cascade
from kd_lab.serving.text_classifier import TextClassifier

_DESCRIPTION = """Classify texts with a model that a run saved or `kd-lab export` copied. On a terminal the answers are
a table; elsewhere they are tab-separated, and CSV with --csv or --out, with a header line. The other columns of a file
are kept. --probabilities adds a column for each class."""


def predict(arguments: Sequence[str]) -> int:
    """Answers every text, or none of those it cannot read.

    Returns:
        exit code: 0, or 130 where it was interrupted.

    Raises:
        UserError: the model, a text or an option is not one; of standard input, what stands before it is answered.
    """
    options = _parser().parse_args(arguments)
    _check(options)
    model = TextClassifier(model_folder(options.model), options.threads)
    answers = answer_columns(model.labels, options.probabilities, options.abstain is not None, model.multi_label)
    table = _table(options, answers) if options.csv else None
    second = TextClassifier(model_folder(options.ask), options.threads) if options.ask else None
    cascade, skipped = Cascade(model, options.abstain, second), 0
    models = [model] if second is None else [model, second]
    for one in models:
        one.need(pairs=bool(options.pair_column))
    columns = dict(zip(table.names, table.types, strict=True)) if table else dict.fromkeys([TEXT])
    try:
        with _writer(model, options, columns, answers) as writer:
            for chunk in _with_progress(table, options) if table else _asked(options):
                rows = chunk.asked
                texts = [chunk.texts[row] for row in rows]
                pairs = None if chunk.seconds is None else [chunk.seconds[row] for row in rows]
                writer.write(chunk, cascade.predict(texts, pairs, options.batch_size))
                skipped += len(chunk.texts) - len(rows)
    except BrokenPipeError:  # whoever read the answers has had enough, as head does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print("kd-lab predict: interrupted", file=sys.stderr)
        return 130
    for line in _told(options, cascade, skipped, table, models):
        print(line, file=sys.stderr)
    return 0


def _told(
    options: argparse.Namespace, cascade: Cascade, skipped: int, table: Table | None, models: Sequence[TextClassifier]
) -> Iterator[str]:
    """What is said of the answers, beside them."""
    for name, new in table.renamed.items() if table else ():
        yield f"{options.csv}: its column {name!r} is written as {new!r}"
    if skipped:
        rows = skipped + cascade.kept + cascade.left
        yield f"{skipped} of {rows} rows have no text: passed over, their label is empty"
    if options.abstain is not None:
        rest = f"asked of {options.ask}" if options.ask else "left to a human"
        rows = cascade.kept + cascade.left
        yield f"abstain below {options.abstain:g}: {cascade.kept} of {rows} rows kept, {cascade.left} {rest}"
        second = model_folder(options.ask) if options.ask else None
        if (found := measured_on_validation(model_folder(options.model), options.abstain, second)) is not None:
            yield found
    for one in models:
        if one.cut:
            yield f"warning: {one.cut} longer than {one.max_tokens} word pieces: their ends were not read"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("kd-lab predict", description=_DESCRIPTION)
    add = parser.add_argument
    add("texts", nargs="*", metavar="TEXT", help="what to classify; without any, lines of standard input")
    add("--model", type=Path, required=True, metavar="DIR", help="an exported model, or a cell's folder")
    text = "classify the rows of a file instead: CSV in UTF-8, .jsonl, either with .gz behind it, or .parquet"
    add("--csv", type=Path, metavar="FILE", help=text)
    add("--text-column", default="text", metavar="NAME", help="its column of texts (default text)")
    text = "its column of second texts; needed for a model of pairs, and only there"
    add("--pair-column", metavar="NAME", help=text)
    add("--skip-empty", action="store_true", help="pass over rows and lines without a text: their label is empty")
    add("--abstain", type=float, metavar="P", help="say no label that is less probable than this, e.g. 0.9")
    add("--ask", type=Path, metavar="DIR", help="another model of the same labels, which answers these rows")
    text = "write the answers there: .jsonl, .parquet, .tsv, else CSV; also .gz"
    add("--out", type=Path, metavar="FILE", help=text)
    add("--probabilities", action="store_true", help="the probability of every class too")
    add("--batch-size", type=int, default=32, metavar="N", help="texts in a forward pass (default 32)")
    add("--threads", type=int, metavar="N", help="that compute (default: all cores)")
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
        got, cure = str(options.batch_size), "Give a larger number."
        raise UserError("--batch-size", expected="at least 1", got=got, cure=cure)
    if options.abstain is not None:
        check_threshold(options.abstain, "--abstain")
    if options.ask and options.abstain is None:
        cure = "Say below which probability the other model is asked, e.g. --abstain 0.9."
        raise UserError("--ask", expected="--abstain P", got="none", cure=cure)
    if options.out:
        _check_out(options.out, options.csv)


def _check_out(out: Path, csv: Path | None) -> None:
    if out.exists() and not out.is_file():  # a device would be replaced by a file
        got = "a folder" if out.is_dir() else "something else"
        raise UserError(f"--out {out}", expected="a file", got=got, cure="Name a file.")
    if not (folder := out.parent).is_dir():
        cure = f"Make it: mkdir -p {shlex.quote(str(folder))}"
        raise UserError(f"--out, {folder}", expected="a folder", got="none", cure=cure)
    if csv and out.resolve() == csv.resolve():
        raise UserError(f"--out {out}", expected="another file than --csv", got="the same", cure="Rename it.")
    if out.suffix.lower() == ".gz" and ending(out) in PARQUET:
        cure = f"Name it {out.with_suffix('').name}."
        raise UserError(f"--out {out}", expected="Parquet, which is packed by itself", got=".gz behind it", cure=cure)


def _asked(options: argparse.Namespace) -> Iterator[InputTexts]:
    if options.texts:
        return of_arguments(options.texts, options.skip_empty)
    typed = sys.stdin.isatty()
    if typed:
        print("a text a line; Ctrl-D ends", file=sys.stderr)
    return of_lines(sys.stdin.buffer, 1 if typed else CHUNK, options.skip_empty)


def _table(options: argparse.Namespace, answers: Sequence[str]) -> Table:
    return Table(options.csv, options.text_column, options.pair_column, skip_empty=options.skip_empty, answers=answers)


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
def _writer(
    model: TextClassifier, options: argparse.Namespace, columns: dict[str, object], answers: Sequence[str]
) -> Iterator[AnswerWriter]:
    """Standard output; or a file that is there whole at the end, or not at all."""
    if options.out:
        with answer_file(options.out, columns, answers) as writer:
            yield writer
        return
    width = shutil.get_terminal_size().columns
    if sys.stdout.isatty() and fits(model.labels, options.probabilities, width, model.multi_label):
        yield Screen(sys.stdout, model.labels, options.probabilities, width, model.multi_label)
    else:
        yield Writer(sys.stdout, list(columns), answers, "," if options.csv else "\t")
    sys.stdout.flush()
