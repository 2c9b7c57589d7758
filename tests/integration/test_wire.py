"""The wire contract, by bytes from its page and by a producer in Node.js, on a real worker."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
from pytest_celery import CeleryTestSetup

from cachekeeper.client.cache import Cache
from cachekeeper.core.receipt import Receipt, Status
from cachekeeper.names import Queue
from cachekeeper.settings import PREFIX, Settings
from tests.integration.processes import left
from tests.rig.plugin import Given
from tests.support import unused_port, wait_until

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "wire.md").read_text(encoding="utf-8")
PRODUCER = ROOT / "examples" / "producer.mjs"
NODE = shutil.which("node")
NOBODY = f"redis://127.0.0.1:{unused_port()}/0"
USER = "producer:p%40ss"
#: Where a message waits until the test hands it on: a database that no worker serves.
BETWEEN = 5
DONE_S = 30.0
ABSENT = "a-node-that-does-not-answer"
ODD = "note:été/☃ 1"

needs_node = pytest.mark.skipif(NODE is None, reason="node is not on PATH: the example is in it")


@pytest.fixture
def message() -> bytes:
    """The bytes on the page."""
    (found,) = re.findall(r"```json\n(.*?)```", PAGE, flags=re.DOTALL)
    return str(found).encode()


@pytest.fixture
def server(rig_settings: Settings) -> Iterator[redis.Redis]:
    """Broker and cache, as a foreign producer sees them."""
    assert rig_settings.cache_url is not None
    with redis.Redis.from_url(rig_settings.cache_url) as client:
        yield client


def end_of(server: redis.Redis, deployment: str, request: str) -> Receipt:
    """Wait for a receipt as the page says."""

    def look() -> Receipt | None:
        raw: Any = server.get(f"{{{deployment}}}:receipt:{request}")
        if raw and json.loads(raw)["status"] != "pending":
            return Receipt.from_json(raw)
        server.blpop([f"{{{deployment}}}:ended:{request}"], 1)
        return None

    return wait_until(look, DONE_S)


def test_the_bytes_on_the_page_are_a_request(
    celery_setup: CeleryTestSetup, server: redis.Redis, rig_settings: Settings, message: bytes
) -> None:
    assert celery_setup.worker
    server.lpush(Queue.IMMEDIATE, message)
    receipt = end_of(server, rig_settings.deployment, "7c1f")
    assert (receipt.status, receipt.names) == (Status.DONE, ["note:milk"])
    assert receipt.epoch == 1


class TestHandedBack:
    """A worker dies over the bytes on the page."""

    @pytest.fixture
    def worker_settings(self) -> Given:
        """Waits for a node that does not answer for as long as the test needs."""
        return {"ack_timeout_s": 60}

    def test_the_message_is_done_by_another(
        self,
        celery_setup: CeleryTestSetup,
        cache: Cache,
        server: redis.Redis,
        rig_settings: Settings,
        message: bytes,
    ) -> None:
        cache.stores.nodes.join(ABSENT)
        server.lpush(Queue.IMMEDIATE, message)
        wait_until(lambda: cache.stores.marks.now().epoch == 1)
        pids = [at["pid"] for at in celery_setup.worker.get_running_processes_info(["pid"])]
        (child,) = (psutil.Process(pid) for pid in pids if pid != os.getsid(pid))
        child.kill()
        wait_until(lambda: not left([child]))
        cache.stores.nodes.leave([ABSENT])
        receipt = end_of(server, rig_settings.deployment, "7c1f")
        assert (receipt.status, receipt.epoch) == (Status.DONE, 1)
        assert receipt.worker_pid != child.pid


@contextmanager
def producer(
    broker: str, cache: str, deployment: str, *keys: str
) -> Iterator[subprocess.Popen[str]]:
    """The example in Node.js, running."""
    assert NODE is not None
    urls = {"BROKER_URL": broker, "CACHE_URL": cache, "DEPLOYMENT": deployment}
    with subprocess.Popen(
        [NODE, PRODUCER, *keys],
        env={**os.environ, **{PREFIX + name: value for name, value in urls.items()}},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@needs_node
def test_a_producer_in_node_invalidates_and_is_told_so(
    celery_setup: CeleryTestSetup,
    cache: Cache,
    server: redis.Redis,
    rig_settings: Settings,
    message: bytes,
) -> None:
    assert celery_setup.worker
    name = rig_settings.deployment
    allow_producer(server, name)
    notes, truth = cache.namespace("note"), ["old"]
    notes.loader(lambda _: truth[0].encode())
    _, _, rest = ODD.partition(":")
    assert notes.get(rest) == b"old"
    truth[0] = "new"

    url = str(rig_settings.cache_url).replace("://", f"://{USER}@")
    between = url.rpartition("/")[0] + f"/{BETWEEN}"
    with producer(between, url, name, ODD, "note:b") as process:
        sent = handed_on(server, between.replace(f"{USER}@", ""))
        out, said = process.communicate(timeout=DONE_S)

    assert (said, process.returncode) == ("", 0)
    receipt = Receipt.from_json(out)
    assert (receipt.status, receipt.names) == (Status.DONE, [ODD, "note:b"])
    assert receipt.verified == ["disk", "redis", "memory"]
    assert (receipt.consistency, receipt.reason) == ("strict", "an edit")
    assert notes.get(rest) == b"new"
    page = shape(json.loads(message))
    page["headers"] |= {"kwargsrepr"}  # the one that is optional
    assert shape(sent) == page


def allow_producer(server: redis.Redis, deployment: str) -> None:
    """A user with the rights that the page names, and no other."""
    keys = ["~invalidation.*", f"~{{{deployment}}}:receipt:*", f"~{{{deployment}}}:ended:*"]
    rights = ["-@all", "+select", "+lpush", "+get", "+blpop"]
    server.execute_command("ACL", "SETUSER", "producer", "on", ">p@ss", *keys, *rights)  # type: ignore[no-untyped-call]  # so in redis-py


def handed_on(server: redis.Redis, url: str) -> Mapping[str, Any]:
    """Take the message that a producer sent, give it to the worker as it is, and return it."""
    with redis.Redis.from_url(url) as between:
        found: Any = between.brpop([Queue.IMMEDIATE], DONE_S)
    assert found is not None
    server.lpush(Queue.IMMEDIATE, found[1])
    return dict(json.loads(found[1]))


def shape(message: Mapping[str, Any]) -> dict[str, set[str]]:
    """Which parts a message has."""
    parts: dict[str, set[str]] = {"": set(message)}
    return parts | {name: set(message[name]) for name in ("headers", "properties")}


@needs_node
def test_without_a_broker_the_producer_in_node_says_so() -> None:
    with producer(NOBODY, NOBODY, "nowhere", "note:a") as process:
        out, said = process.communicate(timeout=DONE_S)
    assert (out, process.returncode) == ("", 1)
    assert said.startswith("producer: broker: ")
    assert "ECONNREFUSED" in said
