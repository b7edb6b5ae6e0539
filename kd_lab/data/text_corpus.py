"""Text to pre-train on, some at a time: files of any length, or a data set of the hub that is streamed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from kd_lab.core.errors import UserError
from kd_lab.core.option_types import Encoding, NonEmpty, PathName, Rows, ShareBetween
from kd_lab.data import transfer_file
from kd_lab.data.hub_revision import commit as commit_of
from kd_lab.data.transfer_rows import columns_in_chunks, texts_of

_PIECE = 1024  # texts of the hub that are read at a time


@dataclass(frozen=True)
class TextCorpus:
    """Texts without labels, of which memory never holds more than a few thousand.

    Args:
        path: a file or a pattern such as `wiki/*.parquet`, looked in first: a text a line, CSV, JSON Lines or Parquet.
        held_out_path: the same for texts that are only judged; None carves them out.
        hub_id: the data set on the hub, streamed where `path` names no file.
        config: its configuration there.
        revision: a commit, tag or branch there.
        split, held_out_split: its splits there; a `held_out_split` of None carves.
        text_column: of files that have columns, and of the hub's.
        encoding: of files of text; byte order marks are known.
        unknown_word: what the texts write for a word that was taken out, such as `<unk>`: it is read as the tokenizer's
            unknown piece, and never masked.
        held_out: share of the texts that is carved out: every so manieth, the first among them.
        held_out_rows: rows that are judged at most; texts beyond these are learned from where they were carved.
        limit: texts that are read at most, the first; None reads all.
        name: what results call it.
    """

    path: PathName | None = None
    held_out_path: PathName | None = None
    hub_id: NonEmpty | None = None
    config: NonEmpty | None = None
    revision: NonEmpty = "main"
    split: NonEmpty = "train"
    held_out_split: NonEmpty | None = None
    text_column: NonEmpty = "text"
    encoding: Encoding = "utf-8"
    unknown_word: NonEmpty | None = None
    held_out: ShareBetween = 0.01
    held_out_rows: Rows = 500
    limit: Rows | None = None
    name: NonEmpty = "text"

    def __post_init__(self) -> None:
        if self.path is None and self.hub_id is None:
            cure = "Give one, e.g. corpus=text corpus.path=FILE."
            raise UserError("corpus", expected="corpus.path or corpus.hub_id", got="neither", cure=cure)

    def fingerprint_parts(self) -> dict[str, Any]:
        """The files by their content, or the hub's data set with its commit; and how they are read."""
        said = {"path", "held_out_path", "hub_id", "config", "revision", "split", "held_out_split", "name"}
        told = {name: value for name, value in vars(self).items() if name not in said}
        return {**told, "source": self._source(), "held_out_source": self._held_out_source()}

    def train(self) -> Iterator[list[str]]:
        """The texts that are learned from, and those that are carved out of them, a few thousand at a time.

        Raises:
            UserError: there are no such files, one cannot be read, or the hub's data set is not to be had.
        """
        left = self.limit
        for texts in self._texts(self._local(self.path, "corpus.path"), self.split, "corpus.path"):
            yield texts[:left]
            left = None if left is None else left - len(texts)
            if left is not None and left <= 0:
                return

    def held_out_texts(self) -> Iterator[list[str]] | None:
        """The texts that are only judged, where they lie apart; None where they are to be carved.

        Raises:
            UserError: as `train`.
        """
        if self.held_out_path is None and (self.held_out_split is None or self._local(self.path, "corpus.path")):
            return None
        return self._texts(self._held_out(), self.held_out_split or self.split, "corpus.held_out_path")

    def commit(self) -> str | None:
        """The commit that it is read at; None where it does not come from the hub, or is not to be had."""
        if self._local(self.path, "corpus.path"):
            return None
        return commit_of("dataset", str(self.hub_id), self.revision)

    def _source(self) -> Any:
        found = self._local(self.path, "corpus.path")
        if found:
            return transfer_file.identity(found)
        commit = self.commit() or self.revision
        return {"hub_id": self.hub_id, "config": self.config, "split": self.split, "commit": commit}

    def _held_out_source(self) -> Any:
        if found := self._held_out():
            return transfer_file.identity(found)
        if not self._local(self.path, "corpus.path"):
            return self.held_out_split
        if self.held_out_path is None:  # carved out of the files
            return []
        return [self.held_out_split, commit_of("dataset", str(self.hub_id), self.revision) or self.revision]

    def _held_out(self) -> list[Path]:
        """The files of `held_out_path`; none where it is not given, or the hub has another split to judge by."""
        return self._local(self.held_out_path, "corpus.held_out_path", or_hub=self.held_out_split is not None)

    def _local(self, path: str | None, where: str, *, or_hub: bool = True) -> list[Path]:
        """The files that `path` names; none where there are none and the hub is asked instead."""
        if path is None:
            return []
        try:
            return transfer_file.files(path)
        except UserError as error:
            if or_hub and self.hub_id is not None and not Path(path).expanduser().is_dir():
                return []
            raise _of_the_corpus(error, transfer_file.OPTION, where) from error

    def _texts(self, found: list[Path], split: str, where: str) -> Iterator[list[str]]:
        if not found:
            yield from self._from_hub(split)
        for one in found:
            ending = transfer_file.ending(one)
            try:
                for (texts,) in columns_in_chunks(one, ending, [self.text_column], self.encoding, f"{where} {one}"):
                    yield texts
            except UserError as error:
                raise _of_the_corpus(error, transfer_file.OPTION, where) from error

    def _from_hub(self, split: str) -> Iterator[list[str]]:
        import datasets

        revision = commit_of("dataset", str(self.hub_id), self.revision) or self.revision
        try:
            rows = datasets.load_dataset(self.hub_id, self.config, split=split, revision=revision, streaming=True)
            there: Mapping[str, Any] = next(iter(rows), {})
            if self.text_column not in there:
                cure = "Name it: corpus.text_column=NAME."
                got = ", ".join(map(repr, there)) or "no row"
                expected = f"a column {self.text_column!r}"
                raise UserError(f"corpus.hub_id {self.hub_id}", expected=expected, got=got, cure=cure)
            texts = iter(rows.select_columns([self.text_column]))
            while read := [row[self.text_column] for row in islice(texts, _PIECE)]:
                yield texts_of(read, f"corpus.hub_id {self.hub_id}, column {self.text_column!r}")
        except UserError:
            raise
        except Exception as error:  # the hub's client raises a dozen kinds for "not to be had"
            got = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            cure = "Go online, choose its corpus.config and corpus.split, or name files: corpus=text corpus.path=FILES."
            raise UserError(
                f"corpus.hub_id {self.hub_id}", expected=f"its split {split!r} on the hub", got=got, cure=cure
            ) from error


def _of_the_corpus(error: UserError, old: str, new: str) -> UserError:
    """The mistake as the corpus's options are called."""
    cure = error.cure.replace(old, new)
    if "dataset.text_column" in cure:
        cure = "Name it: corpus.text_column=NAME."
    cure = cure.replace("dataset.encoding", "corpus.encoding")
    return UserError(error.where.replace(old, new), expected=error.expected, got=error.got, cure=cure)
