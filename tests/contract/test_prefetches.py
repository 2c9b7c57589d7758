"""Who may fetch what, exact across processes, and how a device is throttled."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cachekeeper.core.prefetching import Candidate, Ticket, Usefulness
from cachekeeper.core.stamps import Moment
from cachekeeper.store.redis.connection import Connection
from cachekeeper.store.redis.marks import RedisMarks
from cachekeeper.store.redis.prefetching import RedisPrefetches
from tests.support import wait_until

LEASE = {"lease_s": 30.0}
LIKELY = 0.8


@pytest.fixture
def connection(server_url: str, deployment: str) -> Iterator[Connection]:
    """A connection of the test's own."""
    connection = Connection(server_url, deployment)
    connection.redis.ping()
    yield connection
    connection.close()


@pytest.fixture
def prefetches(connection: Connection) -> RedisPrefetches:
    """What is tested."""
    return RedisPrefetches(connection)


def plan(prefetches: RedisPrefetches, *paths: str, chance: float = LIKELY, **how: float) -> str:
    """What each of the paths is told, in a line."""
    given = [Candidate(path, chance, f"of {path}", "origin") for path in paths]
    wanted = {"threshold": 0.7, "claim_s": 30.0} | how
    at_most = int(wanted.pop("at_most", 4))
    found = prefetches.plan("phone", given, at_most=at_most, **wanted)
    return " ".join(verdict or "go" for verdict in found[1])


class Tickets:
    """Leaves to fetch something, as of now."""

    def __init__(self, planned: Moment) -> None:
        self._planned = planned

    def __call__(
        self, path: str, token: str, device: str = "phone", origin: str = "origin"
    ) -> Ticket:
        return Ticket(device, path, token, origin, self._planned)


@pytest.fixture
def ticket(connection: Connection) -> Tickets:
    """See ``Tickets``."""
    return Tickets(RedisMarks(connection, 60).now())


def begin(prefetches: RedisPrefetches, given: Ticket, device: int = 2, origin: int = 3) -> str:
    return prefetches.begin(given, per_device=device, per_origin=origin, **LEASE)


def test_a_path_is_planned_once_and_at_most_so_many(prefetches: RedisPrefetches) -> None:
    assert plan(prefetches, "a", "b", "c", at_most=2) == "go go enough"
    assert plan(prefetches, "a", "b", "c", at_most=2) == "claimed claimed go"


def test_a_claim_ends_by_itself(prefetches: RedisPrefetches) -> None:
    assert plan(prefetches, "a", claim_s=0.2) == "go"
    wait_until(lambda: plan(prefetches, "a") == "go")


def test_only_its_holder_begins_and_it_may_do_so_again(
    prefetches: RedisPrefetches, ticket: Tickets
) -> None:
    assert plan(prefetches, "a") == "go"
    assert begin(prefetches, ticket("a", "another")) == "claimed"
    assert begin(prefetches, ticket("a", "of a")) == ""
    assert begin(prefetches, ticket("a", "of a"), device=1) == "", "its message came twice"


def test_places_are_counted_by_device_and_by_origin(
    prefetches: RedisPrefetches, ticket: Tickets
) -> None:
    assert begin(prefetches, ticket("a", "1")) == ""
    assert begin(prefetches, ticket("b", "2")) == ""
    assert begin(prefetches, ticket("c", "3")) == "device_busy"
    assert begin(prefetches, ticket("c", "3", device="tv")) == ""
    assert begin(prefetches, ticket("d", "4", device="tv")) == "origin_busy"
    assert begin(prefetches, ticket("d", "4", device="tv", origin="other")) == ""
    prefetches.end(ticket("a", "1"))
    assert begin(prefetches, ticket("c", "5")) == ""


def test_the_place_of_a_process_that_died_is_free_after_its_lease(
    prefetches: RedisPrefetches, ticket: Tickets
) -> None:
    dead = ticket("a", "1")
    assert prefetches.begin(dead, per_device=1, per_origin=9, lease_s=0.2) == ""
    assert begin(prefetches, ticket("b", "2"), device=1) == "device_busy"
    wait_until(lambda: begin(prefetches, ticket("b", "2"), device=1) == "")
    assert prefetches.keep(dead, 30) == "claimed"


