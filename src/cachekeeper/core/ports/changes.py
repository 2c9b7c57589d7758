"""What is kept to find the changes of an origin that nobody told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


class Submit(Protocol):
    """Asks for an invalidation."""

    def __call__(self, keys: Sequence[str], *, reason: str, by: str = "", id: str = "") -> None:
        """Raises CacheUnavailable, CacheFull, PendingFull: nothing was asked for."""


class KnownVersions(Protocol):
    """Which versions of an origin's files the caches were told of, folder by folder.

    A name is that of a file, with the digest of its version, or of a folder, with a slash at its
    end. All raise CacheUnavailable.
    """

    def entries(self, folder: str) -> dict[str, bytes]:
        """What is known of a folder, by name."""

    def folders_among(self, paths: Sequence[str]) -> set[str]:
        """Those paths that are known as folders."""

    def put(self, folder: str, now: Mapping[str, bytes | None]) -> None:
        """Know these names so, None for not at all; the folders above are known as well."""

    def exchange(
        self, folder: str, before: Mapping[str, bytes], now: Mapping[str, bytes | None]
    ) -> None:
        """As ``put``, but for names of which something else than ``before`` is known by now."""

    def drop(self, folders: Iterable[str]) -> None:
        """Forget these folders."""


@dataclass(slots=True)
class Pass:
    """How far a sweep through the origin is, or how the last one ended."""

    phase: str = ""  # looking, confirming; '' when none is under way
    started: float = 0.0
    finished: float = 0.0
    failed: float = 0.0  # when one ended in vain, since the last that did not
    learnt: bool = False  # one pass has ended: what is known is all that there was
    folders: int = 0
    same: int = 0  # files
    changed: int = 0
    new: int = 0
    gone: int = 0
    would_go: int = 0  # files that were not listed, before that is confirmed
    unavailable: int = 0  # folders that could not be listed
    held: int = 0  # files that are gone if that is true: too many to be believed at once
    held_since: float = 0.0
    accepted: bool = False  # an operator says that it is true
    suspects: int = 0  # folders that the second phase will look at
    error: str = ""
    figures: dict[str, int] = field(default_factory=dict)  # by topmost folder: kept/X, gone/X

    @property
    def files(self) -> int:
        """How many were listed."""
        return self.same + self.changed + self.new


class Sweeps(Protocol):
    """The state of the sweep, which one process at a time carries on. All raise CacheUnavailable.

    What it has to do is a stack of texts. Whoever holds the lease takes the topmost, does it, and
    only then takes it off: killed in between, it is done again.
    """

    def take(self, token: str, now: float, *, begin: bool, anew: bool) -> bool:
        """Get the lease; False when another has it, or there is nothing to do.

        ``begin`` a pass when none is under way. ``anew``: what is under way does not do, another
        has to follow it.
        """

    def top(self) -> str | None:
        """What is to be done next, None when nothing is left."""

    def done(
        self,
        token: str,
        item: str,
        *,
        then: Sequence[str] = (),
        suspect: Sequence[str] = (),
        counts: Mapping[str, int],
    ) -> bool:
        """The topmost is done; False when the lease is another's by now, and nothing was noted.

        ``then`` comes next, ``suspect`` is kept for the second phase.
        """

    def confirm(self, token: str) -> bool:
        """Begin the second phase, with the suspects. False as for ``done``."""

    def finish(self, token: str, now: float, *, held: int = 0, error: str = "") -> bool:
        """The pass has ended, in vain if there is an ``error``; whether the next one has begun."""

    def release(self, token: str) -> None:
        """Give the lease back."""

    def accept(self) -> None:
        """An operator says that what is held is gone indeed."""

    def state(self) -> Pass:
        """How it stands."""


@dataclass(frozen=True, slots=True)
class Watching:
    """How one watcher is; times in seconds since 1970."""

    by: str  # its process
    state: str  # watching, or why it is not
    since: float
    told: int = 0  # changes that it submitted
    requests: int = 0  # by which so many
    held: int = 0  # changes that can't be submitted just now
    lost: int = 0  # changes for which there was no room: left to the sweep
    error: str = ""
    at: float = 0.0


class Watchers(Protocol):
    """The last words of each watcher."""

    def say(self, watching: Watching) -> None:
        """Note how a watcher is. Raises CacheUnavailable, CacheFull."""

    def leave(self, by: str) -> None:
        """A watcher ends. Raises CacheUnavailable."""
