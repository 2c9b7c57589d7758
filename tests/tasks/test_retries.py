"""Work that fails: tried again from the due list, then a dead letter, then done after all."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pytest
import redis
from celery import Celery

from cachekeeper.client.broker import Broker
from cachekeeper.client.cache import Cache
from cachekeeper.client.dead import open_dead_letters
from cachekeeper.core.dead import Kind, Letter, Selection
from cachekeeper.core.receipt import Receipt, Status
from cachekeeper.core.request import Request, make_request
from cachekeeper.core.strategy import CONSISTENCIES, STRATEGIES, Consistency, Strategy
from cachekeeper.errors import BrokerUnavailable, InvalidInput
from cachekeeper.names import FIRST_FAILED, QUEUES, ROUTES, Task
from cachekeeper.services.dead import DeadLetterOffice
from cachekeeper.store.redis import due as due_store
from cachekeeper.store.redis.records import ATTEMPTS
from tests.support import unused_port, wait_until
from tests.tasks.conftest import Run, Send
from workers.wiring import Wiring

DONE_S = 10
NAME = "fails"  # the id of the request that a test breaks


class Break(Protocol):
    """Makes the request fail from here on, or no longer."""

    def __call__(self, still: bool) -> None: ...


@pytest.fixture
def broken(wiring: Wiring) -> Break:
    """See ``Break``; it fails already, as what is in the place of its mark is of another kind."""
    connection = wiring.cache.stores.connection
    place = connection.layout.marked(NAME, 0)

    def broken(still: bool) -> None:
        if still:
            connection.redis.set(place, "no hash", ex=60)
        else:
            connection.redis.delete(place)

    broken(True)
    return broken


@pytest.fixture
def office(cache: Cache) -> DeadLetterOffice:
    """Where letters are replayed."""
    return open_dead_letters(cache)


@pytest.fixture
def tick(wiring: Wiring, run: Run) -> Callable[[], None]:
    """Has the sweep send the one piece of work that is due, when it is."""

    def tick() -> None:
        wait_until(lambda: wiring.due.waiting() == 1)
        wait_until(lambda: run(Task.DISPATCH_DUE)["sent"] == 1)

    return tick


def ask(send: Send, consistency: str = "strict", **more: Any) -> None:
    send(Task.INVALIDATE, id=NAME, keys=["photo:a"], consistency=consistency, **more)


def ended(wiring: Wiring) -> Receipt:
    """The receipt, once the request has ended."""

    def look() -> Receipt | None:
        receipt = wiring.cache.stores.receipts.load(NAME)
        return receipt if receipt and receipt.ended else None

    return wait_until(look)


@pytest.mark.parametrize("fails", [1, 3])
def test_what_fails_is_tried_again_until_it_succeeds(
    wiring: Wiring,
    send: Send,
    broken: Break,
    tick: Callable[[], None],
    fails: int,
) -> None:
    ask(send)
    for retry in range(1, fails + 1):
        wait_until(lambda: wiring.due.waiting() == 1)
        assert work_due(wiring)["retries"] == retry
        broken(retry < fails)
        tick()
    assert ended(wiring).status is Status.DONE
    wait_until(lambda: wiring.due.waiting() == 0)
    assert wiring.dead_letters.recent(1) == []


def work_due(wiring: Wiring) -> dict[str, Any]:
    """The one piece of work that waits, as it is stored, or nothing."""
    connection = wiring.cache.stores.connection
    found = connection.redis.hvals(connection.layout.due_work)
    return dict(json.loads(found[0])) if found else {}


@pytest.mark.parametrize("consistency", Consistency)
def test_after_the_last_attempt_it_is_a_letter_and_a_replay_does_it(
    wiring: Wiring,
    send: Send,
    broken: Break,
    tick: Callable[[], None],
    letter: Callable[[], Letter],
    office: DeadLetterOffice,
    consistency: Consistency,
) -> None:
    retries, began = CONSISTENCIES[consistency].retries, time.time()
    ask(send, consistency, strategy=Strategy.LAZY, reason="an edit")
    for _ in range(retries):
        tick()
    found = letter()
    assert (found.kind, found.attempts) == (Kind.GAVE_UP, retries + 1)
    assert (found.task, found.names) == (Task.INVALIDATE, ["photo:a"])
    assert found.work["queue"] == ROUTES[Task.INVALIDATE], "where it came from"
    assert began <= found.first_seen <= found.died <= time.time()
    assert "WRONGTYPE" in found.reason
    receipt = ended(wiring)
    assert receipt.status is Status.FAILED
    assert "WRONGTYPE" in receipt.error
    assert wiring.due.waiting() == 0

    broken(False)
    office.replay(found)
    assert wiring.dead_letters.recent(1) == []
    receipt = ended(wiring)
    assert (receipt.status, receipt.error, receipt.reason) == (Status.DONE, "", "an edit")
    assert receipt.consistency is consistency


@pytest.mark.usefixtures("broken")
def test_a_replay_that_fails_is_a_letter_again_and_its_attempts_count_from_one(
    send: Send,
    tick: Callable[[], None],
    letter: Callable[[], Letter],
    office: DeadLetterOffice,
) -> None:
    ask(send, "eventual")
    tick()
    first = letter()
    office.replay(first)
    tick()
    second = letter()
    assert second.id != first.id
    assert (second.work, second.attempts) == (first.work, 2)
    assert second.first_seen >= first.died


def test_whoever_waits_sees_the_replay_and_not_the_failure(
    cache: Cache,
    send: Send,
    broken: Break,
    letter: Callable[[], Letter],
    office: DeadLetterOffice,
) -> None:
    ask(send, "relaxed")
    found = letter()
    assert cache.receipt(NAME).wait(DONE_S).status is Status.FAILED
    broken(False)
    office.replay(found)
    assert cache.receipt(NAME).wait(DONE_S).status is Status.DONE


@pytest.mark.parametrize("strategy", [s for s in Strategy if STRATEGIES[s].waits])
@pytest.mark.parametrize("marked", [True, False], ids=["marked", "not marked"])
@pytest.mark.parametrize("kept", [True, False], ids=["receipt", "receipt expired"])
def test_a_request_that_was_given_up_in_its_batch_is_done_without_waiting_again(
    wiring: Wiring,
    cache: Cache,
    run: Run,
    office: DeadLetterOffice,
    strategy: Strategy,
    marked: bool,
    kept: bool,
) -> None:
    handle, stores = cache.invalidate("photo:a", strategy=strategy), cache.stores
    for _ in range(ATTEMPTS + 1):
        (request,) = stores.pending.claim(strategy, "dies", 10, time.time() - 1)
        if marked:
            stores.marks.mark([request], time.time())
        run(Task.RECOVER_BATCHES)
    (found,) = wiring.dead_letters.recent(10)
    assert handle.read().status is Status.FAILED
    if not kept:
        stores.connection.redis.delete(stores.connection.layout.receipt(handle.id))
    office.replay(found)
    assert handle.wait(DONE_S).status is Status.DONE
    assert stores.marks.now().epoch == 1, "its effect is had once"
    assert wiring.dead_letters.recent(10) == []


@pytest.mark.parametrize("known", [True, False], ids=["receipt", "receipt expired"])
def test_without_a_broker_a_letter_stays_and_its_receipt_says_failed(
    wiring: Wiring, cache: Cache, known: bool
) -> None:
    request = make_request(id=NAME, at=1, keys=["photo:a"])
    work = {"task": Task.INVALIDATE, "id": NAME, "arguments": request.to_wire()}
    wiring.dead_letters.bury(work, "broken", 2, kind=Kind.GAVE_UP)
    if known:
        wiring.invalidator.refuse(request, ValueError("broken"))
    broker = Broker(f"redis://127.0.0.1:{unused_port()}/0")
    office = DeadLetterOffice(
        letters=wiring.dead_letters, receipts=cache.stores.receipts, sender=broker
    )
    (found,) = office.find(Selection())
    with pytest.raises(BrokerUnavailable):
        office.replay(found)
    receipt = cache.receipt(NAME).read()
    assert receipt.status is Status.FAILED
    assert "broken" in receipt.error
    assert wiring.dead_letters.recent(10) == [found]
    broker.close()


@pytest.mark.parametrize(
    ("work", "said"),
    [
        ({"task": Task.INVALIDATE, "id": NAME, "arguments": {}}, "keys: "),
        ({"task": "demo.add", "arguments": {}}, "task: 'demo.add' is not allowed"),
        ({"raw": "not even JSON"}, "task: '' is not allowed"),
    ],
)
def test_what_nobody_could_do_is_not_sent(
    wiring: Wiring, office: DeadLetterOffice, work: dict[str, Any], said: str
) -> None:
    wiring.dead_letters.bury(work, "odd", 1, kind=Kind.GAVE_UP)
    (found,) = office.find(Selection())
    with pytest.raises(InvalidInput, match=f"^{said}"):
        office.replay(found)
    assert wiring.dead_letters.recent(10) == [found]


def test_a_malformed_letter_is_refused(wiring: Wiring, office: DeadLetterOffice) -> None:
    request = make_request(id=NAME, at=1, keys=["photo:a"])
    work = {"task": Task.INVALIDATE, "arguments": request.to_wire()}
    letter_id = wiring.dead_letters.bury(work, "malformed, somebody thought", 1)
    (found,) = office.find(Selection())
    with pytest.raises(InvalidInput, match=f"^id: '{letter_id}' .* can only fail again"):
        office.replay(found)


@pytest.mark.usefixtures("broken")
def test_too_many_retries_are_told_and_the_work_is_kept(
    wiring: Wiring,
    send: Send,
    letter: Callable[[], Letter],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(due_store, "KEPT", 0)
    ask(send)
    found = letter()
    assert (found.kind, found.attempts) == (Kind.GAVE_UP, 1)
    assert found.reason.endswith("not tried again: too many retries wait")
    assert ended(wiring).status is Status.FAILED
    assert wiring.activity.totals()["not tried again: too many retries wait"] == 1


@pytest.mark.usefixtures("broken")
def test_a_message_that_comes_twice_waits_once(wiring: Wiring, celery_session_app: Celery) -> None:
    """As when a worker dies after it has put its work into the list."""
    fields = {"id": NAME, "keys": ["photo:a"], "consistency": "eventual"}
    queue = ROUTES[Task.INVALIDATE]
    for _ in range(2):
        celery_session_app.send_task(Task.INVALIDATE, kwargs=fields, queue=queue, task_id="same")
    wait_until(lambda: wiring.due.waiting() == 1)
    with redis.Redis.from_url(celery_session_app.conf.broker_url) as broker:
        wait_until(lambda: not broker.exists(*QUEUES, "unacked"))
    assert (wiring.due.waiting(), work_due(wiring)["retries"]) == (1, 1)


@pytest.mark.usefixtures("broken")
@pytest.mark.parametrize(
    ("how", "attempts"),
    [
        ({"retries": 9}, 10),
        ({"headers": {FIRST_FAILED: "long ago"}}, 2),
        ({"headers": {FIRST_FAILED: 1e300}}, 2),
    ],
    ids=str,
)
def test_headers_that_anybody_may_write_do_no_harm(
    wiring: Wiring,
    celery_session_app: Celery,
    run: Run,
    letter: Callable[[], Letter],
    how: dict[str, Any],
    attempts: int,
) -> None:
    fields = {"id": NAME, "keys": ["photo:a"], "consistency": "eventual"}
    queue = ROUTES[Task.INVALIDATE]
    celery_session_app.send_task(Task.INVALIDATE, kwargs=fields, queue=queue, **how)
    if attempts == 2:
        wait_until(lambda: run(Task.DISPATCH_DUE)["sent"] == 1)
    found = letter()
    assert found.attempts == attempts
    assert found.first_seen == pytest.approx(time.time(), abs=30)
    assert wiring.due.waiting() == 0


def test_a_retry_keeps_its_queue_its_id_and_when_it_is_stale(
    wiring: Wiring,
    celery_session_app: Celery,
    origin: Path,
) -> None:
    assert wiring.prefetcher is not None, "made while the folder was there"
    origin.rmdir()
    incarnation, epoch = wiring.cache.stores.marks.now()
    fields: dict[str, Any] = {"device": "phone", "path": "a.jpg", "token": "t", "origin": "origin"}
    fields |= {"probability": 0.8, "until": time.time() + 60}
    fields |= {"incarnation": incarnation, "epoch": epoch}
    celery_session_app.send_task(
        Task.PREFETCH,
        kwargs=fields,
        queue="maintenance.run",
        task_id="mine",
        expires=300,
    )
    wait_until(lambda: wiring.due.waiting() == 1)
    work = work_due(wiring)
    assert (work["id"], work["queue"], work["retries"]) == ("mine", "maintenance.run", 1)
    assert work["expires"] == pytest.approx(time.time() + 300, abs=30)
    assert work["reason"].endswith("a.jpg: origin_away")
    assert work["arguments"] == fields


@pytest.mark.usefixtures("broken")
def test_the_request_that_is_tried_again_is_the_one_that_was_made(
    wiring: Wiring, send: Send
) -> None:
    """What the first attempt filled in, its id and its time, stays."""
    ask(send)
    wait_until(lambda: wiring.due.waiting() == 1)
    arguments = work_due(wiring)["arguments"]
    assert set(arguments) <= set(Request.__dataclass_fields__)
    assert arguments["id"] == NAME
    assert arguments["at"] == pytest.approx(time.time(), abs=30)
