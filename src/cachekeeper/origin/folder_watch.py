"""Which files of a folder change, as it happens.

A push is a hint: events can be missed (network mounts, overflow), so that a lifetime or a sweep
must stand behind it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Event

from watchfiles import Change, watch

from cachekeeper.core.ports.origins import Changed
from cachekeeper.errors import OriginUnavailable

DEBOUNCE_MS = 100
STEP_MS = 25
#: How often it is looked whether the folder is still the one that is watched.
LOOK_MS = 1000
#: Names by which one file is told, and links that are known.
NAMES_AT_MOST = 100
LINKS_AT_MOST = 100_000
#: Files of a new folder that are told with it; a sweep finds the others.
FILES_AT_MOST = 10_000

_IN_DELETE_SELF = 0x400


def changes(folder: Path, stop: Event) -> Iterator[list[Changed]]:
    """Batches of relative paths that were written, renamed or deleted, until ``stop``.

    The first batch, which may be empty, comes once everything is watched. What is in a new folder
    is told with it, since it may have come before anybody watched; folders that went are told by
    themselves. What changes is told by the names of links to it, too.

    Raises:
        OriginUnavailable: the folder is away or another one, or it can't be watched; or it has to
            be watched anew.
    """
    root = folder.resolve()
    watched = _identity(root)
    events = watch(
        root,
        # Not watchfiles' own, which knows of caches and backups of other programs.
        watch_filter=None,
        debounce=DEBOUNCE_MS,
        step=STEP_MS,
        stop_event=stop,
        rust_timeout=LOOK_MS,
        yield_on_timeout=True,
        raise_interrupt=False,
        ignore_permission_denied=True,  # and whatever else may befall a folder in it
    )
    links: _Links | None = None
    try:
        for batch in events:
            is_first = links is None
            if is_first:
                _check_limit(root)
            links = links or _Links(root)  # not before: those that came later are told
            found = links.by_all_names(_relative(root, batch))
            if found or is_first:
                yield [Changed(path, listing) for path, listing in sorted(found.items())]
            if links.astray:
                raise OriginUnavailable("a link to a folder went: it is watched anew")
            # A folder that is made anew may have the number of the one that was deleted.
            if (Change.deleted, str(root)) in batch or _identity(root) != watched:
                raise OriginUnavailable(f"the origin's folder {root} was replaced")
            if any(kind is Change.added for kind, _ in batch):
                _check_limit(root)
    except (OSError, RuntimeError) as error:  # watchfiles has no types of its own for them
        raise OriginUnavailable(f"{root} can't be watched: {error}") from error


def _relative(root: Path, batch: set[tuple[Change, str]]) -> dict[str, bool]:
    """The paths of events; whether they came or went, or just changed."""
    found: dict[str, bool] = {}
    for kind, name in batch:
        if name != str(root):
            path = name[len(str(root)) + 1 :]
            found[path] = found.get(path, False) or kind is not Change.modified
    return found


class _Links:
    """Symbolic links that stay in the folder: what they lead to has more than one name.

    An event names a file once, and by whatever link its folder was met through last. Links that
    lead to a folder they are in have no end of names; they are left out.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._names: dict[str, set[str]] = {}  # path -> links that lead there
        self._links: dict[str, str] = {}  # the opposite
        # Links to folders, which are watched through them: when such a link goes, the folder that
        # it led to is not watched any more, or told by the name of the link only.
        self._to_folders: set[str] = set()
        self.astray = False
        self._scan("")

    def by_all_names(self, changed: dict[str, bool]) -> dict[str, bool]:
        """The same changes by each visible name that a file has."""
        for path in [path for path, listing in changed.items() if listing]:
            changed |= dict.fromkeys(self._renew(path), True)
        found: dict[str, bool] = {}
        for path, listing in changed.items():
            for name in self._names_of(path) if self._links else [path]:
                if not any(part.startswith(".") for part in name.split("/")):
                    found[name] = found.get(name, False) or listing
        return found

    def _names_of(self, path: str) -> Iterable[str]:
        folder, _, name = path.rpartition("/")
        real = self._inside((self._root / folder).resolve() / name)
        found = dict.fromkeys([path, real] if real else [path])
        left = list(found)
        while left and len(found) < NAMES_AT_MOST:
            parts = left.pop().split("/")
            for length in range(1, len(parts) + 1):
                for link in self._names.get("/".join(parts[:length]), ()):
                    alias = "/".join([link, *parts[length:]])
                    if alias not in found:
                        found[alias] = None
                        left.append(alias)
        return found

    def _renew(self, path: str) -> list[str]:
        """Something came or went there; the files in it, if it is a folder."""
        for link in [each for each in self._links if each == path or each.startswith(f"{path}/")]:
            self._names[self._links.pop(link)].discard(link)
        for link in [e for e in self._to_folders if e == path or e.startswith(f"{path}/")]:
            self._to_folders.discard(link)
            self.astray = True
        whole = self._root / path
        if whole.is_symlink():
            self._add(path)
        elif whole.is_dir():
            return self._scan(path)
        return []

    def _scan(self, top: str) -> list[str]:
        """Note the links in a folder; the other files in it."""
        folders, files = [top], list[str]()
        while folders:
            folder = folders.pop()
            with suppress(OSError), os.scandir(self._root / folder) as entries:
                for entry in entries:  # an error: it has gone, or is not for us
                    path = f"{folder}/{entry.name}" if folder else entry.name
                    if entry.is_symlink():
                        self._add(path)
                    elif entry.is_dir():
                        folders.append(path)
                    elif len(files) < FILES_AT_MOST:
                        files.append(path)
        return files

    def _add(self, link: str) -> None:
        whole = self._root / link
        if whole.is_dir() and len(self._to_folders) < LINKS_AT_MOST:
            self._to_folders.add(link)
        try:
            leads = os.path.normpath(whole.parent.resolve() / whole.readlink())
        except OSError:
            return
        target = self._inside(Path(leads))
        if target and not f"{link}/".startswith(f"{target}/") and len(self._links) < LINKS_AT_MOST:
            self._links[link] = target
            self._names.setdefault(target, set()).add(link)

    def _inside(self, whole: Path) -> str | None:
        """The relative path of what is in the folder, None for what is not."""
        return whole.relative_to(self._root).as_posix() if self._root in whole.parents else None


def _check_limit(root: Path) -> None:
    """Raise if not one watch more can be had: watchfiles does not say when its sight ends there."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    handle = libc.inotify_init1(os.O_CLOEXEC)
    if handle < 0:
        return  # watchfiles says so
    try:
        added = libc.inotify_add_watch(handle, os.fsencode(root), _IN_DELETE_SELF)
        if added < 0 and ctypes.get_errno() == errno.ENOSPC:
            raise OriginUnavailable(
                "the limit of inotify watches is reached, not all folders can be watched "
                "(sysctl fs.inotify.max_user_watches)"
            )
    finally:
        os.close(handle)


def _identity(root: Path) -> tuple[int, int]:
    """What tells a folder from another one of its name."""
    try:
        status = root.stat()
    except OSError as error:
        raise OriginUnavailable(f"the origin's folder {root} is away") from error
    return status.st_dev, status.st_ino
