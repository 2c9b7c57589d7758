"""A live node of a benchmark, until the end of its input: `python -m bench.node NAMESPACE KEYS`.

It holds that many keys in memory; a line of input `hold KEYS` has it read so many (again).
"""

from __future__ import annotations

import sys

from cachekeeper import Cache

VALUE = b"x" * 1024


def main() -> None:
    """Hold keys, and follow the log."""
    namespace, keys = sys.argv[1], int(sys.argv[2])
    with Cache() as cache:
        held = cache.namespace(namespace)
        held.loader(lambda _: VALUE)
        while True:
            for number in range(keys):
                held.get(str(number))
            print("ready", flush=True)
            _, _, told = sys.stdin.readline().partition(" ")
            if not told:
                return
            keys = int(told)


if __name__ == "__main__":
    main()
