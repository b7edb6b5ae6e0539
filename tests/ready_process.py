"""A process that has imported what takes seconds to import; each program is run in a fork of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

_SERVER = """
import gc, importlib, json, os, runpy, sys

gc.disable()
for name in sys.argv[1:]:
    importlib.import_module(name)
gc.freeze()  # no fork goes through what is here for good
gc.enable()
for line in sys.stdin:
    given = json.loads(line)
    if not (child := os.fork()):
        os.chdir(given["folder"])
        os.environ.update(given["environment"])
        for number, name in enumerate(("/dev/null", given["out"], given["err"])):
            os.dup2(os.open(name, os.O_RDWR | os.O_CREAT), number)
        sys.argv = given["words"]
        runpy.run_path(sys.argv[0], run_name="__main__")
        sys.exit()
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class ReadyProcess:
    """To be started once for many tests: what one program sets, changes or breaks is gone with its fork."""

    def __init__(self, *modules: str) -> None:
        line = [sys.executable, "-c", _SERVER, *modules]
        self._process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, folder: Path, program: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs the program in the folder, as `python PROGRAM WORDS` does."""
        out, err = (folder / f".{program.stem}.{name}" for name in ("out", "err"))
        for path in (out, err):
            path.unlink(missing_ok=True)
        given = {"folder": folder, "environment": environment, "words": [program, *words], "out": out, "err": err}
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(given, default=str) + "\n")
        self._process.stdin.flush()
        code = int(self._process.stdout.readline())
        try:
            return subprocess.CompletedProcess([str(program), *words], code, out.read_text(), err.read_text())
        finally:
            for path in (out, err):
                path.unlink()

    def end(self) -> None:
        """Lets it go."""
        self._process.communicate()
