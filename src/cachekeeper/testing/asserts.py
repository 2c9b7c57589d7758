"""Whether the code under test invalidated what it had to, and nothing else."""

from __future__ import annotations

from cachekeeper.core.keys import check_key, namespace_of
from cachekeeper.core.request import Request
from cachekeeper.core.strategy import Consistency, Strategy, check_choice
from cachekeeper.testing.cache import MemoryCache


def assert_invalidated(
    cache: MemoryCache, *keys: str, strategy: str | None = None, consistency: str | None = None
) -> None:
    """Each key was invalidated, by a request of this strategy and consistency if they are given.

    That is: a request named it, or its namespace; or its stored value became stale by a tag, or by
    what it was derived from. A request that waits for ``flush`` counts for what it names.

    Raises:
        AssertionError: one was not; the message lists what was.
        InvalidInput: a key is malformed, or there is no such strategy or consistency.
    """
    requests = _of(cache, strategy, consistency)
    missed = [key for key in keys if not _reached(cache, requests, key)]
    if missed:
        wanted = _wanted(strategy, consistency)
        raise AssertionError(f"not invalidated{wanted}: {', '.join(missed)}\n{_told(cache)}")


def assert_not_invalidated(
    cache: MemoryCache, *keys: str, strategy: str | None = None, consistency: str | None = None
) -> None:
    """None of the keys was invalidated by such a request; without keys, nothing at all was.

    Raises:
        AssertionError: one was; the message lists what was.
        InvalidInput: a key is malformed, or there is no such strategy or consistency.
    """
    requests = _of(cache, strategy, consistency)
    hit = [key for key in keys if _reached(cache, requests, key)]
    if not keys:
        hit = [name for request in requests for name in _names(request)]
    if hit:
        wanted = _wanted(strategy, consistency)
        raise AssertionError(f"invalidated{wanted}: {', '.join(hit)}\n{_told(cache)}")


def _of(cache: MemoryCache, strategy: str | None, consistency: str | None) -> list[Request]:
    strategies = set(Strategy) if strategy is None else {check_choice(Strategy, strategy)}
    levels = set(Consistency) if consistency is None else {check_choice(Consistency, consistency)}
    return [r for r in cache.invalidations if r.strategy in strategies and r.consistency in levels]


def _reached(cache: MemoryCache, requests: list[Request], key: str) -> bool:
    namespace = namespace_of(check_key(key))
    return any(
        key in request.keys or namespace in request.namespaces or key in cache.affected(request)
        for request in requests
    )


def _wanted(strategy: str | None, consistency: str | None) -> str:
    given = [name for name in (strategy, consistency) if name is not None]
    return f" ({', '.join(given)})" if given else ""


def _names(request: Request) -> list[str]:
    tags = [f"tag {tag}" for tag in request.tags]
    return [*request.keys, *tags, *(f"namespace {name}" for name in request.namespaces)]


def _told(cache: MemoryCache) -> str:
    lines = []
    for request in cache.invalidations:
        line = f"  {request.strategy}, {request.consistency}: {', '.join(_names(request))}"
        if with_it := [key for key in cache.affected(request) if key not in request.keys]:
            line += f", and with it {', '.join(with_it)}"
        lines.append(f"{line} ({request.reason})" if request.reason else line)
    return "\n".join(["invalidated was:", *lines] if lines else ["nothing was invalidated"])
