"""Several origins as one: the first part of a path names the origin."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import BinaryIO, Final

from cachekeeper.core.keys import check_path
from cachekeeper.core.ports.origins import Changed, Listed, Origin, Version
from cachekeeper.errors import ForbiddenPath, NotListable, OriginMissing, OriginUnavailable

AGAIN_S: Final = 30.0  # after which an origin that could not be watched is tried again
LOOK_S: Final = 0.2  # how soon a watcher sees that it is to stop

#: A batch of changes, or why all have to be watched anew.
Told = list[Changed] | OriginUnavailable

log = logging.getLogger(__name__)


class MountedOrigins:
    """``photos/2026/a.jpg`` is ``2026/a.jpg`` of the origin ``photos``. Raises as those do."""

    def __init__(self, origins: Mapping[str, Origin]) -> None:
        self._origins = dict(origins)

    def stat(self, path: str) -> Version:
        """Of the origin that the path names; its own folder is no file."""
        origin, inside = self._of(path)
        return origin.stat(inside)

    def read(self, path: str) -> bytes:
        """Of the origin that the path names."""
        origin, inside = self._of(path)
        return origin.read(inside)

    def open(self, path: str) -> BinaryIO:
        """Of the origin that the path names."""
        origin, inside = self._of(path)
        return origin.open(inside)

    def list(self, folder: str) -> list[Listed]:
        """Of the origin that the path names; at the top, the origins."""
        if not folder:
            return [Listed(name, None) for name in sorted(self._origins)]
        name, _, inside = check_path(folder, "folder").partition("/")
        return [
            each._replace(path=f"{name}/{each.path}") for each in self._named(name).list(inside)
        ]

    def watch(self, stop: Event) -> Iterator[Sequence[Changed]]:
        """What each tells, as it comes.

        One that is away is tried again, and one that has no lists is left out: neither keeps the
        others.

        Raises:
            OriginUnavailable: one is watched again that was not for a while. What changed then was
                not told, so whoever watches has to look for it, as after any such error.
        """
        told: Queue[Told] = Queue(maxsize=100)
        ended = Event()
        threads = [
            Thread(target=_watch, args=(name, origin, told, ended), daemon=True)
            for name, origin in self._origins.items()
        ]
        for thread in threads:
            thread.start()
        try:
            while not stop.is_set():
                try:
                    found = told.get(timeout=LOOK_S)
                except Empty:
                    continue
                if isinstance(found, OriginUnavailable):
                    raise found
                yield found
        finally:
            ended.set()

    def _of(self, path: str) -> tuple[Origin, str]:
        name, _, inside = check_path(path).partition("/")
        origin = self._named(name)
        if not inside:
            raise ForbiddenPath("path", path, "a regular file")
        return origin, inside

    def _named(self, name: str) -> Origin:
        try:
            return self._origins[name]
        except KeyError:
            known = ", ".join(sorted(self._origins))
            raise OriginMissing(f"there is no origin {name!r}; there are {known}") from None


def _tell(told: Queue[Told], batch: Told, ended: Event) -> None:
    """Wait for room as long as somebody may take it."""
    while not ended.is_set():
        try:
            told.put(batch, timeout=LOOK_S)
        except Full:
            continue
        return


def _watch(name: str, origin: Origin, told: Queue[Told], ended: Event) -> None:
    """Until ``ended``, in a thread of its own."""
    missed = False
    while not ended.is_set():
        try:
            for batch in origin.watch(ended):
                if missed:
                    _tell(told, OriginUnavailable(f"{name} was not watched for a while"), ended)
                    return
                _tell(told, [each._replace(path=f"{name}/{each.path}") for each in batch], ended)
        except NotListable as error:
            log.warning("origin_not_watched origin=%s: %s", name, error)
            return
        except OriginUnavailable as error:
            log.warning("origin_not_watched origin=%s again_s=%g: %s", name, AGAIN_S, error)
        except Exception:
            log.exception("origin_not_watched origin=%s again_s=%g", name, AGAIN_S)
        missed = True
        ended.wait(AGAIN_S)
