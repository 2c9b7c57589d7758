"""The tree of errors: what may be tried again, and what an error says of itself."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest

from cachekeeper import errors
from cachekeeper.errors import (
    BrokerUnavailable,
    Busy,
    CacheFull,
    CachekeeperError,
    CacheUnavailable,
    ConfigurationError,
    DiskFull,
    ForbiddenPath,
    InvalidInput,
    NotListable,
    OriginMissing,
    OriginUnavailable,
    Overtaken,
    PendingFull,
    PermanentError,
    QuotaExceeded,
    ReceiptTimeout,
    RetryableError,
)

PERMANENT = [InvalidInput, ForbiddenPath, ConfigurationError, OriginMissing, QuotaExceeded]
RETRYABLE = [
    CacheUnavailable,
    CacheFull,
    DiskFull,
    BrokerUnavailable,
    OriginUnavailable,
    NotListable,
    Busy,
    Overtaken,
    PendingFull,
    ReceiptTimeout,
]


@pytest.mark.parametrize("kind", PERMANENT)
def test_what_will_fail_again_is_permanent_and_nothing_else(kind: type[Exception]) -> None:
    assert issubclass(kind, PermanentError)
    assert not issubclass(kind, RetryableError)


@pytest.mark.parametrize("kind", RETRYABLE)
def test_what_may_succeed_later_is_retryable_and_nothing_else(kind: type[Exception]) -> None:
    assert issubclass(kind, RetryableError)
    assert not issubclass(kind, PermanentError)


def test_every_error_is_on_one_side_and_in_the_picture_at_the_head() -> None:
    ours = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, Exception)]
    assert {*PERMANENT, *RETRYABLE} == {*ours} - {CachekeeperError, PermanentError, RetryableError}
    for kind in ours:
        assert issubclass(kind, CachekeeperError)
        assert kind.__name__ in str(errors.__doc__)


def test_an_invalid_input_names_the_field_the_value_and_what_is_allowed() -> None:
    error = InvalidInput("strategy", "imediate", "immediate, lazy")
    assert str(error) == "strategy: 'imediate' is not allowed; allowed: immediate, lazy"


def test_a_receipt_that_is_late_can_be_caught_as_a_timeout() -> None:
    assert issubclass(ReceiptTimeout, TimeoutError)


@pytest.mark.parametrize("kind", [InvalidInput, ForbiddenPath])
@pytest.mark.parametrize("travel", [lambda e: pickle.loads(pickle.dumps(e)), copy.copy])
def test_an_invalid_input_survives_the_way_between_processes(
    kind: type[InvalidInput], travel: Callable[[InvalidInput], InvalidInput]
) -> None:
    error = kind("path", "../a", "a path below")
    there = travel(error)
    assert type(there) is kind
    assert (there.field, there.value, there.allowed) == ("path", "../a", "a path below")
    assert str(there) == str(error)
