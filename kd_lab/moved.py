"""Names of earlier versions for what lies elsewhere now: users' own YAML, results and saved code still say them.

Kept for one release after the move; `kd_lab/__init__.py` makes an import of an old name work as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kd_lab.progress import say

MODULES: dict[str, str] = {}  # a module's old name -> its name now
CLASSES: dict[str, str] = {}  # a class's old name -> its name now, where more than its module has changed
_told: set[str] = set()


def now(name: str) -> str:
    """The dotted name that a class has now."""
    module, _, attribute = name.rpartition(".")
    return CLASSES.get(name) or f"{MODULES.get(module, module)}.{attribute}"


def renewed(settings: Any, tell: bool = False) -> Any:
    """Plain settings whose `_target_`s are named as they are now.

    Args:
        settings: any plain data.
        tell: say once which old name was found, and the new one.
    """
    if isinstance(settings, list):
        return [renewed(value, tell) for value in settings]
    if not isinstance(settings, Mapping):
        return settings
    found = {key: renewed(value, tell) for key, value in settings.items()}
    target = found.get("_target_")
    if isinstance(target, str) and (new := now(target)) != target:
        found["_target_"] = new
        if tell and target not in _told:
            _told.add(target)
            say(f"warning: _target_: {target} is called {new} now; the old name works until the next release")
    return found
