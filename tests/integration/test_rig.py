"""Our worker in processes of its own, and what happens to work when they are killed."""

from __future__ import annotations

import ast
import os
import uuid
from typing import Any

import psutil
import pytest
from pytest_celery import CeleryTestSetup, CeleryTestWorker

from cachekeeper.client.cache import Cache
from cachekeeper.client.receipt import ReceiptHandle
from cachekeeper.core.receipt import Receipt, Status
from cachekeeper.core.strategy import Consistency
from cachekeeper.names import Task
from tests.integration.processes import left
from tests.rig.plugin import Given
from tests.support import wait_until

DONE_S = 20.0
ABSENT = "a-node-that-does-not-answer"


def processes(worker: CeleryTestWorker) -> set[int]:
    """The process ids of a worker and its children."""
    return {process["pid"] for process in worker.get_running_processes_info(["pid"])}


def child(worker: CeleryTestWorker) -> psutil.Process:
    """The process that runs the worker's tasks."""
    (found,) = (psutil.Process(pid) for pid in processes(worker) if pid != os.getsid(pid))
    return found


def answered(worker: CeleryTestWorker) -> bool:
    """Whether the worker takes part in the cluster."""
    replies = worker.app.control.ping(timeout=0.5)
    return any(worker.hostname() in reply for reply in replies)


def derived_values(cache: Cache) -> list[str]:
    """Fill every tier with a photo, what was made from it and what was made from that."""
    names = ("photo", "thumb", "page")
    photos, thumbs, pages = (cache.namespace(name, on_disk=True) for name in names)
    photos.loader(lambda name: b"photo " + name.encode())
    thumbs.loader(lambda name: b"small " + photos.get(name))
    pages.loader(lambda name: b"page of " + thumbs.get(name))
    pages.get("a")
    return ["photo:a", "thumb:a", "page:a"]


def held(cache: Cache, keys: list[str]) -> set[tuple[str, str]]:
    """(tier, key) of every entry that a read would return."""
    return {(name, key) for name, tier in cache.tiers.items() for key in keys if tier.read(key)}


@pytest.fixture
def worker_settings() -> Given:
    """Waits for a node that does not answer for as long as a test needs."""
    return {"ack_timeout_s": 60}


def held_up(cache: Cache) -> ReceiptHandle:
    """A request that a worker has marked, and on which it works until ``let_go``."""
    cache.stores.nodes.join(ABSENT)
    handle = cache.invalidate("photo:a", consistency=Consistency.STRICT)
    wait_until(lambda: cache.stores.marks.now().epoch == 1)
    assert handle.read().status is Status.PENDING
    return handle


def let_go(cache: Cache, handle: ReceiptHandle) -> Receipt:
    """Have the node leave that the worker waits for; the receipt."""
    cache.stores.nodes.leave([ABSENT])
    return handle.wait(DONE_S)


def test_a_request_is_done_in_a_worker_process(celery_setup: CeleryTestSetup, cache: Cache) -> None:
    worker = celery_setup.worker
    assert answered(worker)
    keys = derived_values(cache)
    assert held(cache, keys) == {(tier, key) for tier in cache.tiers for key in keys}

    handle = cache.invalidate("photo:a", consistency=Consistency.STRICT)
    receipt = handle.wait(DONE_S, purged=True)

    assert receipt.status is Status.DONE
    assert receipt.affected == keys, "sources first"
    assert receipt.verified == ["disk", "redis", "memory"]
    assert receipt.batch_removed == {"disk": 3, "redis": 3}
    assert receipt.worker_pid in processes(worker) - {os.getpid()}
    assert held(cache, keys) == set()


def test_a_dashboard_hears_of_a_task_from_its_coming_to_its_end(
    celery_setup: CeleryTestSetup, cache: Cache
) -> None:
    app = celery_setup.worker.app
    heard: list[dict[str, Any]] = []
    with app.connection_for_read() as asked:
        receiver = app.events.Receiver(asked, handlers={"*": heard.append})
        with receiver.consumer_context() as (connection, _, _):
            while not heard:  # a heartbeat, then: it listens
                connection.drain_events(timeout=DONE_S)
            cache.invalidate("photo:a", reason="an edit")
            while heard[-1]["type"] != "task-succeeded":
                connection.drain_events(timeout=DONE_S)
    of_tasks = [event for event in heard if event["type"].startswith("task-")]
    assert [event["type"] for event in of_tasks] == [
        "task-received",
        "task-started",
        "task-succeeded",
    ]
    assert of_tasks[0]["name"] == Task.INVALIDATE
    assert of_tasks[0]["args"] == "()"
    shown = ast.literal_eval(of_tasks[0]["kwargs"])
    assert (shown["keys"], shown["reason"]) == (["photo:a"], "an edit")


def test_a_killed_child_hands_its_request_back(celery_setup: CeleryTestSetup, cache: Cache) -> None:
    worker = celery_setup.worker
    handle = held_up(cache)
    first = child(worker)
    first.kill()
    wait_until(lambda: not left([first]))

    receipt = let_go(cache, handle)

    assert (receipt.status, receipt.epoch) == (Status.DONE, 1)
    assert receipt.worker_pid in processes(worker) - {first.pid}


class TestAKilledWorker:
    """All of its processes are gone at once, and the broker has to notice."""

    @pytest.fixture
    def worker_application(self) -> str:
        """Looks for lost messages after seconds."""
        return "tests.rig.impatient"

    def test_its_request_is_done_by_the_next_one_and_marked_once(
        self, celery_setup: CeleryTestSetup, cache: Cache
    ) -> None:
        worker = celery_setup.worker
        handle = held_up(cache)
        before = [psutil.Process(pid) for pid in processes(worker)]
        worker.kill()
        assert worker.container.status == "exited"
        assert len(before) == 2
        assert not left(before)

        worker.restart()
        receipt = let_go(cache, handle)

        assert (receipt.status, receipt.epoch) == (Status.DONE, 1)
        assert receipt.worker_pid in processes(worker)
        assert cache.stores.marks.now().epoch == 1, "a second delivery has no second effect"
        assert worker.logs().count(f"{Task.INVALIDATE}[") >= 2


def test_what_is_queued_survives_a_restart_of_the_server(
    celery_setup: CeleryTestSetup, cache: Cache
) -> None:
    worker = celery_setup.worker
    worker.kill("SIGSTOP")  # so that the request is still queued
    queued = cache.invalidate("photo:a", reason=uuid.uuid4().hex)
    celery_setup.broker.restart()
    worker.kill("SIGCONT")
    later = cache.invalidate("photo:b")

    def both_done() -> bool:
        if worker.container.status == "exited":
            worker.restart()  # Celery may die of a lost broker; `up` restarts it, and so do we
        return queued.read().ended and later.read().ended

    wait_until(both_done, DONE_S)
    # The server that came back began an incarnation, with an epoch of its own: the first.
    assert [handle.read().epoch for handle in (queued, later)] == [2, 3]
    assert cache.why("photo:a").last_invalidation is not None
