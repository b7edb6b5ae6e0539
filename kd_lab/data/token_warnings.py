"""What is said of word pieces before anything is learned from them: texts that are cut, words that are not known."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

import numpy as np
import tokenizers

from kd_lab.data.dataset import Split
from kd_lab.data.tokenizer import TokenizerBase
from kd_lab.data.tokenizer_file import read_tokenizer

CUT, UNKNOWN, IN_LETTERS = 0.01, 0.02, 0.1  # shares from which each is said: of rows, of pieces, of words
_EVERY, _FEWEST, _MOST = 80, 50, 500  # one row of so many is looked at, but these at least and at most
_LONGEST = 3  # texts, by letters, that are measured too: those that decide what would take all
_LETTERS = 1000  # of a text in which words are looked at
_WORD = 3  # letters from which a word may be said to fall into letters
_UNKNOWN_PIECES = ("[UNK]", "<unk>")
_CURE = "tokenizer.checkpoint.path=FOLDER reads with the tokenizer of a checkpoint for these texts"


def token_warnings(
    tokenizer: TokenizerBase, splits: Mapping[str, Split], lengths: Mapping[str, np.ndarray]
) -> list[str]:
    """A line on rows that are cut at max_tokens, and one on words that the tokenizer does not know.

    Both come of a sample, so that they cost a twentieth of what tokenising costs, at most.

    Args:
        lengths: split -> (N,) pieces of each row, as they were cut.
    """
    own = getattr(tokenizer, "_pieces", None)  # read already, where it is one of ours
    pieces = own if own is not None else read_tokenizer(tokenizer.path, expected="a fast tokenizer", cure="")
    return [*_cut(pieces, tokenizer.max_tokens, splits, lengths), *_unknown(pieces, splits["train"])]


def _cut(
    pieces: tokenizers.Tokenizer, max_tokens: int, splits: Mapping[str, Split], lengths: Mapping[str, np.ndarray]
) -> Iterator[str]:
    full = {name: np.flatnonzero(lengths[name] >= max_tokens) for name in splits}
    number, rows = sum(map(len, full.values())), sum(map(len, lengths.values()))
    if number < CUT * rows or not number:
        return
    some = _sample(number, _size(rows) // 2)
    by_letters = np.concatenate([_letters(split.take(full[name])) for name, split in splits.items()])
    longest = np.argsort(-by_letters, kind="stable")[:_LONGEST]
    measured = _lengths(pieces, list(_rows(splits, full, [*some.tolist(), *longest.tolist()])))
    sampled = measured[: len(some)]
    share = number * float((sampled > max_tokens).mean()) / rows
    if share < CUT:  # they fit, to the last piece
        return
    exactly = "" if len(some) == number else "about "
    nine = int(np.quantile(sampled[sampled > max_tokens], 0.9, method="higher"))
    most = int(measured.max())
    ninth = f", {nine} nine in ten of them" if nine < most else ""
    yield (
        f"{exactly}{100 * share:.0f} % of {rows:,} texts are longer than tokenizer.max_tokens={max_tokens} and are cut;"
        f" tokenizer.max_tokens={most} would take them all{ninth}, where the model has as many positions"
    )


def _letters(split: Split) -> np.ndarray:
    """(N,) letters of each row."""
    letters = np.fromiter(map(len, split.texts), np.int64, len(split.texts))
    return letters if split.pairs is None else letters + np.fromiter(map(len, split.pairs), np.int64, len(split.pairs))


def _rows(
    splits: Mapping[str, Split], among: Mapping[str, np.ndarray], places: Sequence[int]
) -> Iterator[tuple[Split, int]]:
    """The rows at these places of those that are named, a split behind the other."""
    ends = np.cumsum([len(among[name]) for name in splits])
    names = list(splits)
    for place in places:
        which = int(np.searchsorted(ends, place, side="right"))
        name = names[which]
        yield splits[name], int(among[name][place - ends[which]])


def _lengths(pieces: tokenizers.Tokenizer, rows: Sequence[tuple[Split, int]]) -> np.ndarray:
    """(N,) pieces of rows that are not cut."""
    texts = [part for split, row in rows for part in (split.texts[row], *([split.pairs[row]] if split.pairs else ()))]
    in_pairs = len(texts) > len(rows)
    frame, alone = pieces.num_special_tokens_to_add(in_pairs), pieces.num_special_tokens_to_add(False)
    encoded = pieces.encode_batch(texts)
    own = np.array([sum(len(part) - alone for part in (one, *one.overflowing)) for one in encoded])
    whole: np.ndarray = frame + own.reshape(len(rows), -1).sum(axis=1)
    return whole


def _unknown(pieces: tokenizers.Tokenizer, train: Split) -> Iterator[str]:
    texts = [train.texts[row][:_LETTERS] for row in _sample(len(train.texts), _size(len(train.texts)))]
    unknown = {pieces.token_to_id(name) for name in _UNKNOWN_PIECES} - {None}
    frame = pieces.num_special_tokens_to_add(False)
    number = missing = words = in_letters = 0
    for text, encoding in zip(texts, pieces.encode_batch(texts), strict=True):
        number += len(encoding) - frame
        missing += sum(one in unknown for one in encoding.ids)
        for letters, parts in _words(text, encoding):
            words += 1
            in_letters += parts >= letters
    told = []
    if missing >= UNKNOWN * max(number, 1):
        told.append(f"{100 * missing / number:.0f} % of the pieces of train stand for something unknown ([UNK])")
    if in_letters >= IN_LETTERS * max(words, 1):
        told.append(f"{100 * in_letters / words:.0f} % of its words fall into single letters")
    if told:
        yield f"the tokenizer knows these texts badly: about {' and about '.join(told)}; {_CURE}"


def _words(text: str, encoding: tokenizers.Encoding) -> Iterator[tuple[int, int]]:
    """(letters, pieces) of each word of letters alone that is known and has `_WORD` letters at least."""
    places = zip(encoding.word_ids, encoding.offsets, encoding.tokens, strict=True)
    for word, group in groupby(places, key=lambda place: place[0]):
        if word is None:
            continue
        parts = list(group)
        letters = text[parts[0][1][0] : parts[-1][1][1]].strip()
        known = parts[0][2] not in _UNKNOWN_PIECES
        if known and len(letters) >= _WORD and all(unicodedata.category(letter)[0] in "LM" for letter in letters):
            yield len(letters), len(parts)


def _size(rows: int) -> int:
    return min(rows, max(_FEWEST, min(_MOST, rows // _EVERY)))


def _sample(rows: int, number: int) -> np.ndarray:
    """That many of the rows, ascending, the same each time."""
    return np.sort(np.random.default_rng(0).permutation(rows)[:number])
