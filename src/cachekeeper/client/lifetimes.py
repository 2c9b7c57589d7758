"""Which rule of a lifetime holds for a namespace: its own seconds, its class, or both."""

from __future__ import annotations

from cachekeeper.core.ttl import Lifetime
from cachekeeper.errors import InvalidInput
from cachekeeper.settings import Settings, TtlClass


def lifetime_of(settings: Settings, ttl_s: object = None, ttl_class: object = None) -> Lifetime:
    """The rule for values with a lifetime of their own, of a class, or of both.

    The base of a class is held within ``ttl_min_s`` and ``ttl_max_s``. An explicit ``ttl_s`` takes
    its place, and is refused when it lies outside, or beyond the most that the class allows.

    Raises:
        InvalidInput: the class is unknown, or the lifetime (seconds) is not allowed.
    """
    held = None if ttl_class is None else _named(settings, ttl_class)
    low, high = settings.ttl_min_s, float(settings.ttl_max_s)
    if held is not None:
        high = max(low, min(high, held.max_s))
    if ttl_s is None:
        base_s = float(settings.ttl_default_s) if held is None else held.base_s
        base_s = min(max(low, base_s), high)
    elif isinstance(ttl_s, int | float) and low <= ttl_s <= high:
        base_s = float(ttl_s)
    else:
        raise InvalidInput("ttl_s", ttl_s, f"{low} to {high:g} seconds")
    if held is None:
        return Lifetime(base_s, jitter=settings.ttl_jitter)
    return Lifetime(base_s, held.multiplier, held.max_s, settings.ttl_jitter)


def _named(settings: Settings, name: object) -> TtlClass:
    found = settings.ttl_classes.get(name) if isinstance(name, str) else None
    if found is None:
        raise InvalidInput("ttl_class", name, f"one of {', '.join(settings.ttl_classes)}")
    return found
