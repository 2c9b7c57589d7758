"""What commands that look into the cache have in common."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from cachekeeper import settings
from cachekeeper.client.cache import Cache

json_option = click.option("--json", "as_json", is_flag=True, help="For programs.")


@contextmanager
def open_cache(state: Path | None) -> Iterator[Cache]:
    """The cache of the deployment in a state folder, or of the one that is set."""
    given: dict[str, Any] = {"state": state} if state else {}
    # No memory tier: a command that looks must not become a node that invalidations wait for.
    with Cache(settings.load(memory_bytes=0, **given)) as cache:
        yield cache
