"""What changed in the origin, told by whoever noticed it: which keys that makes stale.

A file is ``file:PATH``, the list of a folder is ``folder:PATH`` ('.' for the topmost one). The
version that the origin has is looked up *before* the keys are submitted, and known only *after*:
whatever is written in between differs from what is known, and a crash in between is found, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from cachekeeper.core.keys import are_keys, check_path, file_key, folder_key, folder_of
from cachekeeper.core.known import FOLDER, compare, digest_of, inside
from cachekeeper.core.ports.changes import KnownVersions, Submit
from cachekeeper.core.ports.origins import Changed, Origin
from cachekeeper.errors import ForbiddenPath, OriginMissing, OriginUnavailable

KEYS_A_REQUEST = 10_000


@dataclass(slots=True)
class Reported:
    """What became of a report."""

    keys: int = 0
    requests: int = 0


@dataclass(slots=True)
class _Found:
    """Keys to submit, and what is to be known once they are."""

    reason: str
    by: str
    id: str
    keys: dict[str, None] = field(default_factory=dict)
    known: dict[str, dict[str, bytes | None]] = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)
    reported: Reported = field(default_factory=Reported)

    def file(self, path: str, version: bytes | None) -> None:
        self.keys[file_key(path)] = None
        self.version(path, version)

    def version(self, path: str, version: bytes | None) -> None:
        self.known.setdefault(folder_of(path), {})[path.rpartition("/")[2]] = version

    def folder(self, path: str, *, there: bool) -> None:
        names = self.known.setdefault(folder_of(path), {})
        names[f"{path.rpartition('/')[2]}/"] = FOLDER if there else None

    def list_of(self, folder: str) -> None:
        self.keys[folder_key(folder)] = None


class ChangeReporter:
    """Turns changes into invalidations, in few requests."""

    def __init__(self, *, origin: Origin, known: KnownVersions, submit: Submit) -> None:
        self._origin, self._known, self._submit = origin, known, submit

    def report(
        self, changes: Iterable[Changed], *, reason: str, by: str = "", id: str = ""
    ) -> Reported:
        """Have all invalidated that these changes make stale, folders with all that is below.

        An origin that is away now does not matter: that something changed is known. Names that no
        key can have are nobody's, and left out.

        ``id`` is that of the first request, of which there is one for 10,000 keys. What was
        submitted already when it fails is submitted again by the next try, which does no harm.

        Raises:
            CacheUnavailable, CacheFull, PendingFull: not all of it was submitted.
        """
        found, absent, came = _Found(reason, by, id), list[Changed](), list[str]()
        for each in changes:
            if not _has_keys(each.path):
                continue
            self._flush_when_full(found)
            try:
                version = self._origin.stat(each.path)
            except (OriginMissing, ForbiddenPath):  # the latter, if it is no file
                absent.append(each)
            except OriginUnavailable:
                found.keys[file_key(each.path)] = None
                if each.listing:
                    found.list_of(folder_of(each.path))
            else:
                found.file(each.path, digest_of(version))
                if each.listing:
                    found.list_of(folder_of(each.path))
                    came.append(each.path)
        folders = self._known.folders_among([*came, *(each.path for each in absent)])
        for path in came:
            if path in folders:  # a file took the place of a folder
                self._flush_when_full(found)
                found.folder(path, there=False)
                self._forget(path, found)
        for each in absent:
            self._flush_when_full(found)
            self._no_file(each, found, was_folder=each.path in folders)
        self._flush(found)
        return found.reported

    def _no_file(self, change: Changed, found: _Found, *, was_folder: bool) -> None:
        """It is a folder, or gone."""
        path = change.path
        try:
            self._origin.list(path)
        except (OriginMissing, ForbiddenPath):
            found.file(path, None)
            found.folder(path, there=False)
            found.list_of(folder_of(path))
            if was_folder:
                self._forget(path, found)
        except OriginUnavailable:
            found.keys[file_key(path)] = None
            found.list_of(folder_of(path))
        else:
            found.file(path, None)
            if change.listing:
                found.list_of(folder_of(path))
                self._all_below(path, found)

    def _all_below(self, top: str, found: _Found) -> None:
        """A folder came, or may have come: each file in it, at any depth."""
        folders = [top]
        while folders:
            folder = folders.pop()
            self._flush_when_full(found)
            known = self._known.entries(folder)
            try:
                listed = self._origin.list(folder)
            except (OriginMissing, ForbiddenPath, OriginUnavailable):
                continue  # moved on meanwhile, of which we are told; or a sweep comes
            found.list_of(folder)
            for each in listed:
                if each.version is not None and _has_keys(each.path):
                    found.file(each.path, digest_of(each.version))
                    self._flush_when_full(found)
            gone = compare(known, listed)
            for name in gone.gone:
                found.file(inside(folder, name), None)
            for name in gone.gone_folders:
                found.folder(inside(folder, name), there=False)
                self._forget(inside(folder, name), found)
            folders += [inside(folder, name) for name in gone.folders]
            found.folder(folder, there=True)

    def _forget(self, top: str, found: _Found) -> None:
        """A folder went: each file that was known in it, at any depth."""
        folders = [top]
        while folders:
            folder = folders.pop()
            found.list_of(folder)
            for name in self._known.entries(folder):
                if name.endswith("/"):
                    folders.append(inside(folder, name[:-1]))
                else:
                    found.keys[file_key(inside(folder, name))] = None
            found.dropped.append(folder)

    def _flush_when_full(self, found: _Found) -> None:
        if len(found.keys) >= KEYS_A_REQUEST:
            self._flush(found)

    def _flush(self, found: _Found) -> None:
        keys = [key for key in found.keys if are_keys([key])]
        for start in range(0, len(keys), KEYS_A_REQUEST):
            some, number = keys[start : start + KEYS_A_REQUEST], found.reported.requests + 1
            id = found.id if number == 1 else ""
            self._submit(some, reason=found.reason, by=found.by, id=id)
            found.reported.requests, found.reported.keys = number, found.reported.keys + len(some)
        self._known.drop(found.dropped)  # first: what came back since is known again
        for folder, names in found.known.items():
            self._known.put(folder, names)
        found.keys, found.known, found.dropped = {}, {}, []


def _has_keys(path: str) -> bool:
    """Whether a path can be anybody's key."""
    try:
        return are_keys([file_key(check_path(path))])
    except ForbiddenPath:
        return False


def changes_of(paths: Sequence[str]) -> list[Changed]:
    """Paths of which somebody knows no more than that they changed."""
    return [Changed(path, listing=True) for path in paths]
