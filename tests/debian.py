"""Which of Debian's programs are here, for tests that need them."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

BROWSER = all(map(shutil.which, ("chromium", "chromedriver"))) and find_spec("selenium") is not None
POSTGRES = sorted(Path("/usr/lib/postgresql").glob("[0-9]*/bin"), key=lambda one: float(one.parent.name))
