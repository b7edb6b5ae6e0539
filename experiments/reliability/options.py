"""Every option of conf/ with wrong values: a wrong type, null, a negative, a huge and an empty one.

`python -m experiments.reliability.options` tries them all in this process, by what a command does first, and a few of
them as real commands; it writes `options/result.json`. The options are found by walking what conf/ composes.
"""

from __future__ import annotations

import copy
import math
import os
import subprocess  # kd-lab with fixed arguments, no shell
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from omegaconf import OmegaConf

from experiments.reliability import result
from kd_lab.cli.check_settings import settings
from kd_lab.cli.compose import CONF, register
from kd_lab.core import signature
from kd_lab.core.errors import UserError
from kd_lab.core.instantiate import TARGET, check
from kd_lab.core.paths import root

WITHIN_S = 5.0
HUGE = 10**15
WRONG: dict[str, tuple[Any, ...]] = {
    "a wrong type": ("x", 7.5, True, "3", 7, [[]], {"a": 1}),
    "null": (None,),
    "a negative": (-1, -0.5),
    "huge": (HUGE, 10**400, 1e300, "x" * 100_000),
    "empty": ("", [], {}),
    "no number": (math.nan, math.inf),
}
NEEDED = {
    "also_on/csv": "also_on.csv.path=a.csv",
    "also_on/hub": "also_on.hub.hub_id=a/b",
    "also_on/parquet": "also_on.parquet.path=a",
    "compression/out_of_scope": "dataset=clinc",
    "dataset/csv": "dataset.path=a.csv",
    "dataset/parquet": "dataset.path=a",
    "dataset/frame": "dataset.revision=a",
    "dataset/hub": "dataset.hub_id=a/b",
    "model/checkpoint": "model.path=nowhere",
    "teacher/answers": "teacher.path=nowhere.csv",
    "teacher/checkpoint": "teacher.path=nowhere",
    "teacher/ready": "teacher.path=nowhere",
}
SEARCH = "search={storage:'sqlite:///a.db',study:a,number:0,monitor:accuracy}"  # which a search sends to its cells
COMMANDS = (  # tried as a person would type them
    ("seed=x",),
    ("model=lstm_attention", "model.hidden=7.5"),
    ("trainer.batch_size=1e12",),
    ("teacher.trainer.max_epochs=null",),
    ("compression=[prune_l1]", "compression.prune_l1.amount=-1"),
    ("-m", "seed=0,1", "loss.alpha=nan"),
)


class Tried(NamedTuple):
    """What became of one value."""

    chosen: str  # the file of conf/ that brings the option
    option: str
    wrong: str  # the kind of wrong, a key of WRONG
    value: Any
    told: UserError | None  # None where the value is a right one for this option
    seconds: float


def try_all(files: Sequence[str] | None = None) -> Iterator[Tried]:
    """Every option of every file with every value.

    Args:
        files: names of files of conf/ without their ending; None for all, and for config.yaml itself.
    """
    for chosen in [*option_files(), "config"] if files is None else files:
        whole, place = composed(chosen)
        for option in leaves(whole, place):
            for wrong, values in WRONG.items():
                for value in values:
                    yield _tried(chosen, whole, option, wrong, value)


def option_files() -> list[str]:
    """Every file of conf/ that is an option of a group, without its ending.

    A teacher of `kd-lab pretrain` has no class of its own: its parts are the options of groups that are walked.
    """
    paths = (path.relative_to(CONF).with_suffix("") for path in Path(CONF).rglob("*.yaml"))
    parts = ("pretrain", "teacher")
    return sorted(path.as_posix() for path in paths if len(path.parts) > 1 and path.parts[:2] != parts)


@cache
def composed(chosen: str) -> tuple[dict[str, Any], str]:
    """(a config as plain data in which a file of conf/ is chosen, the place of its options); not to be changed.

    A part of other options stands at `alone`, an option of Hydra's own at `hydra`; "" is the whole config's top.
    """
    register()
    group, _, name = chosen.rpartition("/")
    groups = {next(iter(one)) for one in OmegaConf.load(Path(CONF, "config.yaml"))["defaults"] if one != "_self_"}
    given = [SEARCH] if chosen == "config" else [*filter(None, [NEEDED.get(chosen)])]
    place = "" if group.partition("/")[0] in ("", "method") else group.replace("/", ".")
    if group in ("compression", "also_on"):
        given.append(f"{group}=[{name}]")
    elif group == "method/by_model":  # which the two that it is called by choose
        given += [f"{key}={one}" for key, one in zip(("method", "model"), name.split("_", 1), strict=True)]
    elif group in groups or group.startswith("hydra/"):
        given.append(f"{group}={name}")
    elif chosen != "config":
        given.append(f"+{group}@alone={name}")
        place = "alone"
    with initialize_config_dir(CONF, version_base="1.3"):
        config = hydra_compose("config", given, return_hydra_config=True)
    parts = {"hydra": {group[6:]: _plain(config.hydra[group[6:]])}} if place.startswith("hydra.") else {}
    return {**{str(key): _plain(config[key]) for key in config if key != "hydra"}, **parts}, place


