"""What an eviction policy is: it keeps an account of what is held and names what has to go.

A policy moves no bytes. Whoever holds the files tells it of every access, in this order::

    key in policy      -> on_hit(key, size, now)             victims
    otherwise          -> on_insert(key, size, now, weight)  victims, or None: not worth keeping

and deletes the victims, which the policy has forgotten already. ``access`` does just that.

Sizes and the capacity are in bytes; ``used`` never exceeds ``capacity`` when a call returns. Times
are seconds of one clock that does not go back. ``weight`` is what its owner thinks of an entry,
above 0 and at most 1 (``Priority.weight``); policies that know no priorities leave it alone.
An entry that is looked at costs O(log n) at most, spread over the calls; a large newcomer looks
at as many as would have to go for it.

Scores are IEEE doubles made by plain arithmetic in the order that the code shows, and ties go by
key (bytes of UTF-8), as in a sorted set of Redis: a script that does the same chooses the same
victims. Lua writes a number with 14 digits unless told: use ``string.format('%.17g', score)``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol

from cachekeeper.errors import InvalidInput


class Policy(Protocol):
    """Which entries stay within a number of bytes."""

    @property
    def capacity(self) -> int:
        """The bytes that entries may take."""

    @property
    def used(self) -> int:
        """The bytes that they take."""

    def __len__(self) -> int: ...

    def __contains__(self, key: str, /) -> bool: ...

    def on_hit(self, key: str, size: int, now: float) -> Sequence[str]:
        """An entry was read, or stored anew with another size; returns the victims.

        One that has outgrown the capacity is its own victim.
        """

    def on_insert(
        self, key: str, size: int, now: float, weight: float = 1.0
    ) -> Sequence[str] | None:
        """Something that is not held was asked for; returns the victims.

        None means that it is refused: it should be served and not kept, and nothing has to go.
        """

    def on_remove(self, key: str) -> None:
        """An entry has gone for another reason: expired, invalidated, deleted."""

    def evict(self, wanted: int) -> list[str]:
        """Take out what is worth least until ``wanted`` bytes are free; returns the victims."""


def access(policy: Policy, key: str, size: int, now: float) -> bool:
    """One access, as a cache in front of an origin does it; tells whether it was a hit."""
    if key in policy:
        policy.on_hit(key, size, now)
        return True
    policy.on_insert(key, size, now)
    return False


class Admitting(ABC):
    """The frame of a policy that keeps whatever fits, and of which each names the next victim."""

    def __init__(self, capacity: int) -> None:
        self.capacity = checked_capacity(capacity)
        self.used = 0
        self._sizes: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._sizes)

    def __contains__(self, key: str) -> bool:
        return key in self._sizes

    def on_hit(self, key: str, size: int, now: float) -> Sequence[str]:
        """See ``Policy.on_hit``."""
        grown = size - self._sizes[key]
        if grown:
            if size > self.capacity:
                self.on_remove(key)
                return [key]
            self._sizes[key] = size
            self.used += grown
        self._read(key, size, now)
        return self.evict(0) if self.used > self.capacity else ()

    def on_insert(
        self, key: str, size: int, now: float, weight: float = 1.0
    ) -> Sequence[str] | None:
        """See ``Policy.on_insert``; only what is larger than everything is refused."""
        if size > self.capacity:
            return None
        victims = self.evict(size) if self.used + size > self.capacity else ()
        self._sizes[key] = size
        self.used += size
        self._take(key, size, now, weight)
        return victims

    def on_remove(self, key: str) -> None:
        """See ``Policy.on_remove``."""
        self.used -= self._sizes.pop(key)
        self._drop(key)

    def evict(self, wanted: int) -> list[str]:
        """See ``Policy.evict``."""
        victims = []
        while self._sizes and self.capacity - self.used < wanted:
            victim = self._next_victim()
            self.used -= self._sizes.pop(victim)
            victims.append(victim)
        return victims

    @abstractmethod
    def _take(self, key: str, size: int, now: float, weight: float) -> None:
        """Note a new entry."""

    @abstractmethod
    def _read(self, key: str, size: int, now: float) -> None:
        """Note another access to an entry."""

    @abstractmethod
    def _drop(self, key: str) -> None:
        """Forget an entry."""

    @abstractmethod
    def _next_victim(self) -> str:
        """Forget the entry that is worth least, and name it; there is one."""


def checked_capacity(capacity: int) -> int:
    """A capacity that can be used. Raises InvalidInput."""
    if capacity < 1:
        raise InvalidInput("capacity", capacity, "1 byte or more")
    return capacity
