"""Flights: one loader at a time for a key, and no circle of loaders that wait for each other.

A flight is one making of a value. Who finds another under way for the same key waits until it has
landed, and looks into the tiers again. Inside a loader that may be for ever: the other one may be
waiting, through others, for a flight that the reader itself is part of. So flights know whom they
wait for, and whoever would close a circle makes the value itself instead. If the circle is not one
of time but of the loaders (a key's loader reads the key), that ends where a flight would read its
own key, and is refused.

The flights that a reader is part of come from a context variable, as the sources of a value do: a
loader's own thread that was begun without its context is not recognised.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import Any, Generic, TypeVar

from cachekeeper.errors import InvalidInput

Signal = TypeVar("Signal", bound=threading.Event | asyncio.Event)


class Flight(Generic[Signal]):
    """One making of a value, until it has landed."""

    __slots__ = ("key", "landed", "of", "waits_for")

    def __init__(self, key: str, of: object, landed: Signal) -> None:
        self.key, self.of, self.landed = key, of, landed
        self.waits_for: list[Flight[Any]] = []  # its loader may read from several threads


#: The flights that this code is part of, the outermost first.
_within: ContextVar[tuple[Flight[Any], ...]] = ContextVar("cachekeeper_flights", default=())
#: Guards who waits for whom, of all caches of the process: their loaders may read each other's.
_lock = threading.Lock()


class _Flights(Generic[Signal]):
    """The flights of one cache, by key."""

    def __init__(self, signal: Callable[[], Signal]) -> None:
        self._signal = signal
        self._under_way: dict[str, Flight[Signal]] = {}

    def check(self, key: str) -> None:
        """Refuse a read of the key by its own loader.

        Raises:
            InvalidInput: that is what it would be.
        """
        if _within.get() and any(f.key == key and f.of is self for f in _around()):
            raise InvalidInput("key", key, "a key that its own loader does not read")

    @contextmanager
    def alone(self, key: str) -> Iterator[None]:
        """Make a value whoever else does: nobody waits but those that it is made for."""
        with self._flight(key) as flight, _aboard(flight):
            yield

    @contextmanager
    def unless_under_way(self, key: str) -> Iterator[bool]:
        """Make a value, unless somebody does already: whether it is this one's to make.

        Nobody is waited for; those who need the value wait for this one.
        """
        with self._flight(key) as flight:
            with _lock:
                is_ours = self._under_way.setdefault(key, flight) is flight
            if not is_ours:
                yield False
                return
            with _aboard(flight):
                yield True

    @contextmanager
    def _flight(self, key: str) -> Iterator[Flight[Signal]]:
        """A flight, and that the one whose loader asks for it waits for it."""
        flight, around = Flight(key, self, self._signal()), _around()
        with _lock:
            for asking in around[:1]:
                asking.waits_for.append(flight)
        try:
            yield flight
        finally:
            with _lock:
                if self._under_way.get(key) is flight:
                    del self._under_way[key]
                for asking in around[:1]:
                    asking.waits_for.remove(flight)
                flight.landed.set()

    def _ahead(self, flight: Flight[Signal]) -> Flight[Signal] | None:
        """The flight to wait for first; None when it is this one's turn."""
        around = _around()
        with _lock:
            other = self._under_way.setdefault(flight.key, flight)
            if other is flight or (around and _leads_to(other, around)):
                flight.waits_for = []
                return None
            flight.waits_for = [other]
            return other


class Flights(_Flights[threading.Event]):
    """The flights of a cache that threads share."""

    def __init__(self) -> None:
        super().__init__(threading.Event)

    @contextmanager
    def only_one(self, key: str) -> Iterator[None]:
        """Within, nobody else makes the value, unless it is part of what this one waits for."""
        with self._flight(key) as flight:
            while other := self._ahead(flight):
                other.landed.wait()
            with _aboard(flight):
                yield


class AsyncFlights(_Flights[asyncio.Event]):
    """The flights of a cache on one event loop."""

    def __init__(self) -> None:
        super().__init__(asyncio.Event)

    @asynccontextmanager
    async def only_one(self, key: str) -> AsyncIterator[None]:
        """As ``Flights.only_one``."""
        with self._flight(key) as flight:
            while other := self._ahead(flight):
                await other.landed.wait()
            with _aboard(flight):
                yield


@contextmanager
def _aboard(flight: Flight[Any]) -> Iterator[None]:
    token = _within.set((*reversed(_around()), flight))
    try:
        yield
    finally:
        _within.reset(token)


def _around() -> list[Flight[Any]]:
    """The flights that this code is part of, the innermost first."""
    found = []
    for flight in reversed(_within.get()):
        if flight.landed.is_set():
            break  # what its loader left running is part of nothing any more
        found.append(flight)
    return found


def _leads_to(start: Flight[Any], ends: Iterable[Flight[Any]]) -> bool:
    """Whether a flight is one of ``ends``, or waits for one through any number of others."""
    wanted, seen, ahead = set(ends), set[Flight[Any]](), [start]
    while ahead:
        flight = ahead.pop()
        if flight in wanted:
            return True
        if flight not in seen:
            seen.add(flight)
            ahead += flight.waits_for
    return False


def _forked() -> None:
    global _lock
    _lock = threading.Lock()  # another thread may have held it


os.register_at_fork(after_in_child=_forked)
