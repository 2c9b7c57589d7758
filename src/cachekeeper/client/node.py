"""This process as a node: it follows the log of invalidations and says how far it has come."""

from __future__ import annotations

import logging
import os
import socket
import threading
import uuid

from cachekeeper.errors import CacheUnavailable
from cachekeeper.store.memory import MemoryTier
from cachekeeper.store.redis.incarnation import lease_clock
from cachekeeper.store.redis.nodes import Following, RedisNodes

log = logging.getLogger(__name__)

RENEWALS_A_LEASE = 4
RETRY_S = 0.05
LONGEST_WAIT_S = 0.1  # for a line of the log, and so for this thread to end


class Node:
    """Keeps a memory tier true, in a thread of its own.

    The rule that strict invalidation rests on: memory is served only within a lease, which is
    granted with the acknowledgement of what was applied of the log, and counts from when it was
    asked for. A node that is refused starts again: empty, under a new name.
    """

    def __init__(self, nodes: RedisNodes, memory: MemoryTier, lease_s: float) -> None:
        self._nodes, self._memory, self._lease_s = nodes, memory, lease_s
        self._stop, self._pid = threading.Event(), os.getpid()
        self._join()
        self._thread = threading.Thread(target=self._run, name="cachekeeper-node", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Serve nothing from memory any more, and say so."""
        self._stop.set()
        self._memory.shut()
        if os.getpid() != self._pid:
            return  # in the child of a fork: the node is the parent's, who may serve on
        self._thread.join(self._lease_s)
        try:
            self._nodes.leave([self.id])
        except CacheUnavailable:
            return  # a strict invalidation will fence it

    def _join(self) -> None:
        self.id = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        asked = lease_clock()
        self._memory.open(self._nodes.join(self.id))
        self._memory.lease_until = asked + self._lease_s

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with self._nodes.following() as following:
                    self._follow(following)
            except CacheUnavailable:
                self._stop.wait(RETRY_S)  # memory serves on until the lease has passed
            except Exception:  # without this thread memory would be gone for good
                log.exception("node_failed id=%s", self.id)
                self._stop.wait(RETRY_S)

    def _follow(self, following: Following) -> None:
        """Apply what the log says, and acknowledge it, until this node has to join again."""
        period_s = self._lease_s / RENEWALS_A_LEASE
        block_ms = max(1, int(min(period_s, LONGEST_WAIT_S) * 1000))
        acknowledged, renewed = None, 0.0
        while not self._stop.is_set():
            applied, asked = self._memory.applied, lease_clock()
            # Else there is nothing to acknowledge, and the lease is long enough.
            renews = applied != acknowledged or asked >= renewed + period_s
            following.ask(applied.epoch, block_ms, (self.id, applied) if renews else None)
            if renews:
                if not following.granted():
                    self._start_again()
                    return
                self._memory.lease_until = asked + self._lease_s
                acknowledged, renewed = applied, asked
            marked = following.marked()
            if marked and marked[0][0] > applied.epoch + 1:
                self._start_again()  # the log no longer reaches back, or is another's
                return
            for epoch, sources in marked:
                self._memory.apply(epoch, sources)

    def _start_again(self) -> None:
        if not self._stop.is_set():
            self._memory.shut()
            self._nodes.leave([self.id])
            self._join()
