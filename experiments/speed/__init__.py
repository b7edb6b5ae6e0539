"""Benchmarks: kd_lab beside what people would use instead, and beside the limit. See README.md.

`kd-lab` sets some of its environment before torch is imported; so does every process here but those of peers.
"""

import os

from kd_lab.core.process_tuning import VARIABLES, set_variables

PLAIN = "KD_LAB_SPEED_PLAIN"  # set for a process of a peer
GIVEN = {name: os.environ.get(name) for name in VARIABLES}  # what a person has set

if PLAIN not in os.environ:
    set_variables()
