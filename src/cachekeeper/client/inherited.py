"""What a key hands on to a value that was derived from it, when that is said after the fact.

A loader that reads a key is handed all that the key was made from. Whoever declares it afterwards
has to be handed the same, or an invalidation two levels up would not reach the value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from cachekeeper.client.reading import ReadThrough
from cachekeeper.core.ports.tiers import Inputs
from cachekeeper.core.stamps import own_sources, source_of_tag
from cachekeeper.store.redis.graph import RedisGraph


class Inherited(NamedTuple):
    """Sources, and of the values that told them when they had been filled."""

    sources: list[str]
    read: Inputs


def inherited(
    keys: Iterable[str],
    reading: ReadThrough,
    graph: RedisGraph,
    tags_of: Callable[[str], Sequence[str]],
) -> Inherited:
    """What the keys hand on: their sources, and those of all that they were made from.

    The value of a key says what it was made from. Of a key that no tier holds the graph still
    knows it, and ``tags_of`` its tags.

    Raises:
        CacheUnavailable: the server can't be reached.
    """
    sources, read = dict[str, None](), dict[str, float]()
    seen, waiting = set[str](), list(keys)
    while waiting:
        key = waiting.pop()
        if key in seen:
            continue
        seen.add(key)
        found = reading.peek(key)
        if found is not None:
            handed_on = found.entry.stamp.handed_on(key, found.moment).sources
            read[key] = found.entry.filled
        else:
            handed_on = (*own_sources(key)[1:], *map(source_of_tag, tags_of(key)))
            waiting += graph.inputs(key)
        sources.update(dict.fromkeys(handed_on))
    return Inherited(list(sources), read)
