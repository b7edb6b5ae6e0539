"""Makes an import by a module's old name give the module as it is called now.

It imports nothing before it is asked: it is loaded with kd_lab, when the working folder may still be looked into.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from types import ModuleType


class Finder:
    """The last of Python's finders; asked where no other finds anything.

    Not for a name that a room has now, such as `kd_lab.evaluation`.
    """

    def find_spec(self, name: str, path: object = None, target: object = None) -> "ModuleSpec | None":
        """What Python asks; None for all but old names."""
        if not name.startswith("kd_lab."):
            return None
        from importlib.machinery import ModuleSpec

        from kd_lab.core.moved import MODULES

        return ModuleSpec(name, self) if name in MODULES else None  # type: ignore[arg-type]

    def create_module(self, spec: object) -> None:
        """As Python does it."""

    def exec_module(self, module: "ModuleType") -> None:
        """Puts the module of today in the place of the one that was asked for."""
        from importlib import import_module

        from kd_lab.core.moved import MODULES

        sys.modules[module.__name__] = import_module(MODULES[module.__name__])
