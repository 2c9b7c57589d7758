# ruff: noqa: INP001  # no package: it lies on PYTHONPATH
"""Python imports this first in the workers under test: their wall clock can be made to jump.

``time.time`` tells the time plus the seconds in the file ``RELIABILITY_CLOCK``, which all processes
of a worker have mapped. ``time.monotonic``, the clock of C code and ``datetime.now`` don't jump.
"""

import mmap
import os
import struct
import time

if path := os.environ.get("RELIABILITY_CLOCK"):
    with open(path, "rb") as file:  # noqa: PTH123  # before anything else is imported
        shared = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)
    real, real_ns = time.time, time.time_ns
    time.time = lambda: real() + struct.unpack_from("d", shared)[0]
    time.time_ns = lambda: real_ns() + int(struct.unpack_from("d", shared)[0] * 1e9)
