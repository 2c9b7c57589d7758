"""What must be right before a worker starts: otherwise it exits with status 1 and says why."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable, Mapping
from types import ModuleType

import redis
from celery.app.defaults import NAMESPACES, flatten

from cachekeeper.errors import CacheUnavailable, ConfigurationError
from cachekeeper.names import QUEUES
from cachekeeper.settings import nearest

MINIMUM_REDIS = (7, 0)
#: An eviction policy that may drop queued messages is no policy for a broker.
BROKER_POLICIES = {"noeviction"}
#: The cache server may evict values, which expire, but never the truth, which does not.
CACHE_POLICIES = {"noeviction", "volatile-lru", "volatile-lfu", "volatile-ttl", "volatile-random"}


def assigned_names(config: ModuleType) -> list[str]:
    """The settings that a configuration module makes: what it assigns, not what it imports."""
    statements = ast.parse(inspect.getsource(config)).body
    targets = [t for node in statements if isinstance(node, ast.Assign) for t in node.targets]
    return [t.id for t in targets if isinstance(t, ast.Name) and not t.id.startswith("_")]


def check_names(configured: Iterable[str]) -> None:
    """Refuse Celery settings that Celery does not know and would ignore.

    Raises:
        ConfigurationError: one is unknown; names the nearest that exists.
    """
    known = {name for name, _ in flatten(NAMESPACES)}
    for name in configured:
        if name not in known:
            raise ConfigurationError(f"celeryconfig: unknown setting {name}{nearest(name, known)}")


def check_queues(served: Iterable[str]) -> None:
    """Refuse queues that nobody sends to.

    Raises:
        ConfigurationError: one is unknown; names the nearest that exists.
    """
    for name in served:
        if name not in QUEUES:
            hint = nearest(name, set(QUEUES))
            raise ConfigurationError(
                f"queue: {name} is unknown{hint}; allowed: {', '.join(QUEUES)}"
            )


def check_server(url: str, role: str) -> None:
    """Refuse a server that is too old or may evict what must stay; ``role`` is broker or cache.

    Raises:
        ConfigurationError: it is not fit for the role.
        CacheUnavailable: it does not answer.
    """
    if not url.startswith(("redis://", "rediss://", "unix://")):
        return  # another kind of broker has its own rules
    client: redis.Redis = redis.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5)
    try:
        _check_version(client.info("server"), role)
        policy = client.info("memory").get("maxmemory_policy", "unknown")
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise CacheUnavailable(f"{role} server does not answer: {error}") from None
    except redis.ResponseError as error:  # too old for HELLO, or its ACL forbids INFO
        wanted = ".".join(map(str, MINIMUM_REDIS))
        raise ConfigurationError(
            f"{role} server: {error}; allowed: Redis {wanted} or later, INFO permitted"
        ) from None
    finally:
        client.close()
    allowed = BROKER_POLICIES if role == "broker" else CACHE_POLICIES
    if policy not in allowed:
        raise ConfigurationError(
            f"{role} server: maxmemory-policy is {policy}; allowed: {', '.join(sorted(allowed))}"
        )


def _check_version(info: Mapping[str, object], role: str) -> None:
    # Valkey says which Redis it is compatible with, and 7.2 is the first there is.
    version = str(info.get("redis_version", "0"))
    if tuple(int(part) for part in version.split(".")[:2]) < MINIMUM_REDIS:
        wanted = ".".join(map(str, MINIMUM_REDIS))
        raise ConfigurationError(f"{role} server: Redis {version}; allowed: {wanted} or later")
