"""Quotas on the command line: bytes, or a share of what a trace asks for."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pydantic import ByteSize, TypeAdapter, ValidationError

from cachekeeper.core.policy.simulation import share_of
from cachekeeper.core.policy.trace import Trace
from cachekeeper.errors import InvalidInput

ALLOWED = "bytes such as 500M or 1GiB, or a share of all objects such as 10%"
_SIZE = TypeAdapter(ByteSize)


@dataclass(frozen=True, slots=True)
class Quota:
    """As it was written, and what that is."""

    text: str
    size: int = 0  # bytes, or
    share: float = 0.0  # of the footprint

    def of(self, trace: Trace) -> int:
        """In bytes, for a trace."""
        return self.size or share_of(trace.footprint, self.share)

    @classmethod
    def parse(cls, text: str) -> Quota:
        """Read a quota. Raises InvalidInput."""
        if found := re.fullmatch(r"(\d{1,3}(?:\.\d{1,9})?) ?%", text, re.ASCII):
            share = float(found[1]) / 100
            if 0 < share <= 1:
                return cls(text, share=share)
        elif re.fullmatch(r"[\d.]{1,20} ?[a-z]*", text, re.ASCII | re.IGNORECASE):
            try:
                size = int(_SIZE.validate_python(text))
            except (ValidationError, OverflowError):
                size = 0
            if size > 0:
                return cls(text, size=size)
        raise InvalidInput("quota", text, ALLOWED)
