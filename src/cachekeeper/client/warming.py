"""Having files and keys ready before anybody asks for them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from cachekeeper.client.broker import Broker
from cachekeeper.client.namespace import Namespace
from cachekeeper.core.keys import are_keys, check_path, namespace_of
from cachekeeper.core.warming import TARGETS_AT_MOST, Place, WarmState, WarmStatus, check_job
from cachekeeper.errors import BrokerUnavailable, InvalidInput, ReceiptTimeout
from cachekeeper.names import Task
from cachekeeper.services.warm import AT_ONCE, resume
from cachekeeper.store.redis.graph import RedisGraph
from cachekeeper.store.redis.warming import RedisWarmJobs

LOOK_S: Final = 0.05
FILE: Final = "file"
FILES: Final = f"{FILE}:"
TOP: Final = "."


@dataclass(frozen=True, slots=True)
class WarmHandle:
    """A job by its id; works from any process that reaches the same servers."""

    id: str
    jobs: RedisWarmJobs
    broker: Broker

    def status(self) -> WarmStatus:
        """How far it is. Raises InvalidInput when it is unknown, or ended a day ago."""
        status = self.jobs.status(self.id)
        if status is None:
            raise InvalidInput("id", self.id, "a warm job that has not ended a day ago")
        return status

    def wait(self, timeout: float) -> WarmStatus:
        """How it ended: done, cancelled or stopped; ``timeout`` in seconds.

        Raises:
            ReceiptTimeout: it goes on still.
        """
        end = time.monotonic() + timeout
        while not (status := self.status()).ended:
            if time.monotonic() > end:
                said = f"{status.done} of {status.items} after {timeout} s"
                raise ReceiptTimeout(f"warm job {self.id}: {said}")
            time.sleep(LOOK_S)  # between two looks
        return status

    def cancel(self) -> bool:
        """Have it end within a file; False if it had ended."""
        self.status()
        return self.jobs.move(self.id, [WarmState.RUNNING], WarmState.CANCELLED)

    def resume(self) -> bool:
        """Have it go on where it was; False unless it was cancelled or has stopped."""
        self.status()
        return resume(self.jobs, self.id, self.ring)

    def ring(self, job: str) -> None:
        """Wake a worker for it; without the broker, the sweep does it."""
        with suppress(BrokerUnavailable):
            self.broker.send(Task.WARM, {"job": job})


class Warming:
    """Begins jobs."""

    def __init__(
        self,
        jobs: RedisWarmJobs,
        broker: Broker,
        graph: RedisGraph,
        namespaces: Mapping[str, Namespace],
    ) -> None:
        self._jobs, self._broker, self._graph = jobs, broker, graph
        self._namespaces = namespaces

    def begin(self, targets: str | Iterable[str], device: str = "") -> WarmHandle:
        """See ``Cache.warm``."""
        named: list[Any] = [targets] if isinstance(targets, str) else list(targets)
        if not 1 <= len(named) <= TARGETS_AT_MOST:
            raise InvalidInput("targets", f"{len(named)} targets", f"1 to {TARGETS_AT_MOST}")
        paths = dict[str, None]()
        by_namespace = dict[str, list[str]]()
        keys = list[str]()
        for target in named:
            if self._is_key(target):
                name, _, rest = target.partition(":")
                keys.append(target)
                known = self._namespaces.get(name)
                if known is not None and known.has_loader and name != FILE:
                    by_namespace.setdefault(name, []).append(rest)
            else:
                path = target.rstrip("/") if isinstance(target, str) else target
                paths["" if path == TOP else check_path(path, "targets")] = None
        for name, rests in by_namespace.items():
            self._namespaces[name].warm(rests)
        for key in keys:
            below = self._files_below(key)
            if not below and namespace_of(key) not in by_namespace:
                allowed = "a key that this process can load, or that was made from files"
                raise InvalidInput("targets", key, allowed)
            paths |= dict.fromkeys(below)
        if len(paths) > TARGETS_AT_MOST:
            raise InvalidInput("targets", f"{len(paths)} files", f"at most {TARGETS_AT_MOST}")
        places = [Place(path, is_target=True) for path in reversed(paths)]
        loaded = sum(map(len, by_namespace.values()))
        handle = self.handle(self._jobs.open(device, places, named, done=loaded))
        for _ in range(AT_ONCE if places else 1):
            handle.ring(handle.id)
        return handle

    def handle(self, job: str) -> WarmHandle:
        """A job that any process began. Raises InvalidInput: that is no id."""
        return WarmHandle(check_job(job, "id"), self._jobs, self._broker)

    def _is_key(self, target: object) -> bool:
        """What has a namespace that is known: files may have colons in their names, too."""
        if not (isinstance(target, str) and are_keys([target])):
            return False
        if target.startswith(FILES) or namespace_of(target) in self._namespaces:
            return True
        return bool(self._graph.inputs(target, 1))

    def _files_below(self, key: str) -> list[str]:
        """The files that a key was made from, whatever is between; its own path, if it is one."""
        found, seen, waiting = list[str](), {key}, deque([key])
        while waiting and len(found) <= TARGETS_AT_MOST:
            each = waiting.popleft()
            if each.startswith(FILES):
                found.append(check_path(each.removeprefix(FILES), "targets"))
                continue
            for below in self._graph.inputs(each):
                if below not in seen:
                    seen.add(below)
                    waiting.append(below)
        return sorted(found)
