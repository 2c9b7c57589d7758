"""The checker that every test with a deployment goes through finds what it should."""

from __future__ import annotations

import pytest
import redis

from cachekeeper.store.redis.layout import Layout
from tests.support import fresh_deployment, misplaced_keys


def test_a_key_that_never_expires_by_mistake_is_found(server_url: str) -> None:
    leak = pytest.raises(AssertionError, match=r"value:photo:a never expires$")
    with redis.Redis.from_url(server_url) as client, leak:
        fill_for_ever(client, server_url)


def fill_for_ever(client: redis.Redis, url: str) -> None:
    """Do in a deployment what no code of ours may do."""
    with fresh_deployment(url) as name:
        layout = Layout(name)
        client.set(layout.value("photo:b"), "expires", ex=60)
        client.set(layout.value("photo:a"), "does not")


def test_a_key_of_the_truth_that_expires_is_found(server_url: str, deployment: str) -> None:
    layout = Layout(deployment)
    with redis.Redis.from_url(server_url) as client:
        client.zadd(layout.marks, {"k:photo:a": 1})
        assert misplaced_keys(client, deployment) == []
        client.expire(layout.marks, 60)
        assert misplaced_keys(client, deployment) == [f"{layout.marks} expires"]
        client.persist(layout.marks)


def test_other_deployments_are_not_looked_at(server_url: str, deployment: str) -> None:
    with redis.Redis.from_url(server_url) as client:
        client.set(Layout(f"{deployment}x").value("photo:a"), "somebody else's")
        assert misplaced_keys(client, deployment) == []