def leaves(whole: Mapping[str, Any], place: str) -> list[str]:
    """Names of the options below a place; at the top those that no group brings."""
    if not place:
        return list(_leaves({key: whole[key] for key in ("name", "recovery", "seed", "search", "paths", "trust")}, ""))
    node: Any = whole
    for part in place.split("."):
        node = node[part]
    if place.startswith("hydra.") and not signature.options(node[TARGET]):
        return []  # a plug-in of others, whose schema Hydra itself knows
    return list(_leaves(node, place)) if node is not None else []


def commands(folder: Path) -> dict[str, dict[str, Any]]:
    """A few lines as real commands in an empty folder: exit code, seconds, what was said and left."""
    found = {}
    for given in COMMANDS:
        began = time.perf_counter()
        line = (sys.executable, "-m", "kd_lab", *given, "tracking=none")
        environment = {**os.environ, "PYTHONPATH": str(root())}
        done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False, env=environment)  # noqa: S603
        found[" ".join(given)] = {
            "exit": done.returncode,
            "seconds": round(time.perf_counter() - began, 2),
            "said": done.stderr.strip().splitlines(),
            "left": sorted(path.name for path in folder.iterdir()),
        }
    return found


def summary(tried: Sequence[Tried]) -> dict[str, Any]:
    """Counts of what became of the values, and those that were taken."""
    refused = [one for one in tried if one.told]
    return {
        "files": len({one.chosen for one in tried}),
        "options": len({(one.chosen, one.option) for one in tried}),
        "values": len(tried),
        "refused": dict(Counter(one.wrong for one in refused)),
        "refused by a line that names option, expected, got and cure": sum(map(_names_all, refused)),
        "right for their option": dict(Counter(one.wrong for one in tried if not one.told)),
        "slowest_s": round(max(one.seconds for one in tried), 3),
        "taken": sorted({f"{one.option}={_short(one.value)}" for one in tried if not one.told}),
    }


def main() -> int:
    """Writes `options/result.json`.

    Returns:
        exit code: 0, or 1 where a line does not name all, or a command is late, ends otherwise or leaves something.
    """
    to = result.parser("options", __doc__).parse_args().to
    tried = list(try_all())
    with tempfile.TemporaryDirectory() as folder:
        ran = commands(Path(folder))
    told = summary(tried)
    unclear = [f"{one.option}={_short(one.value)}: {one.told}" for one in tried if one.told and not _names_all(one)]
    late = [f"{line}: {one}" for line, one in ran.items() if not _as_asked(one)]
    result.write("options", {**told, "within_s": WITHIN_S, "commands": ran}, [*unclear, *late], to)
    return 1 if unclear or late else 0


def _as_asked(ran: Mapping[str, Any]) -> bool:
    return ran["exit"] == 2 and ran["seconds"] < WITHIN_S and len(ran["said"]) == 1 and not ran["left"]


def _tried(chosen: str, whole: Mapping[str, Any], option: str, wrong: str, value: Any) -> Tried:
    top = option.partition(".")[0]
    changed = {top: copy.deepcopy(whole[top])}  # the rest is right
    *above, last = option.split(".")
    node: Any = changed
    for part in above:
        node = node[part]
    node[last] = value
    began, told = time.perf_counter(), None
    try:
        if top == "hydra":
            check(changed["hydra"][above[1]], ".".join(above[:2]))
        elif top == "alone":
            check(changed["alone"], "alone")
        else:
            settings(changed, needed=())
    except UserError as error:
        told = error
    return Tried(chosen, option, wrong, value, told, time.perf_counter() - began)


def _names_all(one: Tried) -> bool:
    told = one.told
    assert told is not None
    named = told.where == one.option or told.where.startswith(f"{one.option}.")
    return named and "\n" not in str(told) and len(str(told)) < 800 and bool(told.expected and told.got and told.cure)


def _leaves(node: Mapping[str, Any], place: str) -> Iterator[str]:
    for key, value in node.items():
        where = f"{place}.{key}".lstrip(".")
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, where)
        elif key != TARGET:
            yield where


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 20 else f"{text[:8]}... ({len(text)} characters)"


if __name__ == "__main__":
    sys.exit(main())
