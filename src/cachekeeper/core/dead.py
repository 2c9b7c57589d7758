"""Dead letters: work that was given up, why, and which of it is meant."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, Final

from cachekeeper.errors import CachekeeperError, InvalidInput, PermanentError

#: Fields of a task's arguments that say what it is about.
_LISTS: Final = ("keys", "tags", "namespaces")
_TEXTS: Final = ("device", "path")


class Kind(StrEnum):
    """Why nobody tries again."""

    MALFORMED = "malformed"  # the same again can only fail again
    PERMANENT = "permanent"  # it fails until somebody changes something
    GAVE_UP = "gave up"  # tried as often as it may be


def kind_of(error: Exception) -> Kind:
    """What an error makes of the work that it ended."""
    if isinstance(error, InvalidInput):
        return Kind.MALFORMED
    return Kind.PERMANENT if isinstance(error, PermanentError) else Kind.GAVE_UP


def reason_of(error: Exception) -> str:
    """What an error says, and its notes; its name too, unless it is ours and speaks for itself."""
    ours = isinstance(error, CachekeeperError)
    said = str(error) if ours else f"{type(error).__name__}: {error}"
    return "; ".join([said, *getattr(error, "__notes__", [])])


@dataclass(frozen=True, slots=True)
class Letter:
    """A piece of work that was given up. Times in seconds since 1970."""

    id: str
    work: Mapping[str, Any]  # task, id, queue and arguments, as far as they are known
    reason: str
    kind: Kind
    attempts: int
    first_seen: float
    died: float

    @property
    def task(self) -> str:
        """The name of the task, empty when it is not known."""
        return str(self.work.get("task") or "")

    @property
    def arguments(self) -> Mapping[str, Any]:
        """What the task was to be given."""
        found = self.work.get("arguments")
        return found if isinstance(found, Mapping) else {}

    @property
    def names(self) -> list[str]:
        """The keys, tags and namespaces, or the device and the path, that it is about."""
        lists = (self.arguments.get(name) for name in _LISTS)
        texts = (self.arguments.get(name) for name in _TEXTS)
        named = [name for some in lists if isinstance(some, list) for name in some]
        return [str(name) for name in (*named, *texts) if name is not None]

    def told(self) -> dict[str, Any]:
        """Plain values by field."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def to_json(self) -> str:
        """The letter as JSON, without its id: the place that keeps it gives it one."""
        return json.dumps({k: v for k, v in self.told().items() if k != "id"}, default=repr)

    @classmethod
    def from_json(cls, letter_id: str, text: str | bytes) -> Letter:
        """The opposite of ``to_json``."""
        data: dict[str, Any] = json.loads(text)
        return cls(id=letter_id, **{**data, "kind": Kind(data["kind"])})


@dataclass(frozen=True, slots=True)
class Selection:
    """Which letters are meant: those for which all holds that is given; without any, each."""

    ids: frozenset[str] = frozenset()
    text: str = ""  # anywhere in the reason, the task or its arguments, whatever the case
    reason: str = ""  # in the reason, whatever the case
    task: str = ""
    since: float = 0.0  # died then or later

    def takes(self, letter: Letter) -> bool:
        """Whether a letter is meant."""
        return (
            (not self.ids or letter.id in self.ids)
            and (not self.task or letter.task == self.task)
            and letter.died >= self.since
            and self.reason.casefold() in letter.reason.casefold()
            and (not self.text or any(self._in(text) for text in _texts(letter)))
        )

    def _in(self, text: str) -> bool:
        return self.text.casefold() in text.casefold()


def _texts(letter: Letter) -> Iterator[str]:
    yield letter.reason
    yield from _texts_in(letter.work)


def _texts_in(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield str(name)
            yield from _texts_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts_in(inner)
    else:
        yield str(value)
