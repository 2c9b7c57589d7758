"""What one device may ask for: so many requests a second, bodies of so many bytes, in so long."""

from __future__ import annotations

import asyncio
import math
from http import HTTPStatus
from typing import Final

from starlette.requests import ClientDisconnect, Request

from cachekeeper.protocol.problems import Problem

#: Requests a second that a device may keep up, and how many it may save up.
RATE: Final = 50.0
BURST: Final = 200.0
BODY_BYTES: Final = 256 * 1024
BODY_S: Final = 15.0


class Rates:
    """A bucket of tokens for each device; used by one thread."""

    def __init__(self, rate: float = RATE, burst: float = BURST) -> None:
        self._rate, self._burst = rate, burst
        self._left: dict[str, tuple[float, float]] = {}  # tokens, and when that was

    def take(self, device: str, now: float) -> float:
        """Take a token; 0, or the seconds until there is one."""
        left, then = self._left.get(device, (self._burst, now))
        left = min(self._burst, left + (now - then) * self._rate)
        if left < 1:
            self._left[device] = left, now
            return (1 - left) / self._rate
        self._left[device] = left - 1, now
        return 0.0

    def check(self, device: str, now: float) -> None:
        """Take a token, or raise the Problem."""
        wait = self.take(device, now)
        if wait:
            detail = f"more than {self._rate:g} requests a second"
            headers = {"Retry-After": str(math.ceil(wait))}
            raise Problem(HTTPStatus.TOO_MANY_REQUESTS, detail, headers)


async def body_of(request: Request, within_s: float = BODY_S) -> bytes:
    """The body of a request, in memory. Raises Problem if it is too large or too slow."""
    too_large = Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"the body has more than {BODY_BYTES} bytes",
        field="body",
        allowed=f"at most {BODY_BYTES} bytes",
    )
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length[:20]) > BODY_BYTES:
        raise too_large  # before any of it was read
    body = bytearray()
    try:
        async with asyncio.timeout(within_s):
            async for part in request.stream():
                body += part
                if len(body) > BODY_BYTES:
                    raise too_large
    except TimeoutError:
        detail = f"the body did not arrive within {within_s:g} s"
        raise Problem(HTTPStatus.REQUEST_TIMEOUT, detail, {"Connection": "close"}) from None
    except ClientDisconnect:
        raise Problem(HTTPStatus.BAD_REQUEST, "the body ended early") from None
    return bytes(body)
