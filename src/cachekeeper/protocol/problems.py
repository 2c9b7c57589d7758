"""What goes wrong, as a device is told it: problem details in JSON (RFC 9457)."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from cachekeeper.errors import (
    CachekeeperError,
    ConfigurationError,
    InvalidInput,
    OriginMissing,
    QuotaExceeded,
    RetryableError,
)

log = logging.getLogger(__name__)

MEDIA_TYPE: Final = "application/problem+json"
#: Seconds after which to try again what may succeed then.
RETRY_AFTER_S: Final = 2

_STATUS: Final = {
    InvalidInput: HTTPStatus.BAD_REQUEST,
    OriginMissing: HTTPStatus.NOT_FOUND,
    QuotaExceeded: HTTPStatus.INSUFFICIENT_STORAGE,
    ConfigurationError: HTTPStatus.SERVICE_UNAVAILABLE,
    RetryableError: HTTPStatus.SERVICE_UNAVAILABLE,
}


class Problem(Exception):
    """A request that is refused, with what to say of it."""

    def __init__(
        self, status: HTTPStatus, detail: str, headers: dict[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers, self.more = status, detail, headers, more

    def response(self) -> JSONResponse:
        """The answer."""
        told = {"title": self.status.phrase, "status": self.status.value, "detail": self.detail}
        return JSONResponse(
            told | self.more, self.status, headers=self.headers, media_type=MEDIA_TYPE
        )


def unauthorized() -> Problem:
    """Who asks is not known, and is not told which part of what was given is wrong."""
    detail = "the token is not one of this device"
    return Problem(HTTPStatus.UNAUTHORIZED, detail, {"WWW-Authenticate": "Bearer"})


def refused(_: Request, error: Exception) -> JSONResponse:
    """A request that we refuse by ourselves."""
    assert isinstance(error, Problem)
    return error.response()


def failed(_: Request, error: Exception) -> JSONResponse:
    """One that a service refuses."""
    assert isinstance(error, CachekeeperError)
    status = next(said for kind, said in _STATUS.items() if isinstance(error, kind))
    headers = {"Retry-After": str(RETRY_AFTER_S)} if isinstance(error, RetryableError) else None
    more = {}
    if isinstance(error, InvalidInput):
        more = {"field": error.field, "allowed": error.allowed}
    return Problem(status, str(error), headers, **more).response()


def unknown(_: Request, error: Exception) -> JSONResponse:
    """One to a place or with a method that there is not."""
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    return Problem(HTTPStatus(error.status_code), error.detail, headers).response()


def broken(request: Request, error: Exception) -> JSONResponse:
    """A fault of ours: told in the log, and not to the device."""
    log.error("request_failed method=%s path=%s", request.method, request.url.path, exc_info=error)
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "a fault of the server").response()
