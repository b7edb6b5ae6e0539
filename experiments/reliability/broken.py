"""Files that are nearly sound, made by hypothesis: bytes changed, trees of JSON changed, tables changed."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

ODD: Sequence[Any] = (
    None, True, -1, 0, 1, 3, 2**20, 2**31, 2**40, 2**63, 10**30, 0.5, 1e308, float("nan"), float("-inf"), "", "x", "\0",
    "\ud800", "../../../../etc/passwd", "é" * 300, [], {}, [[]], {"a": {}}, [None], ["x", 1], [2**31, 2**31],
)  # fmt: skip
WORDS = ("cat", "dog", "rain", "snow", "wind", "we saw", "a lot of")


def any_bytes(sound: bytes) -> SearchStrategy[bytes]:
    """The file with its bytes changed: cut, flipped, in another encoding, with marks and NULs, or none of it."""
    text = sound.decode("latin-1")
    marks = [
        b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\0", b"\0" * 4096, b"\x80\x81", b"\x1f\x8b\x08\0", b"PK\x03\x04",
    ]  # fmt: skip
    place = st.integers(0, max(len(sound) - 1, 0))
    return st.one_of(
        st.just(b""),
        st.binary(max_size=300),
        st.builds(lambda end: sound[:end], place),
        st.builds(
            lambda at, byte: sound[:at] + bytes([sound[at] ^ byte]) + sound[at + 1 :], place, st.integers(1, 255)
        ),
        st.builds(lambda at, mark: sound[:at] + mark + sound[at:], place, st.sampled_from(marks)),
        st.builds(lambda mark: mark + sound, st.sampled_from(marks)),
        st.builds(lambda at, end: sound[: min(at, end)] + sound[max(at, end) :], place, place),
        st.sampled_from(
            [text.encode("utf-16"), text.encode("utf-32"), sound * 2, bytes(len(sound)), b"\r".join(sound.split())]
        ),
    )


def any_json(sound: bytes, also: Sequence[bytes] = ()) -> SearchStrategy[bytes]:
    """The JSON with a value changed, left out, given twice or nested very deep; or its bytes changed."""
    tree = json.loads(sound)
    texts = [b"[" * 200_000, b'{"a":' * 50_000, b"null", b"3", b'"text"', b"[]", b"{}", b"NaN", b"1" * 5000, *also]
    return st.one_of(changed(tree).map(dumped), any_bytes(sound), st.sampled_from(texts), twice(tree))


def dumped(tree: Any) -> bytes:
    """As JSON, NaN and halves of surrogate pairs as they are."""
    return json.dumps(tree).encode()


def changed(tree: Any, odd: Sequence[Any] = ODD) -> SearchStrategy[Any]:
    """The tree with one to three places changed to something odd, or left out."""
    paths = list(_paths(tree))

    @st.composite
    def draw_one(draw: DrawFn) -> Any:
        found = json.loads(json.dumps(tree))
        for path in draw(st.lists(st.sampled_from(paths), min_size=1, max_size=3)):
            found = _put(found, path, draw(st.sampled_from([*odd, _LEFT_OUT])))
        return found

    return draw_one()


_LEFT_OUT = object()


def _paths(tree: Any, path: tuple[Any, ...] = ()) -> Any:
    children = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    if path:
        yield path
    for key, value in children:
        yield from _paths(value, (*path, key))


def _put(tree: Any, path: tuple[Any, ...], value: Any) -> Any:
    place = tree
    with suppress(TypeError, KeyError, IndexError):  # an earlier change took it away
        for key in path[:-1]:
            place = place[key]
        if value is _LEFT_OUT:
            del place[path[-1]]
        else:
            place[path[-1]] = value
    return tree


def twice(tree: Any) -> SearchStrategy[bytes]:
    """An object with one of its keys given again, with another value."""
    keys = sorted(tree) if isinstance(tree, dict) and tree else ["a"]
    told = json.dumps(tree)[:-1]
    return st.builds(
        lambda key, value: f"{told}, {json.dumps(key)}: {json.dumps(value)}}}".encode(),
        st.sampled_from(keys),
        st.sampled_from(ODD),
    )


def any_table(sound: bytes, cells: Sequence[str] = ()) -> SearchStrategy[bytes]:
    """The CSV with cells, rows, its header, quotes and line ends changed; or its bytes changed."""
    rows = [line.split(",") for line in sound.decode().splitlines()]
    odd = [
        "", " ", '"', '"open', "a,b", "\0", "\r", "\n", "1", "-0", "nan", "NONE", "\ufeff",
        "x" * 10_000_000, "9" * 5000,
    ]  # fmt: skip

    @st.composite
    def draw_one(draw: DrawFn) -> bytes:
        found = [list(row) for row in rows]
        for _ in range(draw(st.integers(1, 3))):
            row = found[draw(st.sampled_from([0, 0, *range(len(found))]))] or [""]
            at = draw(st.integers(0, len(row) - 1))
            kind = draw(st.sampled_from(["cell", "cell", "copy", "drop", "more"]))
            if kind == "cell":
                row[at] = draw(st.sampled_from([*odd, *cells]))
            elif kind == "copy":
                row[at] = row[0]
            elif kind == "drop":
                del row[at]
            else:
                row.append("more")
        ends = draw(st.sampled_from(["\n", "\n", "\r\n", "\r", "\n\n", "\0\n"]))
        comma = draw(st.sampled_from([",", ",", ",", ";", "\t", "|", " "]))
        encoding = draw(st.sampled_from(["utf-8", "utf-8", "utf-16", "utf-8-sig"]))
        return ends.join(comma.join(row) for row in found).encode(encoding)

    return st.one_of(draw_one(), draw_one(), any_bytes(sound))


def any_parquet(sound: bytes) -> SearchStrategy[bytes]:
    """Parquet with columns of all kinds, none, few or many rows, names twice or missing; or its bytes changed."""
    n = 40
    texts, labels = [f"{WORDS[i % 7]} {i}" for i in range(n)], ["ab"[i % 2] for i in range(n)]
    columns = [
        pa.array(texts), pa.array(labels), pa.array([i % 2 for i in range(n)]), pa.array([i % 3 - 1 for i in range(n)]),
        pa.array([float(i % 2) for i in range(n)]), pa.array([float("nan")] * n), pa.nulls(n), pa.array([None, *texts[1:]]),  # noqa: E501
        pa.array([[label] for label in labels]), pa.array([{"a": label} for label in labels]), pa.array([b"\xff\xfe"] * n),  # noqa: E501
        pa.array([[("k", "v")]] * n, pa.map_(pa.string(), pa.string())), pa.array(texts).dictionary_encode(),
        pa.array(labels).dictionary_encode(), pa.array([i % 2 == 0 for i in range(n)]), pa.array(texts, pa.large_string()),  # noqa: E501
        pa.array([i % 2 for i in range(n)], pa.timestamp("ns")), pa.array([i % 2 for i in range(n)], pa.uint64()),
        pa.array([2**63 + i % 2 for i in range(n)], pa.uint64()), pa.array(["", *texts[1:]]), pa.array(["a\0b"] * n),
    ]  # fmt: skip
    label, text = {"names": ["no", "yes"], "_type": "ClassLabel"}, {"dtype": "string", "_type": "Value"}
    hints = [
        None, json.dumps({"info": {"features": {"label": label, "text": text}}}).encode(), b"{", b"[]",
        b'{"info": {"features": {"label": {"_type": "Nothing"}}}}', b'{"info": 3}',
    ]  # fmt: skip
    odd = [["text", "text"], ["label"], ["", "label"], ["Text", "label"], ["text", "label", "label"]]

    @st.composite
    def draw_one(draw: DrawFn) -> bytes:
        names = draw(st.sampled_from([["text", "label"]] * 6 + odd))
        arrays = [draw(st.sampled_from(columns)) for _ in names]
        if draw(st.booleans()) and names[:1] == ["text"]:
            arrays[0] = columns[0]
        table = pa.Table.from_arrays(arrays, names).slice(0, draw(st.sampled_from([0, 1, 2, n, n])))
        hint = draw(st.sampled_from(hints))
        file = io.BytesIO()
        pa.parquet.write_table(table.replace_schema_metadata({b"huggingface": hint} if hint else None), file)
        return file.getvalue()

    return st.one_of(draw_one(), draw_one(), any_bytes(sound))


def any_safetensors(sound: bytes) -> SearchStrategy[bytes]:
    """Weights whose header lies: its length, offsets, shapes, types or names; or with bytes changed."""
    size = struct.unpack("<Q", sound[:8])[0]
    header, body = json.loads(sound[8 : 8 + size]), sound[8 + size :]
    odd = [*ODD, "F16", "F64", "I64", "BOOL", "F8", [0], [2**62, 2**62], [-1, 4], [8, 0], [0, 2**63]]
    lengths = [0, 1, 7, size - 1, size + 1, len(sound), len(sound) + 1, 2**20, 100_000_001, 2**30, 2**63, 2**64 - 1]

    def packed(text: bytes, length: int | None = None, rest: bytes = body) -> bytes:
        return struct.pack("<Q", len(text) if length is None else length) + text + rest

    shapes = [path for path in _paths(header) if len(path) == 2 and path[-1] in ("shape", "dtype")]
    return st.one_of(
        changed(header, odd).map(lambda tree: packed(dumped(tree))),
        any_json(sound[8 : 8 + size]).map(packed),
        st.sampled_from(lengths).map(lambda length: packed(sound[8 : 8 + size], length)),
        st.builds(
            lambda path, value: packed(dumped(_put(json.loads(json.dumps(header)), path, value))),
            st.sampled_from(shapes),
            st.sampled_from(odd),
        ),
        any_bytes(sound),
    )


def any_onnx(sound: bytes) -> SearchStrategy[bytes]:
    """A graph with unknown operators, wrong shapes, missing weights, or weights outside of the folder."""

    @st.composite
    def draw_one(draw: DrawFn) -> bytes:
        model = onnx.load_model_from_string(sound)
        graph = model.graph
        for _ in range(draw(st.integers(1, 2))):
            kinds = ["op", "outside", "dims", "type", "drop", "input", "version", "loop", "output", "dtype"]
            kind = draw(st.sampled_from(kinds))
            tensor, node = draw(st.sampled_from(list(graph.initializer))), draw(st.sampled_from(list(graph.node)))
            if kind == "op":
                node.op_type = draw(st.sampled_from(["NoSuchOp", "", "Identity", "Gather", "MatMul"]))
            elif kind == "outside":
                tensor.ClearField("raw_data")
                tensor.data_location = onnx.TensorProto.EXTERNAL
                place = draw(st.sampled_from(["../../../../etc/passwd", "/etc/passwd", "none.bin", ""]))
                tensor.external_data.add(key="location", value=place)
                tensor.external_data.add(key="length", value=str(tensor.dims[0] * 4))
            elif kind == "dims":
                tensor.dims[0] = draw(st.sampled_from([-1, 0, 1, 2**40, 2**62]))
            elif kind == "type":
                tensor.data_type = draw(st.sampled_from([0, 2, 7, 8, 99]))
            elif kind == "drop":
                graph.initializer.remove(tensor)
                break
            elif kind == "input" and node.input:
                node.input[0] = draw(st.sampled_from(["nothing", "", graph.output[0].name]))
            elif kind == "version":
                model.opset_import[0].version = draw(st.sampled_from([0, -1, 9999]))
            elif kind == "loop":
                node.output[0] = graph.input[0].name
            elif kind == "output":
                graph.output[0].name = draw(st.sampled_from(["logits2", "", "input_ids"]))
            elif kind == "dtype":
                graph.input[0].type.tensor_type.elem_type = draw(st.sampled_from([0, 1, 6, 8, 99]))
        return bytes(model.SerializeToString())

    return st.one_of(draw_one(), draw_one(), any_bytes(sound))


def any_npz(sound: bytes) -> SearchStrategy[bytes]:
    """Arrays of other types and shapes, pickled objects, headers that promise terabytes; or bytes changed."""
    ints = np.arange(4)
    arrays = [
        ints, ints.astype(np.int8), ints[:3], ints[:, None], ints.astype(float), np.array(["a"] * 4),
        np.array([{}, 1, 2, 3], object), np.array(3), ints[:0], -ints, ints + 2**40, ints.astype("datetime64[s]"),
        ints * 1j, np.zeros(4, bool),
    ]  # fmt: skip

    def archive(labels: Any, predictions: Any, name: str) -> bytes:
        file = io.BytesIO()
        np.savez(file, **{name: labels, "predictions": predictions})
        return file.getvalue()

    def lone(array: Any) -> bytes:
        file = io.BytesIO()
        np.save(file, array, allow_pickle=True)
        return file.getvalue()

    array = st.sampled_from(arrays)
    huge = lone(ints).replace(b"(4,), }        ", b"(9999999999,), ", 1)
    return st.one_of(
        st.builds(archive, array, array, st.sampled_from(["labels", "labels", "label"])),
        array.map(lone),
        st.just(zipped({"labels.npy": huge, "predictions.npy": huge})),
        any_bytes(sound),
    )


def zipped(files: dict[str, bytes]) -> bytes:
    """A zip archive."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def any_tokenizer(sound: bytes) -> SearchStrategy[bytes]:
    """A tokenizer.json of unknown parts, with a normalizer that blows texts up, pieces without end; or changed."""
    tree = json.loads(sound)

    def with_parts(**parts: Any) -> bytes:
        return dumped({**tree, **parts})

    grow = {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 1000}
    nested: dict[str, Any] = {"type": "Lowercase"}
    for _ in range(100):
        nested = {"type": "Sequence", "normalizers": [nested]}
    pieces = [
        {**tree["added_tokens"][0], "content": "y" * 1_000_000, "id": 9},
        *({**tree["added_tokens"][0], "content": f"t{n}", "id": 10 + n} for n in range(2000)),
    ]
    empty = [{**tree["added_tokens"][0], "content": ""}]
    vocab = tree["model"]["vocab"]
    hostile = [
        with_parts(normalizer={"type": "Sequence", "normalizers": [grow] * 6}),
        with_parts(normalizer={"type": "Replace", "pattern": {"Regex": ""}, "content": "ab" * 500_000}),
        with_parts(normalizer={"type": "Replace", "pattern": {"Regex": "("}, "content": ""}),
        with_parts(normalizer={"type": "Prepend", "prepend": "z" * 3_000_000}),
        with_parts(normalizer=nested),
        with_parts(normalizer={"type": "Precompiled", "precompiled_charsmap": "AAAA"}),
        with_parts(added_tokens=pieces),
        with_parts(added_tokens=empty),
        with_parts(model={"type": "Unigram", "unk_id": 5, "vocab": []}),
        with_parts(model={"type": "Unigram", "unk_id": None, "vocab": [["a", -1.0]]}),
        with_parts(model={"type": "BPE", "vocab": vocab, "merges": ["cat dog", "x y"]}),
        with_parts(model={"type": "BPE", "vocab": vocab, "merges": []}),
        with_parts(model={"type": "WordLevel", "vocab": {"cat": 4_000_000_000}, "unk_token": "none"}),
        with_parts(model={**tree["model"], "vocab": {name: number * 10**6 for name, number in vocab.items()}}),
        with_parts(model={**tree["model"], "unk_token": "no such piece"}),
        with_parts(model={**tree["model"], "vocab": {}}),
        with_parts(pre_tokenizer={"type": "Split", "pattern": {"Regex": "(a*)*b"}, "behavior": "Isolated", "invert": False}),  # noqa: E501
        with_parts(post_processor={"type": "BertProcessing", "sep": ["no", 10**6], "cls": ["no", 10**6]}),
        with_parts(post_processor={"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 9}}] * 300, "pair": [], "special_tokens": {}}),  # noqa: E501
        with_parts(post_processor=None, pre_tokenizer=None, normalizer=None),
        with_parts(version="99.0"),
    ]  # fmt: skip
    return st.one_of(st.sampled_from(hostile), any_json(sound), changed(tree).map(dumped))


def any_lines(sound: bytes) -> SearchStrategy[bytes]:
    """Standard input that is no text a line."""
    odd = [
        b"\n", b" \n", b"cat\0dog\n", b"\xff\n", b"\xed\xa0\x80\n", b"\xff\xfec\0a\0t\0\n\0", b"cat\rdog",
        b"x " * 9_000_000,
    ]  # fmt: skip
    return st.one_of(st.lists(st.sampled_from([sound, *odd]), max_size=4).map(b"".join), any_bytes(sound))


Broken = Callable[[bytes], SearchStrategy[bytes]]
