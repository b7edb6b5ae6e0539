"""What is made to run code, to fill the memory or to reach out of its folder: each must be refused in one line.

    python -m experiments.reliability.hostile

The inputs are those of the tests in `TESTS`, which ask for the line, and for nothing having been run, made or read.
This runs them and counts; a test that needs what this machine lacks is counted apart.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

from experiments.reliability import result
from kd_lab.core.paths import root

TESTS = {  # what is hostile -> the tests that lay it before kd_lab, as pytest takes them
    "options": ["tests/cli/test_hostile_config.py"],
    "classes": ["tests/core/test_instantiate.py", "-k", "refused"],
    "results": ["tests/cli/test_trust_command.py", "-k", "not_trusted or told_in_a_line"],
    "files": ["tests/reliability/test_hostile_files.py"],
}


def main() -> None:
    """Runs the tests and writes the result."""
    asked = result.parser("hostile", __doc__).parse_args()
    began, counts, wrong = time.time(), Counter[str](), []
    tried: dict[str, int] = {}
    for kind, tests in TESTS.items():
        with tempfile.TemporaryDirectory(prefix="kd_lab_hostile_") as folder:
            report = Path(folder, "report.xml")
            line = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junit-xml={report}", *tests]
            subprocess.run(line, cwd=root(), stdout=sys.stderr, check=False)  # noqa: S603 - our own tests
            cases = ElementTree.parse(report).getroot().iter("testcase")  # noqa: S314 - written by pytest just now
            found = {case.get("name", ""): {part.tag for part in case} for case in cases}
        tried[kind] = len(found)
        for name, told in found.items():
            failed = bool(told & {"failure", "error"})
            counts["wrong" if failed else "skipped" if "skipped" in told else "refused"] += 1
            wrong += [{"kind": kind, "input": name}] if failed else []
    figures = {"tried": tried, "refused": counts["refused"], "skipped": counts["skipped"], "wrong": len(wrong)}
    result.write("hostile", {**figures, "seconds": round(time.time() - began)}, wrong, asked.to)
    sys.exit(1 if wrong or not all(tried.values()) else 0)


if __name__ == "__main__":
    main()
