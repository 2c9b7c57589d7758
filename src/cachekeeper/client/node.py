"""This process as a node: it follows the log of invalidations and says how far it has come."""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
import weakref

from cachekeeper.errors import CacheUnavailable
from cachekeeper.store.memory import MemoryTier
from cachekeeper.store.redis.marks import RedisNodes

ASKS_A_LEASE = 4
RETRY_S = 0.1
LONGEST_WAIT_S = 1.0  # for a line of the log: less than any socket waits for an answer


def lease_clock() -> float:
    """Seconds on a clock that also counts while the machine sleeps, where there is one."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(clock)


class Node:
    """Keeps a memory tier true, in a thread of its own.

    The rule that strict invalidation rests on: the log is applied *before* the lease is
    extended, and the lease counts from when the log was *asked for*.
    """

    def __init__(self, nodes: RedisNodes, memory: MemoryTier, epoch: int, lease_s: float) -> None:
        self.id = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._nodes, self._memory, self._lease_s = nodes, memory, lease_s
        self._stop = threading.Event()
        self._nodes.report(self.id, epoch, time.time())
        self._memory.open(epoch)
        self._memory.lease_until = lease_clock() + lease_s
        forked = weakref.WeakMethod(memory.forked)
        os.register_at_fork(after_in_child=lambda: (method := forked()) and method())
        self._thread = threading.Thread(target=self._run, name="cachekeeper-node", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Serve nothing from memory any more, and say so."""
        self._stop.set()
        self._memory.shut()
        self._thread.join(self._lease_s)
        try:
            self._nodes.leave([self.id])
        except CacheUnavailable:
            return  # it will be forgotten as silent

    def _run(self) -> None:
        block_ms = max(1, int(min(self._lease_s / ASKS_A_LEASE, LONGEST_WAIT_S) * 1000))
        reported = -1.0
        while not self._stop.is_set():
            asked = lease_clock()
            try:
                moved = self._follow(block_ms)
                self._memory.lease_until = asked + self._lease_s
                if moved or lease_clock() - reported > self._lease_s / ASKS_A_LEASE:
                    self._nodes.report(self.id, self._memory.applied, time.time())
                    reported = lease_clock()
            except CacheUnavailable:
                self._stop.wait(RETRY_S)  # memory serves on until the lease has passed

    def _follow(self, block_ms: int) -> bool:
        """Apply what the log says; whether it said anything."""
        applied = self._memory.applied
        current, lines = self._nodes.follow(applied, block_ms)
        if current < applied or (lines and lines[0].epoch > applied + 1):
            self._memory.open(current)  # the server went back, or the log is too short
            return True
        for line in lines:
            self._memory.apply(line.epoch, line.sources)
        return bool(lines)
