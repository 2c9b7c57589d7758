"""A live node of a benchmark: `python -m bench.node`, until the end of its input."""

from __future__ import annotations

import sys

from cachekeeper import Cache

KEYS = 200
VALUE = b"x" * 1024


def main() -> None:
    """Hold some keys in memory, and follow the log."""
    with Cache() as cache:
        held = cache.namespace("held")
        held.loader(lambda _: VALUE)
        for number in range(KEYS):
            held.get(str(number))
        print("ready", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
