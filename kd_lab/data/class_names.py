"""The classes that a file of the hub names in its own description of the column of labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kd_lab.core.errors import UserError
from kd_lab.core.reading import reading
from kd_lab.data.dataset import UNLABELLED

if TYPE_CHECKING:
    import pyarrow as pa


def class_names(label: pa.Field, metadata: Mapping[bytes, bytes] | None, where: str) -> tuple[str, ...] | None:
    """The names by number, or None where the file has no such description.

    Raises:
        UserError: the description cannot be read.
    """
    import datasets
    import pyarrow as pa

    cure = "Write the file again, e.g. with pandas, which leaves that description out."
    with reading(where, expected="a description of columns as the library datasets writes it", cure=cure):
        feature = datasets.Features.from_arrow_schema(pa.schema([label], metadata)).get(label.name)
    kind = label.type
    if is_list(kind):  # of several labels a row
        feature, kind = getattr(feature, "feature", None), kind.value_type
    if not (isinstance(feature, datasets.ClassLabel) and pa.types.is_integer(kind)):
        return None
    return tuple(feature.names)


def with_names(label: Any, names: Sequence[str], where: str) -> Any:
    """A number, or a list of numbers, as the names that they stand for; None where there is no label.

    Raises:
        UserError: a number has no name.
    """
    if isinstance(label, list | tuple | np.ndarray):
        return [with_names(one, names, where) for one in label]
    if label is None or label == UNLABELLED:
        return None
    if not 0 <= label < len(names):
        expected = f"labels below {len(names)}, as the file names that many classes"
        cure = "Write the file again with all names, or without."
        raise UserError(where, expected=expected, got=str(label), cure=cure)
    return names[label]


def is_list(kind: pa.DataType) -> bool:
    """Whether a column of Arrow holds lists."""
    import pyarrow as pa

    return any(getattr(pa.types, test)(kind) for test in ("is_list", "is_large_list", "is_fixed_size_list"))
