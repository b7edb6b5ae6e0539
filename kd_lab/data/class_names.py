"""The classes that a file of the hub names in its own description of the column of labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from kd_lab.core.reading import reading

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
    if not (isinstance(feature, datasets.ClassLabel) and pa.types.is_integer(label.type)):
        return None
    return tuple(feature.names)
