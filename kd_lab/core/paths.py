"""Where the project's own files lie, in a checkout and in an installed wheel."""

from __future__ import annotations

from pathlib import Path


def root() -> Path:
    """The folder that holds conf/ and experiments/."""
    package = Path(__file__).resolve().parents[1]
    return package.parent if (package.parent / "conf" / "config.yaml").is_file() else package


def default_data() -> Path:
    """Where data sets are looked for when nobody says: ../shared/data beside a checkout, else ./data."""
    beside = root().parent / "shared" / "data"
    return beside if beside.is_dir() else Path("data")
