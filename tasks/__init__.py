"""The Celery tasks: decode, one call into a service, encode.

Each module is a subject. ``register`` imports them all; the application calls it.
"""

from __future__ import annotations

import importlib

MODULES = (
    "invalidation",
    "prefetch",
    "warm",
    "eviction",
    "expiry",
    "graph",
    "origins",
    "recovery",
    "reports",
)


def register() -> None:
    """Import every task, so that an application finds it."""
    for module in MODULES:
        importlib.import_module(f"tasks.{module}")
