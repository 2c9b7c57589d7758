"""GDG-A against its definition, written down once more without a thought for speed."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachekeeper.core.policy.gdga import GDGA

keys = st.sampled_from([f"k{i}" for i in range(15)])
accesses = st.lists(st.tuples(keys, st.integers(0, 40)), min_size=1, max_size=300)


@dataclass
class Item:
    size: int
    f: float
    again: bool
    h: float


class Plain:
    """The definition: lists, sorted whenever an order is asked for, and counts that are halved."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.held: dict[str, Item] = {}
        self.ghosts: dict[str, Item] = {}  # oldest first
        self.floor, self.w1 = 0.0, 0.3
        self.sizes: list[int] = []
        self.since = 0

    def access(self, key: str, size: int) -> list[str] | None:
        self.sizes.append(size)
        self.since += 1
        if self.since > 20 * (len(self.held) + len(self.ghosts)):
            self.since = 0
            for item in (*self.held.values(), *self.ghosts.values()):
                item.f /= 2
        if key in self.held:
            return self.hit(key, size)
        return self.miss(key, size)

    def hit(self, key: str, size: int) -> list[str]:
        if size > self.capacity:
            del self.held[key]
            return [key]
        item = self.held[key]
        item.size, item.f, item.again = size, item.f + 1, True
        item.h = self.value(item, 1)
        victims = []
        while sum(other.size for other in self.held.values()) > self.capacity:
            victims.append(self.order()[0])
            self.go(victims[-1])
        return victims

    def miss(self, key: str, size: int) -> list[str] | None:
        if size > self.capacity:
            return None
        if key in self.ghosts:
            item = self.ghosts[key]
            once = max(1, sum(not ghost.again for ghost in self.ghosts.values()))
            again = max(1, sum(ghost.again for ghost in self.ghosts.values()))
            eta = 0.05 * min(1, 200 * size / self.capacity)
            if item.again:
                self.w1 /= exp(eta * max(1, once / again))
            else:
                self.w1 *= exp(eta * max(1, again / once))
            self.w1 = min(2, max(0.02, self.w1))
            del self.ghosts[key]
            item.size, item.f, item.again = size, item.f + 1, True
            item.h = self.value(item, 1)
        else:
            item = Item(size, 1, False, 0)
            item.h = self.value(item, self.w1)
        victims: list[str] = []
        free = self.capacity - sum(other.size for other in self.held.values())
        for victim in self.order():
            if free >= size:
                break
            victims.append(victim)
            free += self.held[victim].size
        if victims and item.h < self.held[victims[-1]].h:
            self.floor = max(self.floor, min(item.h, self.held[victims[0]].h))
            self.haunt(key, item)
            return None
        for victim in victims:
            self.go(victim)
        self.held[key] = item
        return victims

    def order(self) -> list[str]:
        return sorted(self.held, key=lambda key: (self.held[key].h, key))

    def value(self, item: Item, w: float) -> float:
        c0 = 3 * sum(self.sizes) / len(self.sizes)
        size = max(1, item.size)
        return self.floor + w * item.f * (size + c0) / size

    def go(self, key: str) -> None:
        self.floor = max(self.floor, self.held[key].h)
        self.haunt(key, self.held.pop(key))

    def haunt(self, key: str, item: Item) -> None:
        self.ghosts[key] = item
        while sum(ghost.size for ghost in self.ghosts.values()) > 2 * self.capacity:
            del self.ghosts[next(iter(self.ghosts))]


@given(capacity=st.integers(1, 120), accesses=accesses)
def test_it_chooses_the_victims_that_its_definition_names(
    capacity: int, accesses: list[tuple[str, int]]
) -> None:
    policy, plain = GDGA(capacity), Plain(capacity)
    for now, (key, size) in enumerate(accesses):
        expected = plain.access(key, size)
        found = policy.on_hit(key, size, now) if key in policy else policy.on_insert(key, size, now)
        assert (None if found is None else list(found)) == expected
        assert policy.w1 == pytest.approx(plain.w1)
        assert policy.floor == pytest.approx(plain.floor)
