"""Which commit of the Hugging Face hub a branch or tag stands for: "main" keeps its name when its content changes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Literal

Kind = Literal["dataset", "model"]
_COMMIT = re.compile(r"[0-9a-f]{40}")
_WAIT_S = 10  # for the hub's answer
_asked: dict[str, str | None] = {}  # "kind repository@revision" -> commit, since `forget`


def commit(kind: Kind, repository: str, revision: str) -> str | None:
    """The commit, 40 hex digits, asked once a process: of the hub, or offline of what was fetched from it before.

    Args:
        kind: of repository.
        repository: such as `google-bert/bert-base-uncased`.
        revision: a branch, a tag or a commit.

    Returns:
        None where neither knows it: then its content is not to be had either.
    """
    found = revision if _COMMIT.fullmatch(revision) else _resolved(kind, repository, revision)
    _asked[f"{kind} {repository}@{revision}"] = found
    return found


def asked() -> dict[str, str | None]:
    """`kind repository@revision` -> commit, of all that was asked since `forget`."""
    return dict(_asked)


def forget() -> None:
    """What was asked so far is no part of what follows."""
    _asked.clear()


def unchanged(question: str, answer: str | None) -> bool:
    """Whether an entry of `asked` still holds."""
    kind, _, rest = question.partition(" ")
    repository, _, revision = rest.partition("@")
    return commit("dataset" if kind == "dataset" else "model", repository, revision) == answer


@cache
def _resolved(kind: Kind, repository: str, revision: str) -> str | None:
    from huggingface_hub import HfApi

    try:
        info = HfApi().repo_info(repository, repo_type=kind, revision=revision, timeout=_WAIT_S)
    except Exception:  # the hub's client raises a dozen kinds for "not to be had"
        return next(_kept(kind, repository, revision), None)
    return str(info.sha)


def _kept(kind: Kind, repository: str, revision: str) -> Iterator[str]:
    """What the hub's cache on this disk says, then the data set that would be read offline: the newest that was."""
    from huggingface_hub import constants

    folder = Path(constants.HF_HUB_CACHE) / f"{kind}s--{repository.replace('/', '--')}"
    reference = folder / "refs" / revision
    if reference.is_file():
        yield reference.read_text(encoding="utf-8").strip()
    if kind == "dataset":
        made = Path(os.environ.get("HF_DATASETS_CACHE") or Path(constants.HF_HOME) / "datasets")
        folders = [path for path in made.glob("*/*/*/*") if _same(path.parents[2].name, repository.replace("/", "___"))]
        commits = [path for path in folders if path.is_dir() and _COMMIT.fullmatch(path.name)]
        yield from (path.name for path in sorted(commits, key=lambda path: -path.stat().st_mtime))


def _same(folder: str, repository: str) -> bool:
    """`datasets` writes CamelCase as snake_case."""
    return folder.replace("_", "").lower() == repository.replace("_", "").lower()
