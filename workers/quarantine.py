"""Where malformed messages go: into the dead letters, with the reason, and never to a task."""

from __future__ import annotations

import base64
import codecs
import hashlib
import logging
import re
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Protocol

import redis

from cachekeeper.core.ports.pipeline import DeadLetters
from cachekeeper.errors import CachekeeperError, CacheUnavailable

#: What is kept of a message; its length and hash tell of the rest.
KEPT_BYTES: Final = 64 * 1024
#: Control characters that no text has; JSON would make six of each.
BINARY: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
#: A server that does not answer holds up the worker: it is asked again only after a while.
PAUSE_S: Final = 10.0

logger = logging.getLogger(__name__)

Evidence = dict[str, Any]


class Records(Protocol):
    """What the composition root offers here."""

    @property
    def dead_letters(self) -> DeadLetters: ...
    @property
    def activity(self) -> Counter: ...


class Counter(Protocol):
    """Totals for dashboards."""

    def count(self, name: str) -> None:
        """One more."""


class Quarantine:
    """Buries what no task may see. One a process, used by its event loop only."""

    def __init__(self, records: Callable[[], Records]) -> None:
        self._records, self._away_until = records, 0.0

    def take(self, queue: str, raw: bytes, reason: str, keep: Callable[[Evidence], None]) -> None:
        """Bury a message; ``keep`` has it when the dead letters can't be reached."""
        evidence = {"queue": queue, "at": time.time(), "reason": reason, **excerpt(raw)}
        logger.error(
            "message_quarantined queue=%r bytes=%d sha256=%s reason=%r",
            *(queue, evidence["bytes"], evidence["sha256"], reason),
        )
        try:
            self.bury(evidence)
        except CacheUnavailable as error:
            logger.warning("message_kept_back queue=%r reason=%r", queue, str(error))
            keep(evidence)

    def bury(self, evidence: Evidence) -> None:
        """Put a message among the dead letters, with the time at which it was found.

        Raises:
            CacheUnavailable: they can't be reached or have no room, now or a while ago.
        """
        if time.monotonic() < self._away_until:
            raise CacheUnavailable("cache server: did not answer a moment ago")
        message = dict(evidence)
        reason, at = message.pop("reason"), message.pop("at")
        try:
            records = self._records()
            records.dead_letters.bury(message, reason, at)
            records.activity.count("message_quarantined")
        except (CachekeeperError, redis.RedisError) as error:
            self._away_until = time.monotonic() + PAUSE_S
            raise CacheUnavailable(str(error)) from error


def excerpt(raw: bytes) -> Evidence:
    """The beginning of a message as ``text``, or as ``base64`` if it is none, and what it was."""
    begin = raw[:KEPT_BYTES]
    whole = {"bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}
    with suppress(UnicodeDecodeError):
        # Not final: a character that is cut at the end is no fault of the message.
        text = codecs.getincrementaldecoder("utf-8")().decode(begin, final=len(begin) == len(raw))
        if not BINARY.search(text):
            return {"text": text, **whole}
    return {"base64": base64.b64encode(begin).decode(), **whole}
