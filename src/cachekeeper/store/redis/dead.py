"""Dead letters in Redis: a bounded number of a bounded size; the oldest make room."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Final

from cachekeeper.core.dead import Kind, Letter
from cachekeeper.store.redis.connection import Arg, Connection, reachable
from cachekeeper.store.redis.layout import Layout

KEPT: Final = 10_000
BYTES_KEPT: Final = 64 * 1024 * 1024
#: What every script that buries is given.
BOUNDS: Final[tuple[Arg, ...]] = (KEPT, BYTES_KEPT)
#: Bytes of one letter; a request of 100,000 usual names takes half of it.
LONGEST: Final = 8 * 1024 * 1024
SHOWN: Final = 2000  # characters of what is longer
READ_AT_ONCE: Final = 50


def letters_of(layout: Layout) -> list[str]:
    """The keys that hold dead letters, as the scripts want them."""
    return [layout.dead, layout.dead_letters, layout.dead_figures]


def letter_text(
    work: Mapping[str, object],
    reason: str,
    now: float,
    *,
    kind: Kind = Kind.MALFORMED,
    attempts: int = 1,
    first_seen: float | None = None,
) -> str:
    """A letter as it is stored. What is too large to be allowed is cut, and malformed."""
    seen = now if first_seen is None else first_seen
    letter = Letter("", work, reason[:SHOWN], kind, attempts, seen, now)
    text = letter.to_json()
    if len(text) > LONGEST:
        cut = {name: str(value)[:SHOWN] for name, value in islice(work.items(), READ_AT_ONCE)}
        text = replace(letter, work=cut, kind=Kind.MALFORMED).to_json()
    return text


class RedisDeadLetters:
    """Work that was given up, with the reason."""

    def __init__(self, connection: Connection) -> None:
        self._c, self._keys = connection, letters_of(connection.layout)

    def bury(
        self,
        work: Mapping[str, object],
        reason: str,
        now: float,
        *,
        kind: Kind = Kind.MALFORMED,
        attempts: int = 1,
        first_seen: float | None = None,
    ) -> str:
        """Keep what could not be done; returns the letter's id.

        ``work`` has the ``task``, its ``id``, ``queue`` and ``arguments``, as far as known.
        """
        text = letter_text(work, reason, now, kind=kind, attempts=attempts, first_seen=first_seen)
        return str(self._c.run("bury", self._keys, [text, now, *BOUNDS]))

    def newest(self) -> Iterator[Letter]:
        """All letters, the newest first, read as they are taken."""
        with reachable():
            ids = self._c.redis.zrange(self._c.layout.dead, 0, -1, desc=True)
        for some in _in_parts([raw.decode() for raw in ids]):
            yield from self.load(some)

    def recent(self, limit: int) -> list[Letter]:
        """The newest letters."""
        return list(islice(self.newest(), limit))

    def load(self, ids: Iterable[str]) -> list[Letter]:
        """Letters by id, without those that there are not."""
        ids = list(ids)
        with reachable():
            found = self._c.redis.hmget(self._c.layout.dead_letters, ids) if ids else []
        named = zip(ids, found, strict=True)
        return [
            Letter.from_json(letter_id, raw.decode(errors="replace"))
            for letter_id, raw in named
            if raw
        ]

    def remove(self, ids: Iterable[str]) -> int:
        """Forget letters; returns how many there were."""
        parts = _in_parts(list(ids))
        return sum(int(self._c.run("dead_remove", self._keys, list(some))) for some in parts)

    def figures(self) -> dict[str, int]:
        """How many are kept, of how many bytes, and how many were dropped for room, ever."""
        layout = self._c.layout
        with reachable():
            kept = self._c.redis.zcard(layout.dead)
            sizes = self._c.redis.hmget(layout.dead_figures, ["bytes", "dropped"])
        size, dropped = (int(figure or 0) for figure in sizes)
        return {"kept": int(kept), "bytes": size, "dropped": dropped}


def _in_parts(ids: list[str]) -> Iterator[list[str]]:
    return (ids[i : i + READ_AT_ONCE] for i in range(0, len(ids), READ_AT_ONCE))
