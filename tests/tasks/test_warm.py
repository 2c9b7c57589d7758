"""Warm jobs: what was asked for is there, and how far it is can be seen by anybody."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cachekeeper.client.cache import Cache
from cachekeeper.core.dead import Kind, Letter
from cachekeeper.core.device import WARM
from cachekeeper.core.warming import Place, WarmState
from cachekeeper.errors import InvalidInput
from cachekeeper.names import Task
from cachekeeper.services import warm
from tests.slow_origin import Gate, slow_origin
from tests.support import wait_until
from tests.tasks.conftest import Run, Send
from workers.wiring import Wiring

WAIT_S = 30


@pytest.fixture(autouse=True)
def library(origin: Path) -> dict[str, bytes]:
    """A folder with folders in it, eight files in all below ``photos``."""
    files = {f"photos/{i}.jpg": f"photo {i}".encode() * 20 for i in range(5)}
    files |= {f"photos/2026/ä #{i}.jpg": f"new {i}".encode() * 20 for i in range(3)}
    files["notes/12:30.txt"] = b"a colon is no namespace"
    for path, body in files.items():
        (origin / path).parent.mkdir(parents=True, exist_ok=True)
        (origin / path).write_bytes(body)
    return files


def below(library: dict[str, bytes], folder: str) -> set[str]:
    return {path for path in library if path.startswith(folder)}


class TestASite:
    """Without a device."""

    def test_a_folder_is_warm_with_all_below_it(
        self, cache: Cache, library: dict[str, bytes]
    ) -> None:
        status = cache.warm("photos/").wait(WAIT_S)
        photos = below(library, "photos/")
        assert (status.state, status.done, status.items) == (WarmState.DONE, 8, 8)
        assert status.bytes == status.total_bytes == sum(len(library[path]) for path in photos)
        assert (status.failed, status.listed, status.device) == ({}, True, "")
        for path in photos:
            assert cache.files.lookup(path).state == "fresh"
        assert cache.files.lookup("notes/12:30.txt").state != "fresh"

    def test_everything_paths_and_keys(self, cache: Cache, library: dict[str, bytes]) -> None:
        few = cache.warm(["notes/12:30.txt", "file:photos/1.jpg"]).wait(WAIT_S)
        assert (few.done, few.held) == (2, 0)
        assert cache.files.lookup("photos/1.jpg").state == "fresh"
        assert cache.warm(".").wait(WAIT_S).done == len(library)

    def test_what_is_not_there_is_counted_and_the_rest_is_done(self, cache: Cache) -> None:
        status = cache.warm(["nowhere", "photos/1.jpg", "photos/none.jpg"]).wait(WAIT_S)
        assert (status.state, status.done, status.items) == (WarmState.DONE, 1, 3)
        assert status.failed == {"missing": 2}

    def test_a_key_is_made_here_and_the_files_below_it_by_workers(
        self, cache: Cache, library: dict[str, bytes]
    ) -> None:
        thumbs, albums = cache.namespace("thumb"), cache.namespace("album")
        thumbs.loader(lambda path: cache.files.get(path)[:4])
        albums.loader(lambda name: b"".join(map(thumbs.get, sorted(below(library, name)))))
        status = cache.warm("album:photos/2026").wait(WAIT_S)
        assert albums.lookup("photos/2026").state == "fresh"
        assert (status.done, status.items) == (4, 4), "the album, and three files"
        onto = cache.device("phone").warm("album:photos/2026").wait(WAIT_S)
        assert set(cache.stores.devices.manifest("phone")) == below(library, "photos/2026/")
        assert onto.done == 4

    def test_a_key_of_which_nothing_is_known_is_refused(self, cache: Cache) -> None:
        cache.namespace("page")  # without a loader
        for targets in ("page:1", [], "../a", "a//b", [7]):
            with pytest.raises(InvalidInput, match="targets"):
                cache.warm(targets)  # type: ignore[arg-type]  # a number is no target
        assert cache.stores.warm.ids() == []

    def test_jobs_are_known_to_every_process(self, cache: Cache, wiring: Wiring) -> None:
        first = cache.warm("photos")
        second = wiring.cache.warm("notes")
        assert cache.stores.warm.ids() == [second.id, first.id]
        assert wiring.cache.warm_job(first.id).wait(WAIT_S).done == 8
        second.wait(WAIT_S)
        with pytest.raises(InvalidInput, match="warm job"):
            cache.warm_job("nobody").status()
        # A colon leads to another key of the job; the last is what a shell's \xff becomes.
        for odd in ("", "x" * 65, f"{first.id}:claims", "\udcff"):
            with pytest.raises(InvalidInput, match="id: "):
                cache.warm_job(odd)


class TestADevice:
    """With room for six files of the eight."""

    @pytest.fixture
    def given(self) -> dict[str, object]:
        """See the class."""
        return {"device_quota": 900, "device_headroom": 0}

    @pytest.mark.parametrize("policy", ["gdga", "retention", "lru"])
    def test_it_stops_when_the_device_is_full_and_goes_on_when_there_is_room(
        self, wiring: Wiring, library: dict[str, bytes], policy: str
    ) -> None:
        settings = wiring.settings.model_copy(update={"device_policy": policy})
        wiring.cache.settings = settings
        phone = wiring.cache.device("phone")
        job = phone.warm("photos")
        status = job.wait(WAIT_S)
        assert status.state is WarmState.STOPPED
        assert status.reason.startswith("the device is full of what is worth more: photos/")
        first = set(wiring.cache.stores.devices.manifest("phone"))
        assert len(first) == status.done
        assert 5 <= status.done < 8
        assert phone.ledger().counters["warmed"] == status.done
        assert "evictions" not in phone.ledger().counters
        assert wiring.cache.stores.files.bytes_on_disk("phone") <= 900

        wiring.cache.settings = settings.model_copy(update={"device_quota": 2000})
        assert job.resume()
        assert not job.resume()
        end = job.wait(WAIT_S)
        assert (end.state, end.done, end.reason) == (WarmState.DONE, 8, "")
        manifest = wiring.cache.stores.devices.manifest("phone")
        assert set(manifest) == below(library, "photos/")
        assert {each.by for each in manifest.values()} == {WARM}

    def test_a_file_that_never_fits_does_not_keep_the_others(
        self, cache: Cache, origin: Path
    ) -> None:
        (origin / "notes" / "1.txt").write_bytes(b"x" * 2000)
        status = cache.device("phone").warm("notes").wait(WAIT_S)
        assert (status.state, status.done) == (WarmState.DONE, 1)
        assert status.failed == {"larger_than_quota": 1}

    def test_what_it_holds_is_not_fetched_again(self, cache: Cache) -> None:
        phone = cache.device("phone")
        phone.warm("photos/2026").wait(WAIT_S)
        copies = {p: held.copy for p, held in cache.stores.devices.manifest("phone").items()}
        again = phone.warm("photos/2026").wait(WAIT_S)
        assert (again.done, again.held) == (3, 3)
        held = cache.stores.devices.manifest("phone").items()
        assert {p: each.copy for p, each in held} == copies


class TestASlowOrigin:
    """Pieces come one at a time."""

    @pytest.fixture
    def given(self) -> dict[str, object]:
        """Small enough a limit for all of them to be streamed."""
        return {"redis_value_bytes": 1}

    @pytest.fixture
    def gate(self, wiring: Wiring, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:  # noqa: ARG002
        """What holds the origin back."""
        monkeypatch.setattr(warm, "KEEP_S", 0.0)
        with slow_origin(monkeypatch, pieces=2) as gate:
            yield gate

    def test_cancelled_it_ends_within_a_file_and_resumed_it_goes_on_where_it_was(
        self, cache: Cache, gate: Gate
    ) -> None:
        job = cache.device("phone").warm("photos")
        gate.let(5)
        wait_until(lambda: job.status().done == 2)
        assert job.cancel()
        assert not job.cancel()
        gate.let(1)
        wait_until(lambda: not claims(cache, job.id))
        status = job.status()
        assert (status.state, status.done) == (WarmState.CANCELLED, 2)
        assert gate.opened == 3, "the third was begun, and none after it"
        assert cache.device("phone").ledger().reserved == 0
        gate.let(100)
        assert job.resume()
        assert job.wait(WAIT_S).done == 8
        assert gate.opened == 3 + 6, "what was done is not fetched again"

    def test_one_that_died_with_its_claim_is_taken_over(
        self,
        cache: Cache,
        wiring: Wiring,
        run: Run,
        gate: Gate,
    ) -> None:
        jobs = cache.stores.warm
        job = jobs.open("phone", [Place("photos", is_target=True)], ["photos"])
        dead = jobs.take(job, count=9, at_once=2, lease_s=0.3)
        assert dead.place is not None
        gate.let(100)
        wait_until(lambda: run(Task.RECOVER_BATCHES) and jobs.status(job).done == 8)  # type: ignore[union-attr]
        assert jobs.tell(job, dead.token, "photos/1.jpg", 9, "", 30, held=False) == ""
        jobs.listed(job, dead.token, ["photos/1.jpg"], [], items=1, size=1)
        status = wiring.cache.warm_job(job).wait(WAIT_S)
        assert (status.done, status.items) == (8, 8)


def claims(cache: Cache, job: str) -> int:
    """How many work on a job."""
    connection = cache.stores.connection
    return int(connection.redis.hlen(connection.layout.warm_claims(job)))


def test_while_the_origin_is_away_it_waits_and_then_stops(
    wiring: Wiring, run: Run, origin: Path
) -> None:
    assert wiring.warmer is not None, "made while the folder was there"
    away = origin.rename(origin.with_name("away"))
    job = wiring.cache.warm("photos")
    wait_until(lambda: run(Task.DISPATCH_DUE) and job.status().ended, seconds=60)
    assert job.status().state is WarmState.STOPPED
    assert job.status().reason.startswith("the origin is away: ")
    away.rename(origin)
    assert job.resume()
    assert job.wait(WAIT_S).done == 8


def test_a_large_folder_is_listed_a_part_at_a_time(
    wiring: Wiring, origin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warm, "LISTED", 20)
    (origin / "large").mkdir()
    for i in range(90):
        (origin / "large" / f"{i:03}.txt").write_bytes(b"%d" % i)
    most, stop = [0], threading.Event()
    layout = wiring.cache.stores.connection.layout
    job = wiring.cache.warm("large")

    def look() -> None:
        while not stop.is_set():
            found = int(wiring.cache.stores.connection.redis.llen(layout.warm_items(job.id)))
            most[0] = max(most[0], found)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        assert job.wait(WAIT_S).done == 90
    finally:
        stop.set()
        watcher.join()
    assert most[0] <= 20


def test_a_job_that_nobody_knows_is_no_work(run: Run) -> None:
    assert run(Task.WARM, job="nobody") == {"state": ""}


@pytest.mark.parametrize("job", ["nobody:places", "*", "", 7])
def test_what_is_no_id_of_a_job_is_buried(
    send: Send, letter: Callable[[], Letter], job: object
) -> None:
    send(Task.WARM, job=job)
    found = letter()
    assert found.kind is Kind.MALFORMED
    assert "job: " in found.reason
