"""What changed on a server that tells nobody: one list of everything compared with the next.

A folder whose token is as it was is not looked into: with servers that hand changes up to the
root (Nextcloud) a poll is one request. Without tokens everything is listed each time, and a
pass takes a fifth of the time at most.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import Final

from cachekeeper.core.ports.origins import Changed, Listed, Version
from cachekeeper.errors import NotListable, OriginMissing, OriginUnavailable

REST: Final = 4  # times what the last pass took, before the next one begins

log = logging.getLogger(__name__)

List = Callable[[str], list[Listed]]


@dataclass(slots=True)
class _Folder:
    token: str = ""  # '': to be looked into in any case
    files: dict[str, Version] = field(default_factory=dict)
    folders: dict[str, _Folder] = field(default_factory=dict)


def changes(name: str, listing: List, stop: Event, poll_s: float) -> Iterator[Sequence[Changed]]:
    """Batches of what differs from the pass before, until ``stop``; the first one learns.

    While the origin is away nothing is told, and afterwards what changed meanwhile. A folder that
    can't be listed is taken to be as it was.

    Raises:
        OriginUnavailable: in the first pass; NotListable, if that is why.
    """
    known, learnt, away = _Folder(), False, False
    while True:
        began = time.monotonic()
        seen: list[Changed] = []
        try:
            known, _ = _passed(listing, "", known, seen, stop)
        except OriginUnavailable as error:
            if not learnt:
                raise
            if not away:
                log.warning("origin_not_watched origin=%s: %s", name, error)
            away = True
        else:
            if learnt and seen and not stop.is_set():
                yield seen
            learnt, away = True, False
        if stop.wait(max(poll_s, REST * (time.monotonic() - began))):
            return


def _passed(
    listing: List, path: str, before: _Folder, seen: list[Changed], stop: Event
) -> tuple[_Folder, bool]:
    """What is in a folder now, and whether all below could be listed."""
    now, whole = _Folder(), True
    for each in listing(path):
        if each.version is not None:
            now.files[each.path] = each.version
            continue
        old = before.folders.get(each.path)
        if old is None:
            seen.append(Changed(each.path, listing=True))
        if old is not None and old.token and old.token == each.token:
            now.folders[each.path] = old
            continue
        if stop.is_set():
            continue
        inside, all_of_it = _looked_into(listing, each.path, old or _Folder(), seen, stop)
        inside.token = each.token if all_of_it else ""
        now.folders[each.path], whole = inside, whole and all_of_it
    _compare(before, now, seen)
    return now, whole


def _looked_into(
    listing: List, path: str, before: _Folder, seen: list[Changed], stop: Event
) -> tuple[_Folder, bool]:
    try:
        return _passed(listing, path, before, seen, stop)
    except OriginMissing:  # since its parent was listed: the next pass tells
        return before, False
    except NotListable:  # of a web server, this folder only: a page of its own in it
        return before, True
    except OriginUnavailable:
        return before, False


def _compare(before: _Folder, now: _Folder, seen: list[Changed]) -> None:
    for path, version in now.files.items():
        old = before.files.get(path)
        if old != version:
            seen.append(Changed(path, listing=old is None))
    gone = before.folders.keys() - now.folders.keys()
    seen += [Changed(path, listing=True) for path in gone | before.files.keys() - now.files.keys()]
    for path in gone:
        _compare(before.folders[path], _Folder(), seen)
