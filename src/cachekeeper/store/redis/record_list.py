"""The records of all requests, page by page: however many there are, a page is held at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from cachekeeper.core.receipt import Receipt
from cachekeeper.store.redis.connection import Connection, reachable

PAGE: Final = 100


def newest_receipts(connection: Connection, since: float) -> Iterator[Receipt]:
    """The receipts of all requests made since a time, newest first.

    What is asked for meanwhile is not among them. Of a request that another stands for: the
    other's, in its own name. A record whose receipt has expired is passed over.
    """
    for ids in _pages(connection, since):
        receipts = _load(connection, ids)
        others = [r.merged_into for r in receipts.values() if r.merged_into]
        stand_for = _load(connection, others)
        for receipt in receipts.values():
            other = stand_for.get(receipt.merged_into)
            yield receipt if other is None else receipt.as_done_by(other)


def _pages(connection: Connection, since: float) -> Iterator[list[str]]:
    """Ids, newest first; of those of one time in reverse order of the alphabet."""
    before, passed = "+inf", 0  # the time of the last id, and how many of that time there were
    last = (float("inf"), b"")
    while True:
        with reachable():
            found = connection.redis.zrange(
                connection.layout.records,
                before,
                since,
                desc=True,
                byscore=True,
                offset=passed,
                num=PAGE,
                withscores=True,
            )
        if not found:
            return
        # Others of the same time may have come meanwhile, and pushed some back: not twice.
        page = [name for name, at in found if (at, name) < last]
        times = [at for _, at in found]
        passed = times.count(times[-1]) + (passed if repr(times[-1]) == before else 0)
        before, last = repr(times[-1]), (times[-1], found[-1][0])
        yield [name.decode() for name in page]


def _load(connection: Connection, ids: list[str]) -> dict[str, Receipt]:
    names = [connection.layout.receipt(request_id) for request_id in ids]
    if not names:
        return {}
    with reachable():
        found = connection.redis.mget(names)
    pairs = zip(ids, found, strict=True)
    return {request_id: Receipt.from_json(raw) for request_id, raw in pairs if raw}