def test_an_origin_that_is_away_is_left_alone_for_longer_each_time(
    prefetches: RedisPrefetches, connection: Connection, ticket: Tickets
) -> None:
    pauses, mine = [], ticket("a", "mine")
    for number in range(3):
        prefetches.end(mine, "origin_away", again_s=30)
        pauses.append(connection.redis.pttl(connection.layout.away("origin")))
        assert begin(prefetches, mine) == "origin_away"
        assert plan(prefetches, f"b{number}") == "origin_away"
        connection.redis.delete(connection.layout.away("origin"))
    assert pauses[0] < pauses[1] < pauses[2]
    prefetches.end(ticket("a", "9"))
    prefetches.end(ticket("a", "9"), "origin_away")
    assert connection.redis.pttl(connection.layout.away("origin")) <= pauses[0] + 1000


class Outcomes:
    """What became of predictions, as the scripts of devices count it."""

    def __init__(self, connection: Connection, prefetches: RedisPrefetches) -> None:
        self._redis, self._prefetches = connection.redis, prefetches
        self._stats, self._number = connection.layout.device_stats("phone"), 0

    def come(self, used: int, wasted: int) -> Usefulness:
        """So many were read, and so many left unread; the next plan sees it."""
        for name, more in (
            ("prefetched", used + wasted),
            ("prefetch_used", used),
            ("prefetch_wasted", wasted),
        ):
            self._redis.hincrby(self._stats, name, more)
        self.plans()
        found = self._prefetches.usefulness("phone")
        assert found is not None
        return found

    def plans(self, count: int = 1, chance: float = LIKELY) -> int:
        """How many of so many plans lead to a fetch."""
        self._number += count
        paths = [f"p{self._number - i}" for i in range(count)]
        return sum(plan(self._prefetches, path, chance=chance) == "go" for path in paths)


@pytest.fixture
def outcomes(connection: Connection, prefetches: RedisPrefetches) -> Outcomes:
    """See ``Outcomes``."""
    return Outcomes(connection, prefetches)


def test_a_device_that_nothing_is_known_of_is_not_throttled(
    prefetches: RedisPrefetches, outcomes: Outcomes
) -> None:
    assert prefetches.usefulness("phone") is None
    assert outcomes.come(used=0, wasted=9) == Usefulness("open", 1.0, 0.7)
    assert outcomes.plans() == 1


def test_predictions_that_are_not_read_raise_the_threshold_and_then_stop_them(
    outcomes: Outcomes,
) -> None:
    assert outcomes.come(used=40, wasted=10).state == "open"
    raised = outcomes.come(used=0, wasted=25)
    assert raised.state == "raised"
    assert 0.2 < raised.usefulness < 0.5
    assert 0.7 < raised.threshold < 1
    assert (outcomes.plans(chance=0.705), outcomes.plans(chance=0.99)) == (0, 1)
    assert outcomes.come(used=0, wasted=100).state == "stopped"
    assert outcomes.plans(40, chance=0.99) == 2, "a probe now and then"


def test_by_its_probes_it_recovers(outcomes: Outcomes) -> None:
    assert outcomes.come(used=0, wasted=50).state == "stopped"
    assert outcomes.come(used=15, wasted=0).state == "raised"
    found = outcomes.come(used=25, wasted=0)
    assert (found.state, found.threshold) == ("open", 0.7)


def test_those_that_nobody_has_read_for_long_are_judged_before_they_leave(
    connection: Connection, outcomes: Outcomes
) -> None:
    connection.redis.hincrby(connection.layout.device_stats("phone"), "prefetched", 16)
    assert outcomes.come(used=0, wasted=0).usefulness == 1.0
    connection.redis.hincrby(connection.layout.device_stats("phone"), "prefetched", 40)
    assert outcomes.come(used=0, wasted=0).state == "stopped"
    assert outcomes.come(used=40, wasted=0).state == "open", "they were read after all"
