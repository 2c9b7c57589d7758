"""Where the truth is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO, Protocol


@dataclass(frozen=True, slots=True)
class Version:
    """Which version of a file an origin has."""

    size: int
    token: str  # differs when the content may differ


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

    def siblings(self, path: str) -> list[str]:
        """The files in the same folder."""
