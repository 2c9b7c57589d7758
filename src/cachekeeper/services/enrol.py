"""Who a device is: a token of its own, shown once and kept by the device alone.

A token is 256 random bits, so a plain hash of it is enough to keep: there is no list of likely
ones to try.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Final

from cachekeeper.core.keys import DEVICE, check_device
from cachekeeper.core.ports.devices import Tokens
from cachekeeper.core.ports.tiers import Clock
from cachekeeper.errors import InvalidInput

_NOBODY: Final = hashlib.sha256(secrets.token_bytes(32)).hexdigest()


class Enrolment:
    """Gives tokens to devices, takes them away, and knows devices by them."""

    def __init__(self, tokens: Tokens, now: Clock) -> None:
        self._tokens, self._now = tokens, now

    def add(self, device: str, *, renew: bool = False) -> str:
        """A token for a device; the one before, if it is to be renewed, is worth nothing then.

        Raises:
            InvalidInput: the id is malformed, or the device has a token already.
        """
        token = secrets.token_urlsafe(32)
        if not self._tokens.give(check_device(device), _hash(token), self._now(), renew=renew):
            raise InvalidInput("device", device, "one without a token, or --renew")
        return token

    def revoke(self, device: str) -> bool:
        """Take a device's token away; false if it has none. Raises InvalidInput."""
        return self._tokens.take(check_device(device))

    def is_known(self, device: str, token: str) -> bool:
        """Whether the token is that device's; takes as long whatever is wrong with either."""
        found = self._tokens.of(device) if DEVICE.fullmatch(device) else None
        return hmac.compare_digest(_hash(token), found or _NOBODY)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
