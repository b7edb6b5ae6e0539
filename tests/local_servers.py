"""Servers that a test starts on this machine: a port for one, and waiting until it answers."""

from __future__ import annotations

import socket
import subprocess
import time
import urllib.request
from typing import Any


def free_port() -> int:
    """A port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_answer(url: str, server: subprocess.Popen[Any], longest_s: float = 180) -> None:
    """Returns once the address answers with 200: seconds, half a minute where others are busy."""
    deadline = time.monotonic() + longest_s
    while True:
        assert server.poll() is None, "the server ended before it answered"
        try:
            urllib.request.urlopen(url, timeout=5).close()  # noqa: S310 - our own server
            return
        except OSError:
            assert time.monotonic() < deadline, f"nobody answers at {url}"
            time.sleep(0.2)
