"""Everything that Cachekeeper raises on purpose.

::

    CachekeeperError
    ├── PermanentError            doing it again will fail again
    │   ├── InvalidInput          a field is malformed: names it and what is allowed
    │   │   └── ForbiddenPath     a path that would leave its folder
    │   ├── ConfigurationError    a setting or the environment is wrong: refused at start
    │   ├── OriginMissing         the origin has no such file
    │   └── QuotaExceeded         can't fit, whatever is evicted
    └── RetryableError            may succeed later
        ├── CacheUnavailable      the cache server can't be reached
        ├── CacheFull             the cache server has no room for more
        ├── DiskFull              the file system has no room for more
        ├── BrokerUnavailable     the broker can't be reached: nothing was enqueued
        ├── OriginUnavailable     the origin can't be read
        │   └── NotListable       it has files, and no list of them
        ├── Busy                  somebody else is doing just that
        │   └── Overtaken         it was invalidated before it was done: of no use any more
        ├── PendingFull           too much waits already: the request was refused
        └── ReceiptTimeout        the request has not ended yet
"""

from __future__ import annotations


class CachekeeperError(Exception):
    """Base of all errors of this package."""


class PermanentError(CachekeeperError):
    """Doing the same again will fail again: tasks don't retry it."""


class RetryableError(CachekeeperError):
    """The same call may succeed later."""


class InvalidInput(PermanentError, ValueError):
    """A value that is not allowed; nothing was changed.

    ``field`` names it, ``value`` is what was given, ``allowed`` says what would do.
    """

    def __init__(self, field: str, value: object, allowed: str) -> None:
        shown = repr(value)
        if len(shown) > 80:
            shown = f"{shown[:77]}... ({len(shown)} characters)"
        super().__init__(f"{field}: {shown} is not allowed; allowed: {allowed}")
        self.field, self.value, self.allowed = field, value, allowed

    def __reduce__(self) -> tuple[type[InvalidInput], tuple[str, object, str]]:
        # On its way to another process it is made again; by default from the message alone.
        return type(self), (self.field, self.value, self.allowed)


class ForbiddenPath(InvalidInput):
    """A path that would leave the folder it belongs to, by ``..``, a link or an absolute name."""


class ConfigurationError(PermanentError):
    """The configuration or the environment is wrong; the process does not start."""


class OriginMissing(PermanentError):
    """The origin has no such file."""


class QuotaExceeded(PermanentError):
    """The object can't be held within the quota, whatever is evicted.

    ``why``: ``oversize``, ``pinned`` (beside the pins), ``room`` or ``worth`` (less than what would
    have to go).
    """

    def __init__(self, message: str, why: str = "room") -> None:
        super().__init__(message)
        self.why = why


class CacheUnavailable(RetryableError):
    """The cache server can't be reached."""


class CacheFull(RetryableError):
    """The cache server has no room: what was to be stored was not."""


class DiskFull(RetryableError, OSError):
    """The file system of the state folder has no room (setting ``disk_min_free``): nothing kept."""


class BrokerUnavailable(RetryableError):
    """The broker can't be reached; nothing was enqueued."""


class OriginUnavailable(RetryableError):
    """The origin can't be read just now."""


class NotListable(OriginUnavailable):
    """The origin gives files and no list of what is in a folder, as many HTTP servers do."""


class Busy(RetryableError):
    """The same thing is being done by somebody else at this moment."""


class Overtaken(Busy):
    """It was invalidated while it was made ready: of no use to anybody any more."""


class PendingFull(RetryableError):
    """As many requests wait as may (setting ``pending_cap``); this one was refused."""


class ReceiptTimeout(RetryableError, TimeoutError):
    """The invalidation has not ended within the time given; it goes on."""
