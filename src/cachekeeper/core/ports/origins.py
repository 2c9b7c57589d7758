"""Where the truth is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from threading import Event
from typing import BinaryIO, NamedTuple, Protocol


@dataclass(frozen=True, slots=True)
class Version:
    """Which version of a file an origin has."""

    size: int
    token: str  # differs when the content may differ


class Listed(NamedTuple):
    """What stands in a folder: a file with its version, or a folder without one."""

    path: str
    version: Version | None
    token: str = ""  # of a folder: differs when anything below may; '' where an origin can't tell


class Changed(NamedTuple):
    """A file that changed; ``listing`` says whether its folder may have got another list."""

    path: str
    listing: bool


class Origin(Protocol):
    """Where the truth is."""

    def stat(self, path: str) -> Version:
        """Size and version. Raises OriginMissing, OriginUnavailable."""

    def read(self, path: str) -> bytes:
        """The content. Raises OriginMissing, OriginUnavailable."""

    def open(self, path: str) -> BinaryIO:
        """The content, to be read and closed: a file that can be sought in.

        Raises OriginMissing, OriginUnavailable; an OSError while it is read.
        """

    def list(self, folder: str) -> list[Listed]:
        """The files and folders in a folder, hidden ones left out; '' is the topmost one.

        Raises OriginMissing, OriginUnavailable.
        """

    def watch(self, stop: Event) -> Iterator[Sequence[Changed]]:
        """Batches of what changed since it was called, until ``stop`` is set.

        A hint: changes may be missed, or told twice. Raises OriginUnavailable.
        """
