"""An option as one types it: quoted for Hydra where its grammar needs that, and for the shell."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

_PLAIN = re.compile(r"[A-Za-z_][\w.]*|[\w./-]*/[\w./-]*[A-Za-z_.][\w./-]*", re.ASCII)  # words and paths
_TAKEN = {"null", "true", "false", "nan", "inf"}  # words that Hydra takes for something else


def hydra_text(text: str) -> str:
    """The text as Hydra's grammar reads it: as it is where that is a word or a path, else in single quotes.

    A backslash stands for itself but before a quote, where it is written twice.
    """
    if _PLAIN.fullmatch(text) and text.lower() not in _TAKEN:
        return text
    quoted = re.sub(r"(\\*)'", r"\1\1\\'", text)
    return f"'{quoted}{quoted[len(quoted.rstrip(chr(92))) :]}'"


def shell_override(option: str, value: str | Sequence[str]) -> str:
    """`option=value` as one types it in a shell, the value a text or a list of texts."""
    told = hydra_text(value) if isinstance(value, str) else f"[{','.join(map(hydra_text, value))}]"
    return shlex.quote(f"{option}={told}")
