"""A backlog of real work for the general worker, put aside and back in one step each."""

from __future__ import annotations

import base64
import copy
import json
import time
import uuid
from typing import Any, Final

import redis

from bench.servers import Bed
from bench.workers import until
from cachekeeper import Cache
from cachekeeper.core.receipt import Status, pending_receipt
from cachekeeper.core.request import make_request
from cachekeeper.core.stamps import Entry, Found, Stamp
from cachekeeper.names import Queue, Task
from cachekeeper.store.redis.dead import RedisDeadLetters
from cachekeeper.store.redis.records import RedisLeftovers

QUEUE: Final = Queue.PURGE
ASIDE: Final = "bench.aside"  # on the broker
TREE: Final = 1000  # keys of one task
FAN_OUT: Final = 10
VALUE: Final = b"x" * 1024
AT_ONCE: Final = 500
UNACKED: Final = "unacked"


class Backlog:
    """Purges that receipts left to the background, each of a tree of 1000 keys.

    A task reads its receipt and its seeds, finds what hangs below them, removes the bytes from
    disk and Redis, sources first, and writes the receipt. There are fewer trees than tasks.
    """

    def __init__(self, server: Bed, cache: Cache, trees: int) -> None:
        self._cache, self._trees = cache, trees
        # Any: redis-py types every reply as bytes or str.
        self._broker: Any = redis.Redis.from_url(server.url)
        self._leftovers = RedisLeftovers(cache.stores.connection, cache.settings.record_s)
        self._pattern = self._sent()

    def close(self) -> None:
        """Close the connection."""
        self._broker.close()

    def fill(self) -> None:
        """Store the values of all trees, as far as they are gone."""
        tier, moment, now = self._cache.stores.redis, self._cache.stores.marks.now(), time.time()
        found = Found(Entry(VALUE, Stamp(moment), now, now + 3600), moment)
        for tree in range(self._trees):
            keys = [_key(tree, place) for place in range(TREE)]
            there = set(tier.present(keys))
            for place, key in enumerate(keys):
                if key not in there:
                    above = {_key(tree, (place - 1) // FAN_OUT): now} if place else {}
                    assert tier.fill(key, found, above)

    def grow(self, tasks: int) -> None:
        """Add so many tasks to what is put aside: messages like those of the client."""
        for start in range(0, tasks, AT_ONCE):
            ids = [uuid.uuid4().hex for _ in range(min(AT_ONCE, tasks - start))]
            receipts = []
            for number, request_id in enumerate(ids, start):
                keys = [_key(number % self._trees, 0)]
                request = make_request(keys=keys, id=request_id, at=time.time())
                receipts.append(pending_receipt(request))
                receipts[-1].status = Status.DONE  # but for its purge
                self._leftovers.put(request.id, request.keys)
            self._cache.stores.receipts.save(receipts)
            self._broker.lpush(ASIDE, *map(self._message, ids))

    def aside(self) -> int:
        """How many tasks are put aside."""
        return int(self._broker.llen(ASIDE))

    def waiting(self) -> int:
        """How many tasks wait in the queue."""
        return int(self._broker.llen(QUEUE))

    def put_back(self) -> None:
        """Put all of it into its queue, and wait until a worker has begun."""
        self._broker.rename(ASIDE, QUEUE)
        all_of_it = self.waiting()
        until(lambda: self.waiting() < all_of_it - 1)

    def put_aside(self) -> None:
        """Take all of it out of its queue, and wait until what was begun has ended.

        Raises:
            RuntimeError: there was nothing left, or work was given up instead of done.
        """
        if not self.waiting():
            raise RuntimeError("the backlog has come to its end before the measurement")
        self._broker.rename(QUEUE, ASIDE)
        until(lambda: not self._broker.exists(UNACKED))
        if letters := RedisDeadLetters(self._cache.stores.connection).recent(1):
            raise RuntimeError(f"a task of the backlog was given up: {letters[0].reason}")

    def _sent(self) -> dict[str, Any]:
        """A message as the client sends it; no worker may serve the queue yet."""
        self._cache.broker.send(Task.PURGE, {"requests": [""]})
        pattern: dict[str, Any] = json.loads(self._broker.rpop(QUEUE))
        return pattern

    def _message(self, request_id: str) -> bytes:
        message = copy.deepcopy(self._pattern)
        task_id, arguments = str(uuid.uuid4()), {"requests": [request_id]}
        headers, properties = message["headers"], message["properties"]
        headers |= {"id": task_id, "root_id": task_id, "kwargsrepr": repr(arguments)}
        properties |= {"correlation_id": task_id, "delivery_tag": str(uuid.uuid4())}
        message["body"] = base64.b64encode(json.dumps([[], arguments, {}]).encode()).decode()
        return json.dumps(message).encode()


def _key(tree: int, place: int) -> str:
    return f"tree:{tree}/{place}"
