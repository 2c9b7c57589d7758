"""How much an origin is asked: at a time, in bytes, and not while it fails."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cachekeeper.core.ports.origins import Origin
from cachekeeper.errors import CachekeeperError, ForbiddenPath, OriginMissing, OriginUnavailable
from cachekeeper.origin.breaker import Breaker
from cachekeeper.origin.folder import FolderOrigin
from cachekeeper.origin.limited import LimitedOrigin
from cachekeeper.origin.rate import ByteRate
from tests.origins.faulty import Faulty, Handler, content, faulty, status
from tests.origins.servers import only
from tests.support import wait_until

MIB = 1024 * 1024


class Clock:
    """A time that passes when somebody sleeps, and when told."""

    def __init__(self) -> None:
        self.now, self.slept = 1000.0, 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "library"
    folder.mkdir()
    (folder / "a").write_bytes(b"a" * 3_000_000)
    return folder


def limited(
    folder: Path, clock: Clock, *, concurrency: int = 8, wait_s: float = 0.05, rate: int = 0
) -> LimitedOrigin:
    return LimitedOrigin(
        "it",
        FolderOrigin(folder),
        concurrency=concurrency,
        wait_s=wait_s,
        breaker=Breaker("it", 3, clock=clock, drawn=lambda: 1.0),
        rate=ByteRate(rate, clock=clock, sleep=clock.sleep) if rate else None,
    )


def test_bytes_come_at_the_rate_after_the_first_second_of_them(folder: Path, clock: Clock) -> None:
    origin = limited(folder, clock, rate=MIB)
    assert len(origin.read("a")) == 3_000_000
    assert clock.slept == pytest.approx(3_000_000 / MIB - 1)
    clock.now += 100  # what was not used for long does not add up
    before = clock.slept
    origin.read("a")
    assert clock.slept - before == pytest.approx(3_000_000 / MIB - 1)


def test_threads_share_a_rate() -> None:
    rate, size = ByteRate(4 * MIB), MIB
    began = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: rate.took(size), range(8)))
    assert time.monotonic() - began >= 0.95  # 8 MiB at 4 MiB/s, one second's worth at once


def test_so_many_are_asked_at_a_time_and_no_more(tmp_path: Path) -> None:
    most, now, lock = 0, 0, threading.Lock()

    def slow(handler: Handler) -> None:
        nonlocal most, now
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.02)
        with lock:
            now -= 1
        content(b"x", ETag='"1"')(handler)

    with faulty() as server:
        server.answers["/a"] = slow
        origin = only(tmp_path, url=server.url, concurrency=3)
        with ThreadPoolExecutor(12) as pool:
            assert len(list(pool.map(lambda _: origin.stat("it/a"), range(40)))) == 40
    assert most == 3


def test_an_open_file_takes_a_turn_until_it_is_closed(folder: Path, clock: Clock) -> None:
    origin = limited(folder, clock, concurrency=2)
    first, second = origin.open("a"), origin.open("a")
    for ask in (origin.stat, origin.open, origin.read):
        with pytest.raises(OriginUnavailable, match="2 requests are under way"):
            ask("a")
    first.close()
    first.close()
    assert origin.stat("a").size == 3_000_000
    with origin.open("a"), pytest.raises(OriginUnavailable):
        origin.stat("a")
    second.close()
    with origin.open("a") as one, origin.open("a") as two:
        assert one.read(1) == two.read(1)


def test_what_fails_gives_its_turn_back(folder: Path, clock: Clock) -> None:
    origin = limited(folder, clock, concurrency=1)
    for _ in range(3):
        for ask in (origin.stat, origin.open, origin.read, origin.list):
            with pytest.raises(OriginMissing):
                ask("gone")
            with pytest.raises(ForbiddenPath):
                ask("../a")
    assert origin.stat("a").size == 3_000_000


def test_a_file_that_nobody_closes_gives_its_turn_back_when_it_goes(
    folder: Path, clock: Clock
) -> None:
    origin = limited(folder, clock, concurrency=1)
    origin.open("a").read(1)
    wait_until(lambda: origin.stat("a"))


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker("it", 3, clock=clock, drawn=lambda: 1.0)


def fail(breaker: Breaker, times: int = 1) -> None:
    for _ in range(times):
        breaker.admit()
        breaker.failed("down")


def test_a_breaker_opens_after_failures_in_a_row_only(breaker: Breaker) -> None:
    for _ in range(5):
        fail(breaker, 2)
        breaker.admit()
        breaker.succeeded()
    fail(breaker, 3)
    with pytest.raises(OriginUnavailable, match=r"failed 3 times in a row \(down\).*UTC, in 0.5 s"):
        breaker.admit()


def test_its_pauses_grow_up_to_a_cap(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    for pause in (0.5, 1, 2, 4, 8, 10, 10):
        clock.now += pause - 0.001
        with pytest.raises(OriginUnavailable):
            breaker.admit()
        clock.now += 0.002
        fail(breaker)


def test_its_pauses_are_drawn(clock: Clock) -> None:
    early = Breaker("it", 1, clock=clock, drawn=lambda: 0.0)
    late = Breaker("it", 1, clock=clock, drawn=lambda: 1.0)
    for each in (early, late):
        fail(each)
    clock.now += 0.3
    assert early.admit()
    with pytest.raises(OriginUnavailable):
        late.admit()


def test_one_probes_for_all_others(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 1
    assert breaker.admit()
    with pytest.raises(OriginUnavailable, match="being asked again"):
        breaker.admit()
    breaker.succeeded()
    assert not breaker.admit()
    fail(breaker, 2)
    assert not breaker.admit()


def test_a_probe_that_ends_without_an_answer_leaves_its_place(
    breaker: Breaker, clock: Clock
) -> None:
    fail(breaker, 3)
    clock.now += 1
    breaker.unsaid(probing=breaker.admit())
    assert breaker.admit()


def test_what_was_asked_before_it_opened_tells_nothing_new(breaker: Breaker, clock: Clock) -> None:
    """Or a hundred requests under way would count as a hundred failed probes."""
    for _ in range(100):
        breaker.admit()
    for _ in range(100):
        breaker.failed("down")
    clock.now += 0.501
    assert breaker.admit()


@pytest.fixture
def server() -> Iterator[Faulty]:
    with faulty() as made:
        yield made


def failing(origin: Origin, times: int) -> None:
    for _ in range(times):
        with pytest.raises(OriginUnavailable):
            origin.read("it/a")


def test_an_origin_that_fails_is_left_alone_and_found_again(server: Faulty, tmp_path: Path) -> None:
    origin = only(tmp_path, url=server.url, failures=3)
    server.answers["/a"] = status(503)
    failing(origin, 3)
    asked = len(server.asked)
    with pytest.raises(OriginUnavailable, match="3 times in a row"):
        origin.read("it/a")
    assert len(server.asked) == asked
    server.answers["/a"] = content(b"back", ETag='"1"')

    def back() -> bytes | None:
        try:
            return origin.read("it/a")
        except CachekeeperError:
            return None

    assert wait_until(back) == b"back"


def test_a_file_that_is_gone_is_an_answer(server: Faulty, tmp_path: Path) -> None:
    origin = only(tmp_path, url=server.url, failures=2)
    for _ in range(5):
        with pytest.raises(OriginMissing):
            origin.stat("it/gone")
        with pytest.raises(OriginUnavailable):  # and so is one without lists
            origin.list("it")
    server.answers["/a"] = content(b"here", ETag='"1"')
    assert origin.read("it/a") == b"here"


def test_an_edit_while_a_file_is_read_is_no_failure(server: Faulty, tmp_path: Path) -> None:
    origin = only(tmp_path, url=server.url, failures=1)
    for version in range(3):
        server.answers["/a"] = content(b"x" * 300_000, ETag=f'"{version}"')
        with origin.open("it/a") as file:
            server.answers["/a"] = content(b"y" * 300_000, ETag=f'"{version}b"')
            with pytest.raises(OSError, match="changed"):
                file.read()


def test_contents_that_break_off_count_as_failures(server: Faulty, tmp_path: Path) -> None:
    def short(handler: Handler) -> None:
        handler.answer(200, os.urandom(200_000), Content_Length="300000")
        handler.close_connection = True

    server.answers["/a"] = short
    origin = only(tmp_path, url=server.url, failures=1)
    failing(origin, 1)
    with pytest.raises(OriginUnavailable, match="in a row"):
        origin.stat("it/a")
