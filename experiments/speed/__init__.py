"""Benchmarks: kd_lab beside what people would use instead, and beside the limit. See README.md."""

import os

from kd_lab.__main__ import THREADS

for _name, _value in THREADS.items():  # as `kd-lab` itself sets them, for every side alike, before torch is imported
    os.environ.setdefault(_name, _value)
