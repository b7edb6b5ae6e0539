"""Which files make the site of `make docs`: those of the repository, at the places that they have in it.

So a link that leads somewhere on a repository's pages leads there on the site too, and one that leads nowhere stops the
build.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
PLACES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "LICENSE", "docs", "experiments")


def on_files(files: Files, config: Any) -> Files:
    """The theme's files, and what git knows or would take of `PLACES`."""
    line = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate", "--", *PLACES]
    there = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()  # noqa: S603
    wanted = [name for name in there if (ROOT / name).is_file()]
    ours = [File(name, str(ROOT), config["site_dir"], config["use_directory_urls"]) for name in wanted]
    return Files([*(file for file in files if not file.src_dir.startswith(config["docs_dir"])), *ours])
