"""Cachekeeper keeps every cache of a home cloud warm, bounded and fresh.

The client is imported when it is first used: small helpers of this package start in
milliseconds and need neither Celery nor Redis.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cachekeeper.client.aio import AsyncCache
    from cachekeeper.client.cache import Cache
    from cachekeeper.client.receipt import ReceiptHandle
    from cachekeeper.client.unit_of_work import UnitOfWork
    from cachekeeper.errors import CachekeeperError, InvalidInput

__version__ = "0.1.0"

__all__ = [
    "AsyncCache",
    "Cache",
    "CachekeeperError",
    "InvalidInput",
    "ReceiptHandle",
    "UnitOfWork",
    "__version__",
]

_HOMES = {
    "AsyncCache": "cachekeeper.client.aio",
    "Cache": "cachekeeper.client.cache",
    "ReceiptHandle": "cachekeeper.client.receipt",
    "UnitOfWork": "cachekeeper.client.unit_of_work",
    "CachekeeperError": "cachekeeper.errors",
    "InvalidInput": "cachekeeper.errors",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
