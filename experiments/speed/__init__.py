"""Benchmarks: kd_lab beside what people would use instead, and beside the limit. See README.md.

`kd-lab` sets some of its environment before torch is imported; so does every process here but those of peers.
"""

import os

from kd_lab.__main__ import THREADS

PLAIN = "KD_LAB_SPEED_PLAIN"  # set for a process of a peer
GIVEN = {name: os.environ.get(name) for name in THREADS}  # what a person has set

if PLAIN not in os.environ:
    for _name, _value in THREADS.items():
        os.environ.setdefault(_name, _value)
