"""The versions of an origin's files that the caches were told of: a hash a folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from cachekeeper.core.keys import folder_of
from cachekeeper.core.known import FOLDER
from cachekeeper.store.redis.connection import Arg, Connection, reachable

READ_AT_ONCE = 1000
#: Names of one call of a script, so that it holds the server for few milliseconds.
NAMES_A_CALL = 500
WHATEVER = "*"


class RedisKnownVersions:
    """See ``core.ports.changes.KnownVersions``; 20 to 56 bytes a file with a short name."""

    def __init__(self, connection: Connection) -> None:
        self._c = connection

    def entries(self, folder: str) -> dict[str, bytes]:
        """What is known of a folder, by name: files, and folders with a slash at their end."""
        found: dict[str, bytes] = {}
        cursor = 0
        while True:
            with reachable():
                cursor, some = self._c.redis.hscan(
                    self._c.layout.known(folder), cursor, count=READ_AT_ONCE
                )
            found |= {name.decode(): version for name, version in some.items()}
            if not cursor:
                return found

    def folders_among(self, paths: Sequence[str]) -> set[str]:
        """Those paths that are known as folders, in one round trip."""
        if not paths:
            return set()
        with reachable(), self._c.redis.pipeline(transaction=False) as pipe:
            for path in paths:
                above, name = _parted(path)
                pipe.hexists(self._c.layout.known(above), f"{name}/")
            return {path for path, there in zip(paths, pipe.execute(), strict=True) if there}

    def put(self, folder: str, now: Mapping[str, bytes | None]) -> None:
        """Know these names so, None for not at all; the folders above are known as well."""
        self._change(folder, dict.fromkeys(now, WHATEVER), now)
        if not any(now.values()):
            return
        with reachable(), self._c.redis.pipeline(transaction=False) as pipe:
            while folder:
                above, name = _parted(folder)
                pipe.hset(self._c.layout.known(above), f"{name}/", FOLDER)
                folder = above
            pipe.execute()

    def exchange(
        self, folder: str, before: Mapping[str, bytes], now: Mapping[str, bytes | None]
    ) -> None:
        """As ``put``, but for names of which something else than ``before`` is known by now."""
        self._change(folder, {name: before.get(name, b"") for name in now}, now)

    def drop(self, folders: Iterable[str]) -> None:
        """Forget these folders."""
        keys = [self._c.layout.known(folder) for folder in folders]
        for start in range(0, len(keys), READ_AT_ONCE):
            with reachable():
                self._c.redis.unlink(*keys[start : start + READ_AT_ONCE])

    def _change(
        self, folder: str, before: Mapping[str, bytes | str], now: Mapping[str, bytes | None]
    ) -> None:
        names = list(now)
        for start in range(0, len(names), NAMES_A_CALL):
            args: list[Arg] = []
            for name in names[start : start + NAMES_A_CALL]:
                args += [name, before[name], now[name] or b""]
            self._c.run("known_exchange", [self._c.layout.known(folder)], args)


def _parted(path: str) -> tuple[str, str]:
    return folder_of(path), path.rpartition("/")[2]
