"""A warm job: files that somebody wants held, how far it is, and how long it will take."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Final, NamedTuple

from cachekeeper.errors import InvalidInput

#: Targets of one job; a folder is one.
TARGETS_AT_MOST: Final = 10_000
#: A colon would name another key of a job.
_JOB: Final = re.compile(r"[0-9a-z]{1,64}")


def check_job(value: object, field: str) -> str:
    """The id of a job. Raises InvalidInput otherwise."""
    if not (isinstance(value, str) and _JOB.fullmatch(value)):
        raise InvalidInput(field, value, f"the id of a warm job, text that matches {_JOB.pattern}")
    return value


class WarmState(StrEnum):
    """What a job is doing."""

    RUNNING = "running"
    DONE = "done"  # everything was tried; what failed is counted by its reason
    CANCELLED = "cancelled"
    STOPPED = "stopped"  # nothing more can be done just now; ``reason`` says why


#: What can be resumed.
RESUMABLE: Final = (WarmState.CANCELLED, WarmState.STOPPED)


@dataclass(frozen=True, slots=True)
class WarmStatus:
    """A job as it stands; sizes in bytes, times in seconds since 1970.

    ``items`` and ``total_bytes`` are what was found so far: until ``listed``, folders wait to be
    looked into, and there is no ``eta_s``. Of what is ``done``, ``held`` was there already. Rates
    are means since the job was begun or resumed.
    """

    id: str
    state: WarmState
    device: str  # '' for the caches of the site
    targets: tuple[str, ...]  # some of them
    created: float
    items: int = 0
    done: int = 0
    held: int = 0
    bytes: int = 0
    total_bytes: int = 0
    failed: dict[str, int] = field(default_factory=dict)  # by reason
    listed: bool = False
    reason: str = ""
    items_per_s: float = 0.0
    bytes_per_s: float = 0.0
    eta_s: float | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing goes on."""
        return self.state is not WarmState.RUNNING

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values by field."""
        return asdict(self)


class Taken(NamedTuple):
    """A piece of work of a job: paths to be fetched, or a place to be listed from; or neither."""

    state: str  # of the job; '' when there is none
    token: str = ""
    paths: tuple[str, ...] = ()
    place: Place | None = None


class Place(NamedTuple):
    """Where a listing goes on: a target or a folder, after a path; '' begins."""

    path: str
    is_target: bool  # it may be a file
    after: str = ""

    def to_text(self) -> str:
        """As it is kept."""
        return f"{'?' if self.is_target else '/'}{self.path}\n{self.after}"

    @classmethod
    def from_text(cls, text: str) -> Place:
        """The opposite of ``to_text``."""
        path, after = text[1:].split("\n", 1)
        return cls(path, text[0] == "?", after)
