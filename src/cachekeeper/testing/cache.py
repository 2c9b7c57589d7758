"""A cache in this process alone, under the rules of the real one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self, cast

from cachekeeper.client.broker import Broker
from cachekeeper.client.cache import Cache
from cachekeeper.client.device import Device
from cachekeeper.client.namespace import Namespace
from cachekeeper.client.reading import ReadThrough
from cachekeeper.client.stores import Stores
from cachekeeper.client.warming import WarmHandle
from cachekeeper.core.keys import check_key
from cachekeeper.core.preview import Preview
from cachekeeper.core.receipt import Receipt
from cachekeeper.core.request import Request
from cachekeeper.core.strategy import Strategy, check_choice
from cachekeeper.errors import ConfigurationError
from cachekeeper.settings import Settings
from cachekeeper.testing.stores import Shelf
from cachekeeper.testing.worker import Worker


class MemoryCache(Cache):
    """A ``Cache`` with the memory tier alone, and a worker that does at once what it is sent.

    Immediate and lazy invalidations are done when ``invalidate`` returns; scheduled and background
    ones wait for ``flush``, or for a full batch. Values live no longer for being read. The settings
    are the defaults, whatever the environment says, unless some are given.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings.model_construct()
        self.origin = None
        self._kept_on_disk: set[str] = set()
        self._memory = Shelf(int(self.settings.memory_bytes))
        self._node = self._accesses = None
        self._worker = Worker(self._memory)
        # They have the methods that a cache without servers gets to call.
        self.stores, self.broker = cast(Stores, self._worker), cast(Broker, self._worker)
        self.tiers = {self._memory.name: self._memory}
        self._reading = ReadThrough(
            [self._memory],
            self.stores.marks,
            self.stores.graph,
            beta=self.settings.early_refresh_beta,
        )
        self._namespaces: dict[str, Namespace] = {}
        self.files = self.namespace("file")

    @property
    def invalidations(self) -> list[Request]:
        """Every request, in the order in which they were made."""
        return list(self._worker.requests.values())

    def affected(self, request: Request) -> list[str]:
        """All that a request made stale, sources first, stored or named; nothing while it waits."""
        return list(self._worker.affected.get(request.id, ()))

    def flush(self, strategy: str | None = None) -> list[Receipt]:
        """Do what waits, under one strategy or any: the tick of the schedule.

        Raises:
            InvalidInput: there is no such strategy.
        """
        wanted = Strategy if strategy is None else [check_choice(Strategy, strategy)]
        return [receipt for each in wanted for receipt in self._worker.flush(each)]

    def expire(self, *keys: str) -> None:
        """The lifetime of these values ends now. Raises InvalidInput."""
        self._memory.remove([check_key(key) for key in keys])

    def device(self, name: str) -> Device:
        """Not in this kit.

        Raises:
            ConfigurationError: always; devices need a deployment.
        """
        raise ConfigurationError(f"device {name}: the testing kit has none")

    def warm(self, targets: str | Iterable[str]) -> WarmHandle:
        """Not in this kit.

        Raises:
            ConfigurationError: always; a job needs workers. See ``Namespace.warm``.
        """
        raise ConfigurationError(f"warm {targets}: the testing kit has no workers")

    def preview(self, *_keys: object, **_how: object) -> Preview:
        """Not in this kit.

        Raises:
            ConfigurationError: always; a preview needs the graph of a deployment.
        """
        raise ConfigurationError("preview: the testing kit has none; see `affected`")

    def close(self) -> None:
        """Serve and keep nothing from here on."""
        self._memory.shut()

    def __enter__(self) -> Self:
        return self
